#!/bin/sh
# install_check.sh FOLDER — install into FOLDER and build programs against the copy as a stranger would: with pkg-config
# only, linked to the shared and to the static library.
set -eu
cd "$(dirname "$0")/../.."
stage=$1
CC=${CC:-gcc}
PKG_CONFIG=${PKG_CONFIG:-pkg-config}
prefix=/opt/dmc
rm -rf "$stage"
"${MAKE:-make}" install DESTDIR="$stage" PREFIX=$prefix >/dev/null

# The copy was told that it lives in /opt/dmc; the staging folder stands in front of it. Other packages stay where they are.
flags() {
    PKG_CONFIG_PATH="$stage$prefix/lib/pkgconfig" $PKG_CONFIG "$@" libdmc | sed "s|$prefix|$stage$prefix|g"
}

# build PROGRAM SOURCE FLAGS... : flags are words on purpose.
build() {
    program=$1
    source=$2
    shift 2
    $CC -std=c11 -Wall -Wextra "$source" -o "$stage/$program" "$@"
}

# shellcheck disable=SC2046
{
    build consumer tests/abi/consumer.c $(flags --cflags --libs)
    build consumer_static tests/abi/consumer.c $(flags --cflags) "$stage$prefix/lib/libdmc.a" \
        $(flags --static --libs | sed 's/ -ldmc / /')
    [ ! -f examples/01_sample.c ] || build sample examples/01_sample.c $(flags --cflags --libs)
}
LD_LIBRARY_PATH="$stage$prefix/lib" "$stage/consumer"
"$stage/consumer_static"
[ ! -x "$stage/sample" ] || LD_LIBRARY_PATH="$stage$prefix/lib" "$stage/sample"
[ ! -x "$stage$prefix/bin/dmc" ] || "$stage$prefix/bin/dmc" --version
"${MAKE:-make}" uninstall DESTDIR="$stage" PREFIX=$prefix >/dev/null
left=$(find "$stage$prefix" -type f -o -type l)
[ -z "$left" ] || {
    echo "install-check: uninstall leaves $left"
    exit 1
}
echo "install-check: programs built with pkg-config run against the shared and the static library"
