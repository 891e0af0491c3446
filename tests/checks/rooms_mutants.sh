#!/bin/sh
# limit: 1800 s
# Faults planted in what the simulated network does not reach alone: the worker's own descriptors, pieces, files, descriptors
# that are passed, moving streams, TLS, datagrams, look-ups, watches, file calls, child processes. The suite that a line names
# must find each. Words choose lines of tests/net/rooms_mutants.txt.
set -eu
root=${EDDY_ROOT:-$(pwd)} work=${EDDY_TMP:-$(mktemp -d)} zig=${EDDY_ZIG:-./zigw}
cd "$root"
. tests/harness/mutants.sh
flags='-std=gnu11 -O1 -g -D_GNU_SOURCE -Isrc -Iinclude -Itests -fno-sanitize=undefined -fno-stack-protector'
flags="$flags -DHARNESS_HAS_sim=1 -DHARNESS_HAS_runtime=1"
build_library
# shellcheck disable=SC2046 # words
compile_each "$work/tests" $(find tests/harness -name '*.c' ! -name '*_test.c') $(find tests/loop tests/net tests/file tests/child -name '*_test.c')

tests_find() { # program suite option...
    program=$1 only=$2
    shift 2
    "$program" --variant plain --workers 2 --seeds 2 --only "$only" "$@" > "$work/output" 2>&1 || return 0
    return 1
}
try_mutant() { # some hang: a limit shorter than a test's own may end it, as the fault is there
    link_mutant "$work/mutant" "$work"/tests/*.o
    for round in 1 2 3 4 5; do # real workers: a fault may show in one round and not in another
        tests_find "$work/mutant" "$suite" --limit 20 && why=$(grep -m 1 '^FAIL' "$work/output") && return
    done
    return 1
}

link_program "$work/good" "$work"/tests/*.o
for suite in $(sed -n 's/^[a-z_]* | \([a-z_]*\.\).*/\1/p' tests/net/rooms_mutants.txt | sort -u); do
    if tests_find "$work/good" "$suite"; then
        tail -n 20 "$work/output"
        echo "the tests fail without a planted fault"
        exit 1
    fi
done
walk_mutants tests/net/rooms_mutants.txt 'name suite file expression' "$@"
