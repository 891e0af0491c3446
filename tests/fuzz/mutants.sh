#!/bin/sh
# Each fault of mutants.txt, planted in eddy, must be found by the recorded programs: mutants.sh [NAME].
# The changed file is linked before the library that was built; without a change all programs must agree.
set -eu
root=${EDDY_ROOT:-$(pwd)}
zig=${EDDY_ZIG:-zig}
library=${EDDY_BUILD_DIR:-$root/zig-out/bin}/../lib/libeddy.a
only=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-std=gnu11 -g -O1 -D_GNU_SOURCE= -I$root/src -I$root/include -fno-sanitize=undefined -fno-stack-protector -fno-omit-frame-pointer"
passed=0 failed=0
# shellcheck disable=SC2086 # a list of words
"$zig" cc $flags -c "$root/tests/fuzz/fuzz.c" -o "$work/fuzz.o"
"$zig" cc "$work/fuzz.o" "$library" -luv -lm -lpthread -o "$work/unchanged"
"$root/tests/fuzz/fuzz.py" --interpreter "$work/unchanged" --recorded --quiet
grep -v '^#' "$root/tests/fuzz/mutants.txt" > "$work/mutants.txt"
while IFS='|' read -r name file expression; do
    name=$(echo $name) file=$(echo $file)
    [ -z "$only" ] || [ "$only" = "$name" ] || continue
    mkdir -p "$work/$(dirname "$file")"
    sed "$expression" "$root/$file" > "$work/$file"
    if cmp -s "$root/$file" "$work/$file"; then
        echo "FAILED $name: its expression changes nothing in $file"
        failed=$((failed + 1))
        continue
    fi
    # shellcheck disable=SC2086
    "$zig" cc $flags -I"$root/$(dirname "$file")" -c "$work/$file" -o "$work/mutant.o"
    "$zig" cc "$work/mutant.o" "$work/fuzz.o" "$library" -luv -lm -lpthread -o "$work/$name"
    status=0 && "$root/tests/fuzz/fuzz.py" --interpreter "$work/$name" --recorded --quiet > "$work/said" || status=$?
    if [ "$status" = 1 ] && grep -q ' differ$' "$work/said"; then
        echo "ok     $name: $(cat "$work/said")"
        passed=$((passed + 1))
    else
        echo "FAILED $name: not found: $(cat "$work/said")"
        failed=$((failed + 1))
    fi
done < "$work/mutants.txt"
echo "$passed found, $failed not found"
[ "$failed" = 0 ]
