#!/bin/sh
# limit: 600 s
# without: thread address
# A slice of `zig build sim`: programs that once failed, some thousand random ones; and the same trace, byte by byte, for a
# seed that is played twice, and by an optimised and by a debug build.
set -eu
sim=$EDDY_BUILD_DIR/eddy-sim debug=$EDDY_BUILD_DIR/eddy-sim-debug
"$sim" --kept "$EDDY_ROOT/tests/sim/kept" --runs 6000
"$debug" --seed 100001 --runs 1000
"$sim" --hash --seed 1 --runs 300 > "$EDDY_TMP/optimised" 2> "$EDDY_TMP/said"
"$sim" --hash --seed 1 --runs 300 > "$EDDY_TMP/again" 2> "$EDDY_TMP/said"
"$debug" --hash --seed 1 --runs 300 > "$EDDY_TMP/debug" 2> "$EDDY_TMP/said"
cmp "$EDDY_TMP/optimised" "$EDDY_TMP/again"
cmp "$EDDY_TMP/optimised" "$EDDY_TMP/debug"
[ "$(sort -u "$EDDY_TMP/debug" | wc -l)" = 300 ]
[ "$(cut -d' ' -f3 "$EDDY_TMP/debug" | sort -u | wc -l)" -gt 290 ] # the traces say something
