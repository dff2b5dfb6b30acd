#!/bin/sh
# Every public header compiles alone, without warnings, in the oldest and newest dialects its users have, and includes
# nothing but libc's integer headers and its own kind.
set -u
cd "$(dirname "$0")/../.." || exit 1
CC=${CC:-gcc}
CXX=${CXX:-g++}
failed=0
count=0

# LANGUAGE FLAGS... : compile the program on standard input.
compiles() {
    language=$1
    shift
    compiler=$CC
    [ "$language" = c++ ] && compiler=$CXX
    $compiler -x "$language" "$@" -Wall -Wextra -Werror -pedantic -Iinclude -fsyntax-only -
}

# HEADER LANGUAGE FLAGS... : twice, so that a missing include guard shows.
try() {
    header=$1
    shift
    count=$((count + 1))
    printf '#include <libdmc/%s>\n#include <libdmc/%s>\nint main(void) { return 0; }\n' "$header" "$header" | compiles "$@" || {
        echo "include/libdmc/$header does not compile with: $*"
        failed=1
    }
}

for path in include/libdmc/*.h; do
    header=$(basename "$path")
    try "$header" c -std=gnu89 -Wno-long-long -Wstrict-prototypes
    try "$header" c -std=c99 -Wstrict-prototypes
    try "$header" c -std=c11
    try "$header" c -std=c2x
    try "$header" c++ -std=c++11
    try "$header" c++ -std=c++17
    foreign=$(grep -nE '^ *# *include' "$path" | grep -vE '<(stddef|stdint)\.h>|"[a-z0-9_]+\.h"')
    if [ -n "$foreign" ]; then
        echo "$path includes more than <stddef.h>, <stdint.h> and its own kind: $foreign"
        failed=1
    fi
    grep -q "include \"$header\"" include/libdmc/libdmc.h || [ "$header" = libdmc.h ] || [ "$header" = cuda.h ] || {
        echo "include/libdmc/libdmc.h does not include $header"
        failed=1
    }
done
echo "check-headers: $count compilations"
exit $failed
