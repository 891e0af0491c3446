#!/bin/sh
# limit: 1200 s
# A slice of `zig build chaos`: no wake-up is lost. Then wake-ups that are lost by design: mutants of tests/model/mutants.txt
# that are no matter of memory order, which this machine might not show.
set -eu
"$EDDY_BUILD_DIR/chaos/eddy-chaos" --seeds 500

root=$EDDY_ROOT work=$EDDY_TMP zig=$EDDY_ZIG
cd "$root"
. tests/harness/mutants.sh
flags='-std=gnu11 -O2 -D_GNU_SOURCE -DED_CHAOS_ON=1 -Isrc -Iinclude -fno-sanitize=undefined'
build_library
compile_each "$work/chaos" tests/chaos/chaos.c
try_mutant() {
    link_mutant "$work/mutant" "$work"/chaos/*.o
    why="planted and not found"
    "$work/mutant" --seeds 3000 --limit-s 2 > "$work/output" 2>&1 && return 1
    grep -q "a wake-up was lost" "$work/output" && why=$(grep -m 1 FAIL "$work/output")
}
walk_mutants tests/model/mutants.txt 'name model scenario file expression' \
    idle_no_second_look idle_wake_before_push idle_token_dropped future_link_no_look future_finish_misses_list
