#!/bin/sh
# limit: 1200 s
# A slice of `zig build stress`: no item of a queue is lost, none comes twice. Then queues that lose or double items by design
# (mutants of tests/model/mutants.txt), which must be found.
set -eu
"$EDDY_BUILD_DIR/eddy-stress" --items 4000000

root=$EDDY_ROOT work=$EDDY_TMP zig=$EDDY_ZIG
cd "$root"
. tests/harness/mutants.sh
flags="-std=gnu11 -O2 -fno-sanitize=undefined -D_GNU_SOURCE -Isrc -Iinclude"
build_library
plain=$flags
try_mutant() { # a changed header is found first
    flags="-I$work/changed/$name/src $plain"
    compile_each "$work/stress" tests/stress/stress.c
    case $file in
    *.c) link_mutant "$work/mutant" "$work"/stress/*.o ;;
    *) link_program "$work/mutant" "$work"/stress/*.o ;;
    esac
    why="planted and not found"
    round=0 # real threads: on a busy machine, or a very idle one, the fault shows in one round and not in another
    while timeout 60 "$work/mutant" --items 20000000 --only "${name%%_*}" > "$work/output" 2>&1; do
        round=$((round + 1))
        [ $round != 60 ] || return 1
    done
    why=$(grep FAIL "$work/output" || echo "it waits for lost items")
}
walk_mutants tests/model/mutants.txt 'name model scenario file expression' deque_take_by_store inbox_take_load_store inbox_push_by_store
