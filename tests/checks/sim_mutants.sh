#!/bin/sh
# limit: 300 s
# Faults planted in the core, one at a time: random programs on the simulator, or those kept of them, must find each. A
# mutant is compiled and linked before the library that it replaces a file of.
set -eu
root=${EDDY_ROOT:-$(pwd)} work=${EDDY_TMP:-$(mktemp -d)} zig=${EDDY_ZIG:-./zigw}
cd "$root"
library=${EDDY_BUILD_DIR:-zig-out/bin}/../lib/libeddy.a
flags='-std=gnu11 -O1 -g -D_GNU_SOURCE -Isrc -Iinclude -fno-sanitize=undefined -fno-stack-protector'
for file in tests/sim/*.c; do
    case $file in *_test.c) continue ;; esac
    # shellcheck disable=SC2086 # a list of words
    "$zig" cc $flags -c "$file" -o "$work/$(basename "$file" .c).o"
done
found=0 missed=0
grep -v '^#' tests/sim/mutants.txt > "$work/mutants.txt"
while IFS='|' read -r name file expression; do
    name=$(echo $name) file=$(echo $file)
    [ -z "${1:-}" ] || [ "$1" = "$name" ] || continue
    sed "$expression" "$file" > "$work/$name.c"
    if cmp -s "$file" "$work/$name.c"; then
        echo "MISSED $name: its expression changes nothing in $file"
        missed=$((missed + 1))
        continue
    fi
    # shellcheck disable=SC2086
    "$zig" cc $flags -c "$work/$name.c" -o "$work/$name.o" # apart: objects of sources come behind libraries
    "$zig" cc "$work/$name.o" "$work/main.o" "$work/program.o" "$work/play.o" "$library" -luv -lpthread -o "$work/$name"
    "$work/$name" --kept tests/sim/kept --runs 3000 --failures 1 --no-shrink > "$work/$name.output" 2>&1 || true
    why=$(grep -m 1 -E '^(FAIL seed [0-9]*: )?(claim|eddy: (simulation|[^ ]*: assertion))' "$work/$name.output" | cut -c1-150) || why=''
    if [ -n "$why" ]; then
        echo "found  $name: $why"
        found=$((found + 1))
    else
        tail -n 3 "$work/$name.output"
        echo "MISSED $name"
        missed=$((missed + 1))
    fi
    rm -f "$work/$name"
done < "$work/mutants.txt"
echo "$found passed, $missed failed"
[ "$missed" = 0 ] && [ "$found" != 0 ]
