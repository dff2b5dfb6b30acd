# libdmc — the only build file. `make help` lists the targets; lib/README.md says where a new file goes. Sources are found
# by folder, so adding one never means editing this file.
#
#   make            the library and the dmc program      make V=1          show the commands
#   make check      everything that needs no GPU         make BUILD=asan   another variant, in build/asan
#
# CC, CFLAGS, CPPFLAGS, LDFLAGS, PREFIX, LIBDIR and DESTDIR are yours: they are added to, never replaced.

MAKEFLAGS += --no-builtin-rules --no-print-directory
SHELL := /bin/bash
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

comma := ,
define newline


endef
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
BUILD ?= release
O := build/$(BUILD)
J := $(O)/obj

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
AR ?= ar
PYTHON ?= /usr/bin/python3
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
export CC CXX PYTHON PKG_CONFIG

# ---- what this machine has -----------------------------------------------------------------------------------------

version_part = $(shell sed -n 's/^.define DMC_VERSION_$1 //p' include/libdmc/version.h)
MAJOR := $(call version_part,MAJOR)
MINOR := $(call version_part,MINOR)
VERSION := $(MAJOR).$(MINOR).$(call version_part,PATCH)
SONAME := libdmc.so.$(MAJOR)

MACHINE := $(or $(shell $(CC) -dumpmachine 2>/dev/null),$(shell uname -m)-unknown)
X86 := $(filter x86_64-%,$(MACHINE))
has_header = $(shell echo '\#include <$1>' | $(CC) $(CPPFLAGS) -E -x c - >/dev/null 2>&1 && echo 1)
package_flags = $(shell $(PKG_CONFIG) $1 2>/dev/null)
SECCOMP := $(call has_header,seccomp.h)

# ---- flags ---------------------------------------------------------------------------------------------------------

OPT_release := -O2 -g
OPT_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
OPT_ubsan := -O1 -g -fsanitize=undefined -fno-sanitize-recover=undefined
OPT_tsan := -O1 -g -fsanitize=thread
OPT := $(or $(OPT_$(BUILD)),$(error BUILD=$(BUILD): must be release, asan, ubsan or tsan))

# Warnings are errors in the release build; in the others instrumented code only misleads gcc's analysis. A sentence that
# does not fit its buffer is cut on purpose, hence no warning about it.
WERROR ?= -Werror
WARN := $(if $(findstring -fsanitize,$(OPT)),-w,-Wall -Wextra -Wstrict-prototypes -Wvla -Wno-format-truncation $(WERROR))
# A plugin must be of the same build: the version and what core and plugin tell each other.
BUILD_ID := $(VERSION)-$(firstword $(shell cat kernels/kernels.h kernels/ops.def kernels/plugin.h | cksum))
DEFINES := -D_GNU_SOURCE $(if $(X86),-DDMC_HAVE_X86=1) -DDMC_BUILD_ID='"$(BUILD_ID)"'
FLAGS_all := -std=c11 $(DEFINES) -fvisibility=hidden -fPIC $(WARN) $(OPT)
FLAGS_kernel := -O3 -fno-math-errno
# The reference defines what an op means, so nothing may be fused behind its back.
FLAGS_ref := $(FLAGS_kernel) -ffp-contract=off
FLAGS_avx2 := $(FLAGS_kernel) -mavx2 -mfma -mf16c
FLAGS_avx512 := $(FLAGS_avx2) -mavx512f -mavx512dq -mavx512vl -mavx512bw
FLAGS_lib := $(call package_flags,--cflags hdf5 yaml-0.1 jansson libxxhash)
ifeq ($(FLAGS_lib),)
$(if $(filter-out help clean deps deps-dev deps-arm demo check check-arm print-%,$(or $(MAKECMDGOALS),all)),$(warning libraries are missing: run  make deps))
endif
FLAGS_public := -Iinclude
FLAGS_test := -Iinclude -I. -I$(O)/gen $(FLAGS_lib) $(if $(SECCOMP),-DDMC_HAVE_SECCOMP=1)

LIBS := -lsleef -lpthread \
        $(or $(call package_flags,--libs hdf5 yaml-0.1 jansson libxxhash),-lhdf5 -lyaml -ljansson -lxxhash) \
        -lm -ldl -lpthread
TEST_LIBS := $(or $(call package_flags,--libs check),-lcheck) $(if $(SECCOMP),-lseccomp) $(LIBS)

# $1 = flags of the rule. The user's CFLAGS come last and win.
compile = $(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(FLAGS_all) $1 $(CFLAGS) -MMD -MP -c $< -o $@
link = $(Q)mkdir -p $(@D) && $(CC) $(OPT) $(CFLAGS) $(filter %.o %.a,$^) -o $@ $1 $(LDFLAGS) $2
say = $(if $(filter 1,$(V)),,@printf '  %-4s %s\n' $1 $(patsubst $(J)/%,%,$@))
# Replace $@ by the output of command $1 only where it differs, so that nothing that depends on it is rebuilt in vain.
if_changed = @mkdir -p $(@D); $1 > $@.new; if cmp -s $@.new $@; then rm -f $@.new; else mv $@.new $@; fi

# ---- sources -------------------------------------------------------------------------------------------------------

objects = $(patsubst %.c,$(J)/%.o,$(wildcard $1))
folders = $(patsubst %/,%,$(sort $(dir $(wildcard $1))))

REF_SRC := $(wildcard kernels/ref/*.c)
CPU_OBJ := $(call objects,kernels/cpu/*.c)
CPU_OBJ := $(if $(X86),$(CPU_OBJ),$(filter-out %_avx2.o %_avx512.o,$(CPU_OBJ)))
OWN_OBJ := $(call objects,lib/*/*.c) $(CPU_OBJ) $(foreach s,f32 f64,$(REF_SRC:%.c=$(J)/%.$s.o))
CLI_OBJ := $(call objects,bindings/cli/*.c)

# A numbered example is one file; a benchmark's folder makes one program, with what examples/common shares.
EXAMPLE_FILES := $(patsubst %.c,%,$(wildcard examples/*.c))
EXAMPLE_FOLDERS := $(filter-out examples/common,$(call folders,examples/*/*.c))
EXAMPLES := $(addprefix $(O)/,$(EXAMPLE_FILES) $(EXAMPLE_FOLDERS))

# A folder of tests makes one program named like it, except tests/rt, where each file is a program of its own.
TEST_FOLDERS := $(call folders,tests/unit/*.c tests/ops/*.c tests/golden/*.c tests/bench/*.c tests/plugin/*.c)
RT_FILES := $(patsubst %.c,%,$(wildcard tests/rt/*.c))
# A fuzz target is one file beside the loop that drives it.
FUZZ_SHARED := tests/fuzz/fuzz_loop tests/fuzz/fuzz_support
FUZZ_FILES := $(filter-out $(FUZZ_SHARED),$(patsubst %.c,%,$(wildcard tests/fuzz/*.c)))
TEST_PROGRAMS := $(addprefix $(O)/,$(TEST_FOLDERS) $(RT_FILES) $(FUZZ_FILES))
# `make test-unit SUITES="rng pool"` builds and runs those alone.
ALL_SUITES := $(patsubst tests/unit/check_%.c,%,$(wildcard tests/unit/check_*.c))
SUITES ?= $(ALL_SUITES)
LEFT_OUT := $(patsubst %,$(J)/tests/unit/check_%.o,$(filter-out $(SUITES),$(ALL_SUITES)))

# ---- the library ---------------------------------------------------------------------------------------------------

.PHONY: all
all: $(O)/libdmc.so $(O)/libdmc.a $(O)/libdmc.pc $(if $(CLI_OBJ),$(O)/dmc) ## the library (shared and static) and the dmc program

$(J)/kernels/ref/%.f32.o: kernels/ref/%.c
	$(call say,CC)
	$(call compile,$(FLAGS_ref) -DDMC_REAL=float -DDMC_REF_SUFFIX=f32)

$(J)/kernels/ref/%.f64.o: kernels/ref/%.c
	$(call say,CC)
	$(call compile,$(FLAGS_ref) -DDMC_REAL=double -DDMC_REF_SUFFIX=f64)

$(J)/kernels/cpu/%_avx2.o: kernels/cpu/%_avx2.c
	$(call say,CC)
	$(call compile,$(FLAGS_avx2))

$(J)/kernels/cpu/%_avx512.o: kernels/cpu/%_avx512.c
	$(call say,CC)
	$(call compile,$(FLAGS_avx512))

$(J)/kernels/cpu/%.o: kernels/cpu/%.c
	$(call say,CC)
	$(call compile,$(FLAGS_kernel))

$(J)/lib/%.o: lib/%.c
	$(call say,CC)
	$(call compile,$(FLAGS_lib))

# Programs see the public headers only; tests may reach inside.
$(J)/bindings/%.o: bindings/%.c
	$(call say,CC)
	$(call compile,$(FLAGS_public))

$(J)/examples/%.o: examples/%.c
	$(call say,CC)
	$(call compile,$(FLAGS_public))

$(J)/tests/%.o: tests/%.c
	$(call say,CC)
	$(call compile,$(FLAGS_test))

# A source that goes away must leave the library too.
$(O)/gen/objects.list: FORCE
	$(call if_changed,printf '%s\n' $(OWN_OBJ))

$(O)/libdmc.a: $(OWN_OBJ) $(O)/gen/objects.list
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $(OWN_OBJ)

$(O)/$(SONAME): $(OWN_OBJ) $(O)/gen/objects.list lib/libdmc.map
	$(call say,LD)
	@grep -q '^DMC_$(MAJOR)\.$(MINOR) ' lib/libdmc.map || \
	    { echo "lib/libdmc.map has no node DMC_$(MAJOR).$(MINOR), the version in include/libdmc/version.h"; exit 1; }
	$(call link,-shared -Wl$(comma)-soname$(comma)$(SONAME) -Wl$(comma)--version-script=lib/libdmc.map \
	    -Wl$(comma)--exclude-libs$(comma)ALL -Wl$(comma)-z$(comma)defs -Wl$(comma)--as-needed,$(LIBS))

$(O)/libdmc.so: $(O)/$(SONAME)
	$(Q)ln -sf $(SONAME) $@

$(O)/libdmc.pc: pkgconfig/libdmc.pc.in FORCE
	$(call if_changed,sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	    -e 's|@VERSION@|$(VERSION)|' $<)

# $1 = where the program looks for libdmc.so, as seen from itself.
link_public = $(call link,,-L$(O) -ldmc -lm -Wl$(comma)-rpath$(comma)'$$ORIGIN/$1')

$(O)/dmc: $(CLI_OBJ) $(O)/libdmc.so
	$(call say,LD)
	$(call link_public,.)

# ---- the CUDA plugin -----------------------------------------------------------------------------------------------

# Code for every card from Turing to Hopper, and PTX for later ones. CUDA_ARCHS="90" makes a quick build for one.
CUDA_HOME ?= $(firstword $(wildcard /usr/local/cuda) $(patsubst %/bin/nvcc,%,$(shell command -v nvcc 2>/dev/null)))
NVCC ?= $(firstword $(wildcard $(CUDA_HOME)/bin/nvcc))
CUDA_ARCHS ?= 75 80 86 89 90
CUDA_GEN = $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$a$(comma)code=sm_$a) \
           -gencode arch=compute_$(lastword $(CUDA_ARCHS))$(comma)code=compute_$(lastword $(CUDA_ARCHS))
CUDA_SRC := $(wildcard kernels/cuda/*.cu)
CUDA_OBJ := $(CUDA_SRC:%.cu=$(J)/%.o)
CUDA_CXX := -std=c++17 -O3 -DDMC_BUILD_ID='"$(BUILD_ID)"'
NVCC_FLAGS = $(CUDA_CXX) $(CUDA_GEN) -ccbin $(CXX) -Xcompiler -fPIC,-fvisibility=hidden,-Wall,-Wextra,-Wno-unused-parameter \
             $(if $(WERROR),-Werror all-warnings) -lineinfo -Xptxas -v

# What ptxas says of each kernel stays beside the object, for cuda-report; the rest of what nvcc says is shown.
$(J)/kernels/cuda/%.o: kernels/cuda/%.cu $(O)/gen/cuda.list
	$(call say,NVCC)
	$(Q)mkdir -p $(@D) && $(NVCC) $(NVCC_FLAGS) -MD -MP -c $< -o $@ 2> $(@:.o=.ptxas); s=$$?; \
	    grep -Ev '^(ptxas )?info    :|bytes stack frame|^$$' $(@:.o=.ptxas) >&2; exit $$s

# Code for other cards is made where others are asked for.
$(O)/gen/cuda.list: FORCE
	$(call if_changed,echo "$(CUDA_ARCHS)")

# cublasLt is the system's; the CUDA runtime is inside, so that the plugin opens where there is no driver, and says so.
$(O)/libdmc-cuda.so: $(CUDA_OBJ)
	$(call say,LD)
	$(Q)$(CXX) -shared -static-libgcc -static-libstdc++ $(CUDA_OBJ) -o $@ -L$(CUDA_HOME)/lib64 -lcublasLt -lcudart_static -ldl -lpthread -lrt \
	    -Wl$(comma)--exclude-libs$(comma)ALL -Wl$(comma)-rpath$(comma)$(CUDA_HOME)/lib64 -Wl$(comma)-z$(comma)defs

# Steps of `make check` that need nvcc count as skipped where there is none.
no_nvcc = @echo "SKIP: no nvcc here, so no CUDA plugin is built (CUDA_HOME=FOLDER or NVCC=PROGRAM names one)"

.PHONY: cuda cuda-report
cuda: $(if $(NVCC),$(O)/libdmc-cuda.so) ## the CUDA plugin, where there is nvcc; CUDA_ARCHS="90" for one card only
	$(if $(NVCC),@echo "cuda: $(CUDA_ARCHS:%=sm_%) in $(O)/libdmc-cuda.so",$(no_nvcc))

# The same files run by the processor: tests/emu stands in for CUDA.
EMU_OBJ := $(CUDA_SRC:%.cu=$(J)/emu/%.o) $(patsubst %.cpp,$(J)/emu/%.o,$(wildcard tests/emu/*.cpp))
EMU_WARN := $(if $(findstring -fsanitize,$(OPT)),-w,-Wall -Wextra -Wno-unused-parameter -Wno-unknown-pragmas $(WERROR))
EMU_CXX = mkdir -p $(@D) && $(CXX) -std=c++17 $(OPT) -fPIC -fvisibility=hidden $(EMU_WARN) -D_GNU_SOURCE -DDMC_BUILD_ID='"$(BUILD_ID)"' \
          -Itests/emu -MMD -MP -x c++ -c $< -o $@

$(J)/emu/%.o: %.cu
	$(call say,EMU)
	$(Q)$(EMU_CXX)

$(J)/emu/%.o: %.cpp
	$(call say,EMU)
	$(Q)$(EMU_CXX)

$(O)/gen/emu.list: FORCE
	$(call if_changed,printf '%s\n' $(EMU_OBJ))

$(O)/emu/libdmc-cuda.so: $(EMU_OBJ) $(O)/gen/emu.list
	$(call say,LD)
	$(Q)mkdir -p $(@D) && $(CXX) $(OPT) -shared $(EMU_OBJ) -o $@ $(if $(findstring -fsanitize,$(OPT)),,-Wl$(comma)-z$(comma)defs) -lm -lpthread

.PHONY: emu
emu: $(O)/emu/libdmc-cuda.so ## the CUDA plugin for machines without a GPU: its kernels run on the processor, slowly

cuda-report: $(if $(NVCC),$(CUDA_OBJ)) ## registers, shared memory and spills of each CUDA kernel: build/cuda-report.md
	$(if $(NVCC),$(call run,$(PYTHON) tests/checks/cuda_report.py build/cuda-report.md $(CUDA_OBJ:.o=.ptxas)),$(no_nvcc))

# Everything a machine needs that has a card, CUDA and glibc, and nothing else of ours: docs/gpu-results.md. What Debian has as an
# archive is inside the programs; sleef lies beside them.
BUNDLE := build/cuda-bundle
BUNDLE_TESTS := ops golden plugin bench
BUNDLE_LIBS := -Wl$(comma)-Bstatic $(TEST_LIBS) -lsubunit -lsz -laec -lz -Wl$(comma)-Bdynamic -lsleef -lm -ldl -lpthread -lrt
BUNDLE_LIBS := $(filter-out -lm -ldl -lpthread -lrt -lsleef,$(BUNDLE_LIBS)) -lsleef -lm -ldl -lpthread -lrt

.PHONY: cuda-bundle
cuda-bundle: $(if $(NVCC),$(O)/libdmc-cuda.so $(BUNDLE)/dmc $(BUNDLE)/count_driver.so $(BUNDLE_TESTS:%=$(BUNDLE)/%)) ## build/cuda-bundle, a folder to carry to a machine with a GPU
	$(if $(NVCC),$(call run,DMC_COMMIT=$$(git describe --always --dirty --exclude='*' 2>/dev/null) \
	    sh tests/checks/cuda_bundle.sh $(O) $(BUNDLE)),$(no_nvcc))

# On a machine with a GPU, with the bundle that was carried there or is built there. EMU=1 times the plugin of tests/emu at tiny
# sizes: to see this code run, not to learn anything.
BENCH := $(O)/tests/bench
GPU_RESULTS := build/bench/gpu
.PHONY: check-cuda bench-cuda gpu-table
check-cuda: $(if $(wildcard $(BUNDLE)/run.sh),,cuda-bundle) ## on a machine with a GPU: all tests of the CUDA backend, and compute-sanitizer
	$(call run,sh $(BUNDLE)/run.sh check $(GPU_RESULTS))

bench-cuda: $(if $(EMU),$(BENCH),$(if $(wildcard $(BUNDLE)/run.sh),,cuda-bundle)) ## timings on a GPU beside PyTorch; CASES="janner/*"; EMU=1
	$(if $(EMU),@mkdir -p build/bench/emu)
	$(if $(EMU),$(call run,DMC_BENCH_TINY=1 DMC_PLUGIN_FOLDER=$(O)/emu $(BENCH) build/bench/emu cuda $(foreach c,$(CASES),'$c')),\
	    $(call run,DMC_BENCH_CASES='$(CASES)' sh $(BUNDLE)/run.sh bench $(GPU_RESULTS)))

gpu-table: ## write what check-cuda and bench-cuda left in GPU_RESULTS into docs/gpu-results.md
	$(call run,$(PYTHON) tests/bench/bench_gpu_table.py $(GPU_RESULTS) docs/gpu-results.md)

# ---- examples and test programs ------------------------------------------------------------------------------------

.PHONY: examples tests
examples: $(EXAMPLES) ## build every example
tests: $(TEST_PROGRAMS) ## build every test program

.SECONDEXPANSION:

$(addprefix $(O)/,$(EXAMPLE_FILES)): $(O)/%: $(J)/%.o $(O)/libdmc.so
	$(call say,LD)
	$(call link_public,..)

$(addprefix $(O)/,$(EXAMPLE_FOLDERS)): $(O)/%: $$(call objects,$$*/*.c examples/common/*.c) $(O)/libdmc.so
	$(call say,LD)
	$(call link_public,..)

$(addprefix $(O)/,$(TEST_FOLDERS)): $(O)/%: $$(filter-out $(LEFT_OUT),$$(call objects,$$*/*.c)) $(O)/libdmc.a
	$(call say,LD)
	$(call link,,$(TEST_LIBS))

# In the bundle a program finds plugin and sleef beside itself.
link_bundle = $(call link,,-s -Wl$(comma)-rpath$(comma)'$$ORIGIN' $(BUNDLE_LIBS))

$(BUNDLE_TESTS:%=$(BUNDLE)/%): $(BUNDLE)/%: $$(call objects,tests/$$*/*.c) $(O)/libdmc.a
	$(call say,LD)
	$(link_bundle)

$(BUNDLE)/dmc: $(CLI_OBJ) $(O)/libdmc.a
	$(call say,LD)
	$(link_bundle)

# Loaded before a program, this counts its allocations on a GPU.
$(O)/tests/count_driver.so $(BUNDLE)/count_driver.so: $(J)/tests/preload/count_driver.o
	$(call say,LD)
	$(call link,-shared,-ldl)

# Its test finds a driver in the program that tests it.
$(O)/tests/plugin $(BUNDLE)/plugin: LDFLAGS += -rdynamic

$(addprefix $(O)/,$(RT_FILES)): $(O)/%: $(J)/%.o $(O)/libdmc.a
	$(call say,LD)
	$(call link,,$(TEST_LIBS))

$(addprefix $(O)/,$(FUZZ_FILES)): $(O)/%: $(J)/%.o $(FUZZ_SHARED:%=$(J)/%.o) $(O)/libdmc.a
	$(call say,LD)
	$(call link,,$(TEST_LIBS))

# One line per tests/unit/check_<name>.c, for run_unit.c.
$(J)/tests/unit/run_unit.o: $(O)/gen/suites.def
$(O)/gen/suites.def: FORCE
	$(call if_changed,printf 'SUITE(%s)\n' $(SUITES))

# ---- tests ---------------------------------------------------------------------------------------------------------

# Sanitizers need one process: leaks are counted at its end, and forked children hide them. Check's own limit of 4 s is
# too short for a loaded machine.
ENV_release := CK_DEFAULT_TIMEOUT=120
ENV_ubsan := $(ENV_release) UBSAN_OPTIONS=print_stacktrace=1
ENV_asan := CK_FORK=no ASAN_OPTIONS=allocator_may_return_null=1 $(ENV_ubsan)
ENV_tsan := CK_FORK=no TSAN_OPTIONS=halt_on_error=1:allocator_may_return_null=1

# Run command $1; where it fails, say how to run it again.
# EMULATOR stands before test programs that were not built for this processor.
run = @echo "  RUN  $1"; $(ENV_$(BUILD)) $1 || { s=$$?; \
    echo "FAILED (exit $$s). Run it again with:  $(strip $(ENV_$(BUILD)) $1)"; exit 1; }
# $1 = folder of tests: run its program, if it has any sources yet.
run_folder = $(if $(wildcard $1/*.c),$(call run,$(strip $(EMULATOR) $(O)/$1)),@echo "0 passed: $1 has no tests yet")
program = $(if $(wildcard $1/*.c),$(O)/$1)

.PHONY: test-unit test-ops test-emu test-golden test-rt test-fuzz test-fast test-python examples-run
test-unit: $(call program,tests/unit) ## one suite per source file; SUITES="rng pool" builds and runs those alone
	$(call run_folder,tests/unit)

test-ops: $(call program,tests/ops) ## every op: against ref64, by finite differences, at odd shapes
	$(call run_folder,tests/ops)

test-golden: $(call program,tests/golden) ## against numbers computed by PyTorch
	$(call run_folder,tests/golden)

test-rt: $(addprefix $(O)/,$(RT_FILES)) ## the real-time calls: no allocation, no system call, same bits
	$(if $(RT_FILES),,@echo "0 passed: tests/rt has no tests yet")
	$(foreach p,$(RT_FILES),$(call run,$(O)/$p)$(newline))

test-fuzz: $(addprefix $(O)/,$(FUZZ_FILES)) ## whatever reads files, against mutated files; best under BUILD=asan
	$(foreach p,$(FUZZ_FILES),$(call run,$(O)/$p)$(newline))
	@echo "$(words $(FUZZ_FILES)) passed"

# test_cuda.py is for machines with a GPU, and for test-emu.
PYTEST = LIBDMC=$(CURDIR)/$(O)/libdmc.so PYTHONPATH=bindings/python PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m pytest -q -p no:cacheprovider

# Both orders of the threads of a block: where a barrier is missing, one of them shows it.
EMU_ENV = DMC_TEST_PLUGIN_FOLDER=$(O)/emu CK_RUN_SUITE=ops_device
# Python cannot load a library with a sanitizer.
EMU_STRICT = DMC_TEST_PLUGIN_FOLDER=$(O)/emu DMC_EMU_STRICT=1
test-emu: all $(O)/emu/libdmc-cuda.so $(O)/tests/ops $(O)/tests/golden ## CUDA kernels and device "cuda", run by the processor
	$(call run,$(EMU_ENV) DMC_EMU_ORDER=forward $(O)/tests/ops)
	$(call run,$(EMU_ENV) DMC_EMU_ORDER=backward $(O)/tests/ops)
	$(call run,$(EMU_STRICT) $(O)/tests/golden)
	$(if $(filter release,$(BUILD)),$(call run,$(EMU_STRICT) $(PYTEST) tests/python/test_cuda.py))

test-fast: test-unit test-ops

test-python: $(O)/libdmc.so $(O)/dmc ## the Python package
	$(call run,$(PYTEST) --ignore=tests/python/test_cuda.py tests/python)

# Numbered examples run to the end without arguments, in seconds, and write only under build/.
examples-run: $(EXAMPLES) ## build and run the numbered examples
	$(foreach p,$(EXAMPLE_FILES),$(call run,$(O)/$p)$(newline))
	@echo "$(words $(EXAMPLE_FILES)) passed"

.PHONY: check-layers check-headers check-symbols check-format check-docs check-cuda-plugin check-asan check-ubsan check-tsan
check-layers: ## who may include whom, by the table in lib/README.md
	$(call run,$(PYTHON) tests/checks/check_layers.py)

check-headers: ## every public header alone, as C89 to C11 and C++
	$(call run,sh tests/checks/check_headers.sh)

check-symbols: $(O)/libdmc.so $(O)/libdmc.a ## exports are the DMC_API declarations; nothing prints or aborts
	$(call run,sh tests/checks/check_symbols.sh $(O))

check-format: ## width, tabs, comment style, file ends
	$(call run,$(PYTHON) tests/checks/check_format.py)

check-docs: ## every public function has a comment
	$(call run,$(PYTHON) tests/checks/check_docs.py)

check-cuda-plugin: $(if $(NVCC),$(O)/libdmc-cuda.so $(O)/tests/plugin $(O)/tests/count_driver.so) ## one symbol, no driver needed to open it, a table without gaps
	$(if $(NVCC),$(call run,sh tests/checks/check_cuda_plugin.sh $(O)),$(no_nvcc))

check-asan: ## unit, ops and fuzz tests under AddressSanitizer and UBSan
	@$(MAKE) -k BUILD=asan test-fast test-fuzz
check-ubsan: ## unit and ops tests under UBSan alone
	@$(MAKE) -k BUILD=ubsan test-fast
check-tsan: ## the same under ThreadSanitizer
	@$(MAKE) -k BUILD=tsan test-fast

# Suites that train for long are left out: in an emulator each would take a minute or two, and what they run is run by others.
ARM_ROOT := $(CURDIR)/build/arm-root
ARM_PC := $(ARM_ROOT)/usr/lib/aarch64-linux-gnu/pkgconfig
ARM_MAKE = $(MAKE) -j2 O=build/arm CC='aarch64-linux-gnu-gcc --sysroot=$(ARM_ROOT)' AR=aarch64-linux-gnu-ar \
           PKG_CONFIG='env PKG_CONFIG_SYSROOT_DIR=$(ARM_ROOT) PKG_CONFIG_LIBDIR=$(ARM_PC) pkg-config' \
           EMULATOR='qemu-aarch64 -L $(ARM_ROOT)' SUITES='$(filter-out $(ARM_SLOW),$(SUITES))'
ARM_SLOW := align denoise hoist image_policy iql memory pretrain
ARM_STEPS := test-ops test-golden test-unit

.PHONY: check-arm
check-arm: export COUNTS := build/check-arm
check-arm: export CK_TIMEOUT_MULTIPLIER := 5
check-arm: deps-arm ## build for aarch64 and run the unit, ops and golden tests in an emulator
	@rm -rf $(COUNTS)
	@for s in $(ARM_STEPS); do $(PYTHON) tests/checks/run_step.py $$s $(ARM_MAKE) $$s; done; \
	    $(PYTHON) tests/checks/run_step.py --totals

CHECK_STEPS := check-layers check-format check-docs check-headers check-symbols test-unit test-ops test-emu test-golden test-rt \
               cuda cuda-report check-cuda-plugin check-asan test-python examples-run toy2d install-check

.PHONY: check
check: build/.deps-check ## everything that needs no GPU; ends with one line of totals
	@rm -rf build/check
	@for s in $(CHECK_STEPS); do $(PYTHON) tests/checks/run_step.py $$s $(MAKE) -j2 $$s; done; \
	    $(PYTHON) tests/checks/run_step.py --totals

# Figures are of a tree, a machine and a day. A choice of cases leaves the results of all of them alone.
BENCH_FOLDER := build/bench$(if $(CASES),/some)
BENCH_TREE = DMC_COMMIT=$$(git describe --always --dirty --exclude='*' 2>/dev/null)

.PHONY: bench bench-nets bench-ops bench-rt bench-table bench-loops bench-peers
bench: bench-nets bench-ops ## timings of networks beside PyTorch and of operations, as JSON in build/bench

bench-nets: $(BENCH) ## networks alone, a quarter of an hour; CASES="janner/* idql/forward/1@2" runs those (@2: two threads)
	@mkdir -p $(BENCH_FOLDER)
	$(call run,$(BENCH_TREE) $(BENCH) $(BENCH_FOLDER) nets $(foreach c,$(CASES),'$c'))

bench-ops: $(BENCH) ## operations alone
	@mkdir -p build/bench
	$(call run,$(BENCH_TREE) $(BENCH) build/bench ops)

bench-rt: $(BENCH) ## latency of sampler calls and single steps, quiet and beside a busy process: docs/real-time.md
	@mkdir -p build/bench
	$(call run,$(BENCH_TREE) $(BENCH) build/bench rt)

bench-table: ## write the results of bench-nets into docs/performance.md
	$(call run,$(PYTHON) tests/bench/bench_table.py build/bench docs/performance.md)

LOOPS := */sample* janner/forward/1 janner/forward/64 chi/forward/1 dp_dit/forward/1 dd_dit/forward/1 idql/forward/1 idql/forward/256
bench-loops: $(BENCH) ## whole sampler calls against their networks, one thread, a minute; written into docs/performance.md
	@mkdir -p build/bench/loops
	$(call run,$(BENCH_TREE) $(BENCH) build/bench/loops nets $(foreach c,$(LOOPS),'$c@1'))
	$(call run,$(PYTHON) tests/bench/bench_table.py build/bench/loops docs/performance.md loops)

bench-peers: ## do PyTorch's networks have the published numbers of parameters?
	$(call run,$(PYTHON) tests/bench/peer_networks.py)

.PHONY: real-data
DMC_DATA ?= ../shared/data
real-data: all ## train on the recorded PushT and hopper data in DMC_DATA, with baselines
	$(call run,DMC_DATA=$(DMC_DATA) sh examples/pusht/run.sh)

.PHONY: real-networks
real-networks: all ## every network at its published size on the same data, a short training each
	$(call run,DMC_DATA=$(DMC_DATA) sh examples/networks/run.sh)

.PHONY: goldens
goldens: build/.deps-dev ## compute the golden files again (PyTorch)
	$(call run,$(PYTHON) tests/golden/gen_golden.py)

.PHONY: demo demo-run
demo: build/.deps-demo ## nav1d from data to an aligned policy, results in build/demo
	@$(MAKE) -j2 demo-run
demo-run: $(filter %/nav1d,$(EXAMPLES))
	@mkdir -p build/demo
	$(call run,$(O)/examples/nav1d build/demo)

# Models are kept in the folder: remove it to train them again.
.PHONY: samplers-table
samplers-table: $(filter %/nav1d,$(EXAMPLES)) ## nav1d: return and coherency of every sampler by steps, into docs/results.md; minutes
	@mkdir -p build/samplers
	$(call run,$(O)/examples/nav1d samplers build/samplers examples/nav1d > build/samplers/table.md)
	$(call run,$(PYTHON) examples/nav1d/put_table.py samplers-table docs/results.md < build/samplers/table.md)

# One seed is a test (a quarter of a minute); three are the table.
.PHONY: toy2d reproduce-toy2d
toy2d: $(filter %/toy2d,$(EXAMPLES)) ## the paper's Figure 2, one seed: fails where a factor of the paper or the support is not reached
	@mkdir -p build/toy2d
	$(call run,$(O)/examples/toy2d build/toy2d)
	@echo "4 passed"
reproduce-toy2d: $(filter %/toy2d,$(EXAMPLES)) ## the paper's Figure 2, three seeds, a minute; into docs/results.md, docs/toy2d.png
	@mkdir -p build/toy2d
	$(call run,$(O)/examples/toy2d build/toy2d 3 > build/toy2d/table.md)
	$(call run,$(PYTHON) examples/nav1d/put_table.py reproduce-toy2d docs/results.md < build/toy2d/table.md)
	@if [ -f build/toy2d/toy2d.png ]; then cp build/toy2d/toy2d.png docs/toy2d.png; fi

# Two jobs at a time; what is done stays in build/reproduce, so that a run that was stopped goes on. About ten minutes a seed.
.PHONY: reproduce-nav1d
SEEDS ?= 3
reproduce-nav1d: $(filter %/nav1d,$(EXAMPLES)) ## the paper's Nav1D table into docs/results.md; SEEDS=1
	@mkdir -p build/reproduce
	$(call run,$(O)/examples/nav1d reproduce build/reproduce examples/nav1d $(SEEDS) > build/reproduce/table.md)
	$(call run,$(PYTHON) examples/nav1d/put_table.py reproduce-nav1d docs/results.md < build/reproduce/table.md)

.PHONY: ablations
ablations: $(filter %/nav1d,$(EXAMPLES)) ## what each choice of alignment is worth, for a planner on Nav1D; into docs/results.md; minutes
	@mkdir -p build/reproduce
	$(call run,$(O)/examples/nav1d ablations build/reproduce examples/nav1d > build/reproduce/ablations.md)
	$(call run,$(PYTHON) examples/nav1d/put_table.py ablations docs/results.md < build/reproduce/ablations.md)

# ---- packages ------------------------------------------------------------------------------------------------------

DEPS_build := build-essential pkg-config libsleef-dev libhdf5-dev libyaml-dev \
              libjansson-dev librandom123-dev libxxhash-dev
DEPS_demo := $(DEPS_build) gnuplot-nox
DEPS_check := $(DEPS_demo) check libseccomp-dev python3 python3-numpy python3-h5py python3-pytest
DEPS_dev := $(DEPS_check) python3-torch libopenblas0-openmp python3-numcodecs clang-format clang-tidy cppcheck shellcheck
DEPS_cross := build-essential pkg-config python3 gcc-aarch64-linux-gnu qemu-user

.PHONY: deps deps-dev deps-arm
deps: ## install what building, demo and check need (apt-get, as root or through sudo)
	@sh tests/checks/deps.sh build/.deps-check $(DEPS_check)
deps-dev: ## also what regenerating golden files, bench and lint need
	@sh tests/checks/deps.sh build/.deps-dev $(DEPS_dev)
deps-arm: build/.deps-cross ## what check-arm needs; arm64 libraries go to build/arm-root, not into the system
	@sh tests/checks/deps_arm.sh $(ARM_ROOT) $(filter lib% check,$(DEPS_check))
build/.deps-%: Makefile
	@sh tests/checks/deps.sh $@ $(DEPS_$*)

# ---- for people who change the code --------------------------------------------------------------------------------

C_FILES = $(wildcard include/libdmc/*.h lib/*/*.[ch] kernels/*.h kernels/*/*.[ch] bindings/cli/*.[ch] examples/*.[ch] \
          examples/*/*.[ch] tests/*/*.[ch])

.PHONY: format lint stats
format: ## indent and space all C files (clang-format)
	$(Q)clang-format -i $(C_FILES)

# Off: what is style here, and what the analyser cannot know (dmc__fail never returns 0; va_start initialises).
TIDY_CHECKS := -*,clang-analyzer-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier
TIDY_CHECKS := $(TIDY_CHECKS),-bugprone-narrowing-conversions,-bugprone-implicit-widening-of-multiplication-result
TIDY_CHECKS := $(TIDY_CHECKS),-bugprone-sizeof-expression,-clang-analyzer-valist.Uninitialized
TIDY_CHECKS := $(TIDY_CHECKS),-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling
CPPCHECK_FLAGS := --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
                  --suppress=missingIncludeSystem --suppress=ctunullpointer -DDMC_REAL=float -DDMC_REF_SUFFIX=f32

lint: ## cppcheck and clang-tidy over the library (clang-tidy's findings are advice)
	$(call run,cppcheck $(CPPCHECK_FLAGS) $(DEFINES) lib kernels/ref kernels/cpu)
	$(call run,clang-tidy --quiet -checks='$(TIDY_CHECKS)' $(wildcard lib/*/*.c) -- -std=c11 $(DEFINES) $(FLAGS_lib))

stats: ## function lengths and comment share by folder
	@$(PYTHON) tests/checks/stats.py

# ---- install -------------------------------------------------------------------------------------------------------

.PHONY: install uninstall install-check
install: all ## into DESTDIR, PREFIX, LIBDIR
	install -d $(DESTDIR)$(INCLUDEDIR)/libdmc $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(BINDIR)
	install -m 644 include/libdmc/*.h $(DESTDIR)$(INCLUDEDIR)/libdmc
	install -m 755 $(O)/$(SONAME) $(DESTDIR)$(LIBDIR)/libdmc.so.$(VERSION)
	ln -sf libdmc.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libdmc.so
	install -m 644 $(O)/libdmc.a $(DESTDIR)$(LIBDIR)
	install -m 644 $(O)/libdmc.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	$(if $(CLI_OBJ),$(CC) $(OPT) $(CLI_OBJ) -o $(DESTDIR)$(BINDIR)/dmc -L$(O) -ldmc -lm $(LDFLAGS) \
	    -Wl$(comma)-rpath$(comma)'$$ORIGIN/$(shell realpath -m --relative-to=$(BINDIR) $(LIBDIR))')

uninstall: ## what install put there
	rm -rf $(DESTDIR)$(INCLUDEDIR)/libdmc
	rm -f $(DESTDIR)$(LIBDIR)/libdmc.so $(DESTDIR)$(LIBDIR)/libdmc.so.$(MAJOR)* $(DESTDIR)$(LIBDIR)/libdmc.a
	rm -f $(DESTDIR)$(LIBDIR)/pkgconfig/libdmc.pc $(DESTDIR)$(BINDIR)/dmc

install-check: ## build a program against an installed copy, with pkg-config only
	+$(call run,sh tests/checks/install_check.sh $(CURDIR)/build/install)

.PHONY: clean help print-% FORCE
clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 20

print-%: ## value of a variable
	@echo '$* = $($*)'

-include $(shell find $(J) -name '*.d' 2>/dev/null)
