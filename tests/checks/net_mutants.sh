#!/bin/sh
# limit: 1200 s
# Faults planted in streams, servers and waiting, one at a time: the tests that run over the simulated network must find each.
# Words choose lines of tests/sim/net_mutants.txt.
set -eu
root=${EDDY_ROOT:-$(pwd)} work=${EDDY_TMP:-$(mktemp -d)} zig=${EDDY_ZIG:-./zigw}
cd "$root"
. tests/harness/mutants.sh
flags='-std=gnu11 -O1 -g -D_GNU_SOURCE -Isrc -Iinclude -Itests -fno-sanitize=undefined -fno-stack-protector'
flags="$flags -DHARNESS_HAS_sim=1 -DHARNESS_HAS_runtime=1"
build_library
# shellcheck disable=SC2046 # words
compile_each "$work/tests" $(find tests/harness -name '*.c' ! -name '*_test.c') tests/sim/net_test.c tests/net/stream_test.c \
    tests/net/server_test.c tests/net/chaos_test.c

tests_find() { # program option...
    program=$1
    shift
    "$program" --variant plain --simulated --seeds 2 --only stream. --only server. --only chaos. "$@" > "$work/output" 2>&1 || return 0
    "$program" --variant plain --only sim_net. "$@" > "$work/output" 2>&1 || return 0
    return 1
}
try_mutant() {
    link_mutant "$work/mutant" "$work"/tests/*.o
    tests_find "$work/mutant" --limit 20 && why=$(grep -m 1 '^FAIL' "$work/output")
}

link_program "$work/good" "$work"/tests/*.o
if tests_find "$work/good"; then
    tail -n 20 "$work/output"
    echo "the tests fail without a planted fault"
    exit 1
fi
walk_mutants tests/sim/net_mutants.txt 'name file expression' "$@"
