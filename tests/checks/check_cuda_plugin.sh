#!/bin/sh
# check_cuda_plugin.sh BUILD_FOLDER — what libdmc-cuda.so shows to the world and what it needs, then tests/plugin, which opens it.
set -u
cd "$(dirname "$0")/../.." || exit 1
out=$1
plugin=$out/libdmc-cuda.so
failed=0

complain() {
    echo "check-cuda-plugin: $1"
    failed=1
}

exported=$(nm -D --defined-only "$plugin" | awk '{ print $NF }')
[ "$exported" = dmc__plugin_backend ] || complain "must export dmc__plugin_backend and nothing else, exports: $exported"

# The driver comes with the card, so the plugin must open without it; of the toolkit it may need cublasLt alone.
for library in $(readelf -dW "$plugin" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    case $library in
    libcublasLt.so.* | libm.so.* | libc.so.* | libdl.so.* | libpthread.so.* | librt.so.* | ld-linux*) ;;
    *) complain "needs $library" ;;
    esac
done

echo "check-cuda-plugin: $(wc -c <"$plugin") bytes"
LD_PRELOAD="$PWD/$out/tests/count_driver.so" "$out/tests/plugin" "$out" || failed=1
exit $failed
