#!/bin/sh
# run_cuda.sh check|bench [RESULTS] — on a machine with an NVIDIA GPU, in the folder that `make cuda-bundle` made (there it is
# called run.sh): every test of the CUDA backend and the sanitizers' opinion of it, or the timings. Each part has a limit, all of
# check ten minutes together, and so has bench. Logs and JSON go to RESULTS, by default the folder's own results/; the lines of
# check.txt and cuda.json there are what docs/gpu-results.md is made of.
set -u
what=${1:-}
results=${2:-$(dirname "$0")/results}
case $results in
/*) ;;
*) results=$PWD/$results ;;
esac
cd "$(dirname "$0")" || exit 1
passed=0
failed=0
export CK_DEFAULT_TIMEOUT=0 CK_FORK=no # one process: a CUDA context does not survive a fork, and sanitizers follow one

stop() {
    echo "$1"
    exit 1
}

# part NAME SECONDS COMMAND... : run it, keep its output, say how it went.
part() {
    name=$1
    limit=$2
    shift 2
    start=$(date +%s)
    timeout -k 5 "$limit" "$@" >"$results/$name.log" 2>&1
    status=$?
    took=$(($(date +%s) - start))
    if [ $status = 0 ]; then
        passed=$((passed + 1))
        echo "ok $name" >>"$results/check.txt"
        echo "  ok    $name, $took s: $(grep -E '^[0-9]+%: Checks|ERROR SUMMARY' "$results/$name.log" | tail -n 1)"
    else
        failed=$((failed + 1))
        echo "failed $name" >>"$results/check.txt"
        [ $status = 124 ] && echo "  FAIL  $name: not finished after $limit s" || echo "  FAIL  $name, $took s: exit $status"
        tail -n 15 "$results/$name.log" | sed 's/^/        /'
    fi
}

# Without the toolkit's cublasLt, PyTorch's own copy will do.
find_cublas() {
    ldd ./libdmc-cuda.so | grep -q 'cublasLt.*not found' || return 0
    for folder in $(python3 -c 'import nvidia, os; [print(os.path.join(d, "lib")) for p in nvidia.__path__ for d, _, _ in os.walk(p)
]' 2>/dev/null); do
        [ -e "$folder/libcublasLt.so.13" ] && export LD_LIBRARY_PATH="$folder" && return 0
    done
    stop "libcublasLt.so.13 is neither where CUDA is installed nor in Python's packages"
}

need_gpu() {
    ls /dev/nvidia[0-9]* >/dev/null 2>&1 || nvidia-smi -L >/dev/null 2>&1 ||
        stop "no GPU here: $what runs on a machine with an NVIDIA card and its driver"
    mkdir -p "$results" || exit 1
    echo "tree of $(cat commit)"
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | tee "$results/gpu.txt"
    find_cublas
}

# Training, samplers, critic and alignment against the processor, from Python: in a checkout whose library is built. The bundle
# has no library that Python could load.
run_device_tests() {
    root=$(cd ../.. && pwd)
    library=$root/build/release/libdmc.so
    if python3 -c 'import ctypes, sys, numpy, pytest; ctypes.CDLL(sys.argv[1])' "$library" 2>/dev/null; then
        part cuda 120 env LIBDMC="$library" PYTHONDONTWRITEBYTECODE=1 python3 -m pytest -q -p no:cacheprovider \
            "$root/tests/python/test_cuda.py"
    else
        echo "  SKIP: cuda: needs $library, numpy and pytest"
    fi
}

check() {
    : >"$results/check.txt"
    export DMC_TEST_PLUGIN_FOLDER="$PWD"
    part plugin 30 env LD_PRELOAD="$PWD/count_driver.so" ./plugin "$PWD"
    part ops_device 90 env CK_RUN_SUITE=ops_device ./ops
    part golden 60 ./golden
    run_device_tests
    sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
    if [ -n "$sanitizer" ]; then
        part memcheck 150 env CK_RUN_SUITE=ops_device "$sanitizer" --error-exitcode 1 ./ops
        part racecheck 120 env CK_RUN_SUITE=ops_device "$sanitizer" --tool racecheck --error-exitcode 1 ./ops
    else
        echo "  SKIP: memcheck, racecheck: there is no compute-sanitizer"
    fi
    echo "check-cuda: $passed passed, $failed failed; logs in $results"
    [ $failed = 0 ]
}

# DMC_BENCH_CASES: patterns, for a choice of cases.
bench() {
    PYTHON=${PYTHON:-$(command -v python3)}
    DMC_COMMIT=$(cat commit)
    DMC_PLUGIN_FOLDER=$PWD
    export PYTHON DMC_COMMIT DMC_PLUGIN_FOLDER
    set -f # patterns are the program's
    # shellcheck disable=SC2086
    timeout -k 5 600 env LD_PRELOAD="$PWD/count_driver.so" ./bench "$results" cuda ${DMC_BENCH_CASES:-} >"$results/bench.log" 2>&1
    status=$?
    cat "$results/bench.log"
    return $status
}

case $what in
check | bench)
    need_gpu
    "$what"
    ;;
*) stop "usage: $0 check|bench [RESULTS]" ;;
esac
