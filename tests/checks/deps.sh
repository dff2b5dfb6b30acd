#!/bin/sh
# deps.sh MARKER PACKAGE... — list which Debian packages are there, install what is missing, and touch MARKER when nothing
# is, so that the next call is free.
set -u
marker=$1
shift

if ! command -v dpkg-query >/dev/null; then
    echo "Not a Debian system: install by hand what these packages hold, then go on:"
    echo "  $*"
    exit 0
fi

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package; do
    if is_installed "$package"; then
        echo "  ✓ $package"
    else
        echo "  ✗ $package"
        missing="$missing $package"
    fi
done

if [ -n "$missing" ]; then
    # $missing is a list of words on purpose.
    # shellcheck disable=SC2086
    set -- $missing
    root=
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Packages are missing and this is not root. Run as root:"
            echo "  apt-get update && apt-get install -y --no-install-recommends $*"
            exit 1
        fi
        root=sudo
    fi
    if ! $root apt-get update -qq ||
        ! $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; then
        echo "apt-get could not install them. Run again:  apt-get update && apt-get install -y $*"
        exit 1
    fi
fi
mkdir -p "$(dirname "$marker")" && touch "$marker"
