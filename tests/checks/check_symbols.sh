#!/bin/sh
# check_symbols.sh BUILD_FOLDER — what the library shows to the world and what it takes from it.
set -u
cd "$(dirname "$0")/../.." || exit 1
out=$1
failed=0
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

complain() {
    echo "check-symbols: $1"
    failed=1
}

# ---- exports are exactly the DMC_API declarations --------------------------------------------------------------------
grep -hv '^ *#' include/libdmc/*.h | tr '\n' ' ' | grep -oE 'DMC_API [^;(]*\(' | grep -oE '[a-z0-9_]+\($' | tr -d '(' |
    sort -u > "$scratch/declared"
nm -D --defined-only "$out/libdmc.so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u > "$scratch/exported"
[ -s "$scratch/declared" ] || complain "found no DMC_API declaration in include/libdmc"
missing=$(comm -23 "$scratch/declared" "$scratch/exported")
extra=$(comm -13 "$scratch/declared" "$scratch/exported")
[ -z "$missing" ] || complain "declared with DMC_API but not in libdmc.so:
$missing"
[ -z "$extra" ] || complain "exported by libdmc.so but not declared with DMC_API:
$extra"

# ---- our own objects: no printing, no ending the process, no global state of the host ---------------------------------
# A line "object symbol" for each undefined symbol.
while read -r object; do
    nm -u "$object" | awk -v o="$object" '{ sub(/@.*/, "", $2); print o, $2 }'
done < "$out/gen/objects.list" > "$scratch/imports"
banned='printf vprintf puts putchar perror stdout stderr __printf_chk __vprintf_chk abort exit _exit _Exit quick_exit
    __assert_fail raise signal sigaction srand rand random srandom setlocale getenv setenv putenv unsetenv system atexit'
for symbol in $banned; do
    users=$(awk -v s="$symbol" '$2 == s { print "  " $1 }' "$scratch/imports")
    [ -z "$users" ] || complain "$symbol must not be used, but is in
$users"
done

# Memory comes through lib/base/alloc.h, so that a host's allocator sees all of it.
users=$(awk '$2 ~ /^(malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|memalign|strdup|strndup|asprintf)$/ &&
             $1 !~ /lib\/base\/alloc\.o$/ { print "  " $1 ": " $2 }' "$scratch/imports")
[ -z "$users" ] || complain "memory is taken past lib/base/alloc.h:
$users"

# Ordinary thread-local storage is allocated on first use, which would be a malloc in a real-time thread.
users=$(awk '$2 == "__tls_get_addr" { print "  " $1 }' "$scratch/imports")
[ -z "$users" ] || complain "thread-local data without tls_model(\"initial-exec\"):
$users"

# ---- names that a static link could collide with -----------------------------------------------------------------------
while read -r object; do
    nm -g --defined-only "$object" | awk -v o="$object" 'NF == 3 && $3 !~ /^dmc_/ { print "  " o ": " $3 }'
done < "$out/gen/objects.list" > "$scratch/foreign"
[ ! -s "$scratch/foreign" ] || complain "global names that do not start with dmc_:
$(cat "$scratch/foreign")"

# ---- thread-local storage must fit into what the dynamic loader keeps for late-comers ----------------------------------
tls=$(readelf -lW "$out/libdmc.so" | awk '$1 == "TLS" { print $6 }')
tls=$((${tls:-0}))
[ "$tls" -lt 1024 ] || complain "thread-local storage is $tls bytes, must be below 1024"

echo "check-symbols: $(wc -l < "$scratch/exported") exported, $(wc -l < "$out/gen/objects.list") objects, TLS $tls bytes"
exit $failed
