#!/bin/sh
# deps_arm.sh ROOT PACKAGE... — Debian's arm64 build of PACKAGE and of all that it needs, unpacked into the folder ROOT, which
# is then a system that a cross compiler and qemu can look into. Nothing is installed, so this needs no root, and it cannot
# break the host: libhdf5-dev of two architectures cannot be installed side by side, so apt would
# remove the host's own. Free when all of it is there.
set -eu
root=$1
shift
mkdir -p "$root.apt/lists/partial" "$root.apt/cache/archives/partial"
state=$(cd "$root.apt" && pwd) # apt takes a relative folder as one under /
: >"$state/status"             # as if no package were installed: apt then names everything

apt() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User= \
        -o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" "$@"
}

# What unpacking a package leaves behind, whatever is in it.
all_there() {
    all=0
    for package; do
        if [ -d "$root/usr/share/doc/$package" ]; then
            echo "  ✓ $package:arm64"
        else
            echo "  ✗ $package:arm64"
            all=1
        fi
    done
    return $all
}

unpack() {
    rm -rf "$root" "$root.new"
    mkdir -p "$root.new"
    for file in "$state"/cache/archives/*.deb; do dpkg-deb -x "$file" "$root.new"; done
    # An alternative, which only installing would set.
    ln -sf hdf5-serial.pc "$root.new/usr/lib/aarch64-linux-gnu/pkgconfig/hdf5.pc"
    mv "$root.new" "$root"
}

if all_there "$@"; then exit 0; fi
rm -f "$state"/cache/archives/*.deb # an older version of a package must not be unpacked beside a newer one
if ! apt update || ! apt install -y --no-install-recommends --download-only "$@"; then
    echo "apt-get could not download Debian's arm64 packages: $*"
    exit 1
fi
unpack
all_there "$@" >/dev/null || { echo "$root lacks a package; remove it and run this again"; exit 1; }
