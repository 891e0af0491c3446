#!/bin/sh
# limit: 300 s
# Faults planted in streams, servers and waiting, one at a time: the tests that run over the simulated network must find each.
# A mutant is compiled and linked before the library that it replaces a file of.
set -eu
root=${EDDY_ROOT:-$(pwd)} work=${EDDY_TMP:-$(mktemp -d)} zig=${EDDY_ZIG:-./zigw}
cd "$root"
library=${EDDY_BUILD_DIR:-zig-out/bin}/../lib/libeddy.a
flags='-std=gnu11 -O1 -g -D_GNU_SOURCE -Isrc -Iinclude -Itests -fno-sanitize=undefined -fno-stack-protector'
flags="$flags -DHARNESS_HAS_sim=1 -DHARNESS_HAS_runtime=1"
for file in tests/harness/*.c tests/sim/net_test.c tests/net/stream_test.c tests/net/server_test.c tests/net/chaos_test.c; do
    case $file in tests/harness/*_test.c) continue ;; esac
    # shellcheck disable=SC2086 # a list of words
    "$zig" cc $flags -c "$file" -o "$work/test.$(basename "$file" .c).o"
done

tests_find() { # program
    "$1" --variant plain --simulated --seeds 2 --only stream. --only server. --only chaos. > "$work/output" 2>&1 || return 0
    "$1" --variant plain --only sim_net. > "$work/output" 2>&1 || return 0
    return 1
}

"$zig" cc "$work"/test.*.o "$library" -luv -lunwind -lpthread -o "$work/good"
if tests_find "$work/good"; then
    tail -n 20 "$work/output"
    echo "the tests fail without a planted fault"
    exit 1
fi
found=0 missed=0
grep -v '^#' tests/sim/net_mutants.txt > "$work/mutants.txt"
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
    "$zig" cc "$work/$name.o" "$work"/test.*.o "$library" -luv -lunwind -lpthread -o "$work/$name"
    if tests_find "$work/$name"; then
        echo "found  $name: $(grep -m 1 '^FAIL' "$work/output")"
        found=$((found + 1))
    else
        echo "MISSED $name"
        missed=$((missed + 1))
    fi
    rm -f "$work/$name"
done < "$work/mutants.txt"
echo "$found passed, $missed failed"
[ "$missed" = 0 ] && [ "$found" != 0 ]
