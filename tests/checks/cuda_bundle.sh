#!/bin/sh
# cuda_bundle.sh BUILD_FOLDER BUNDLE — complete the bundle, whose programs are there, with the plugin, sleef, data and scripts; then
# prove that it needs nothing but glibc and what is in it: its programs run in a root that holds nothing else.
set -eu
cd "$(dirname "$0")/../.."
out=$1
bundle=$2
most=60 # MiB: what can be carried

stop() {
    echo "cuda-bundle: $1"
    exit 1
}

needed() {
    ldd "$1" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[^=]*\(\/lib64\/ld[^ ]*\).*/\1/p'
}

# ---- what is beside the programs -------------------------------------------------------------------------------------
rm -f "$bundle/libsleef.so.3" # or it would be found itself
cp "$(needed "$bundle/ops" | grep libsleef)" "$bundle/libsleef.so.3"
strip -o "$bundle/libdmc-cuda.so" "$out/libdmc-cuda.so"
mkdir -p "$bundle/tests/golden" "$bundle/tests/bench"
cp -r tests/golden/data "$bundle/tests/golden/"
cp tests/bench/peer_cuda.py tests/bench/bench_nets.py tests/bench/peer_networks.py "$bundle/tests/bench/"
cp tests/checks/run_cuda.sh "$bundle/run.sh"
echo "$DMC_COMMIT" >"$bundle/commit"

# ---- does it need anything else? -------------------------------------------------------------------------------------
root=$bundle.root
rm -rf "$root"
mkdir -p "$root/lib64" "$root/tmp" "$root/bundle"
for program in ops golden plugin bench dmc; do
    for library in $(needed "$bundle/$program"); do
        case $(basename "$library") in
        libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | ld-linux*) cp -L "$library" "$root/lib64/" ;;
        libsleef.so.3) ;;
        *) stop "$program needs $library" ;;
        esac
    done
done
cp -r "$bundle/." "$root/bundle"
chroot=$(PATH=$PATH:/usr/sbin command -v chroot)
if [ "$(id -u)" = 0 ] && [ -n "$chroot" ]; then
    # Without /proc the loader must be told where a program is.
    alone() {
        env -i LD_LIBRARY_PATH=/lib64 LD_ORIGIN_PATH=/bundle CK_DEFAULT_TIMEOUT=120 CK_RUN_SUITE="$suite" "$chroot" "$root" "$@"
    }
    in=/bundle
else
    alone() { env -i CK_DEFAULT_TIMEOUT=120 CK_RUN_SUITE="$suite" "$@"; }
    in=$PWD/$bundle
fi
suite=golden_nets
alone "$in/golden" "$in/tests/golden/data" >"$root/golden.log" || stop "golden does not run alone: $(tail -n 5 "$root/golden.log")"
suite=ops_layers
alone "$in/ops" >"$root/ops.log" || stop "ops does not run alone: $(tail -n 5 "$root/ops.log")"
alone "$in/dmc" --version >"$root/dmc.log" || stop "dmc does not run alone"
if alone "$in/bench" "$in" cuda >"$root/bench.log" 2>&1; then stop "bench found a GPU in an empty root"; fi
grep -q 'bench_cuda: device = "cuda' "$root/bench.log" || stop "bench does not run alone: $(tail -n 5 "$root/bench.log")"
tail -qn 1 "$root/golden.log" "$root/ops.log"
rm -rf "$root"

size=$(du -sm "$bundle" | cut -f1)
[ "$size" -lt $most ] || stop "$size MiB, must be below $most"
echo "cuda-bundle: $size MiB in $bundle; its programs run with glibc alone. On the machine with the GPU:"
echo "  $bundle/run.sh check"
echo "  $bundle/run.sh bench"
