#!/bin/sh
# limit: 1200 s
# Faults planted in the core, one at a time: random programs on the simulator, or those kept of them, must find each. Of two
# the seed must replay, and so must what it is shrunk to. Words choose lines of tests/sim/mutants.txt.
set -eu
root=${EDDY_ROOT:-$(pwd)} work=${EDDY_TMP:-$(mktemp -d)} zig=${EDDY_ZIG:-./zigw}
cd "$root"
. tests/harness/mutants.sh
flags='-std=gnu11 -O1 -g -D_GNU_SOURCE -Isrc -Iinclude -fno-sanitize=undefined -fno-stack-protector'
build_library
compile_each "$work/sim" tests/sim/main.c tests/sim/program.c tests/sim/play.c

first_failure() { grep -m 1 '^FAIL seed' "$1" | tr -d 0-9; }
replays() { # the same words, numbers aside, from the seed and from a program of less than half its lines
    seed=$(sed -n 's/^FAIL seed \([0-9]*\): .*/\1/p' "$work/output")
    kept=$(sed -n 's/^  replay .* --program \([^ ]*\) --trace$/\1/p' "$work/output")
    for again in "--seed $seed --runs 1" "--program $kept"; do
        # shellcheck disable=SC2086 # a list of words
        "$work/mutant" $again --no-shrink > "$work/again" 2>&1 && return 1
        [ "$(first_failure "$work/again")" = "$(first_failure "$work/output")" ] || return 1
    done
    [ $(($(wc -l < "$kept") * 2)) -lt "$("$work/mutant" --seed "$seed" --print | wc -l)" ]
}
try_mutant() {
    link_mutant "$work/mutant" "$work"/sim/*.o
    shrinks=--no-shrink
    case $name in drop_missed | domain_ignored) shrinks= ;; esac
    # shellcheck disable=SC2086 # nothing or a word
    EDDY_TMP=$work "$work/mutant" --kept tests/sim/kept --runs 3000 --failures 1 $shrinks > "$work/output" 2>&1 || true
    why=$(grep -m 1 -E '^(FAIL seed [0-9]*: )?(claim|eddy: (simulation|[^ ]*: assertion))' "$work/output") || {
        why=$(tail -n 1 "$work/output")
        return 1
    }
    [ -n "$shrinks" ] || replays || { why="it does not replay: $(cat "$work/again")" && return 1; }
}

walk_mutants tests/sim/mutants.txt 'name file expression' "$@"
