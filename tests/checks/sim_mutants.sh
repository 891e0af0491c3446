#!/bin/sh
# limit: 1200 s
# Faults planted in the core, one at a time: random programs on the simulator, or those kept of them, must find each. Words
# choose lines of tests/sim/mutants.txt.
set -eu
root=${EDDY_ROOT:-$(pwd)} work=${EDDY_TMP:-$(mktemp -d)} zig=${EDDY_ZIG:-./zigw}
cd "$root"
. tests/harness/mutants.sh
flags='-std=gnu11 -O1 -g -D_GNU_SOURCE -Isrc -Iinclude -fno-sanitize=undefined -fno-stack-protector'
build_library
compile_each "$work/sim" tests/sim/main.c tests/sim/program.c tests/sim/play.c

try_mutant() {
    link_mutant "$work/mutant" "$work"/sim/*.o
    "$work/mutant" --kept tests/sim/kept --runs 3000 --failures 1 --no-shrink > "$work/output" 2>&1 || true
    why=$(grep -m 1 -E '^(FAIL seed [0-9]*: )?(claim|eddy: (simulation|[^ ]*: assertion))' "$work/output") && return 0
    why=$(tail -n 1 "$work/output")
    return 1
}

walk_mutants tests/sim/mutants.txt 'name file expression' "$@"
