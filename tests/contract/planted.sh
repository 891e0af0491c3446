#!/bin/sh
# planted.sh: breaks a rule of the contract on purpose, and requires that its test turns red.
#
#   tests/contract/planted.sh [--sample | TEXT...]      last line: N passed, N failed
#
# Without words: every line of planted.txt; words choose the lines that contain one of them. The tests are built once;
# for a line one changed file is compiled and linked before the rest. Each test chosen must first pass unchanged. `sim` runs
# it on the simulator, where a hang is a panic; `real` on one worker. A hang, a crash and a failed claim are red alike.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
if [ -n "${EDDY_TMP:-}" ]; then
    work=$EDDY_TMP/planted
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
zig=${EDDY_ZIG:-$root/zigw}
cd "$root"
. tests/harness/mutants.sh

flags="-std=gnu11 -g -O1 -D_GNU_SOURCE= -DHARNESS_HAS_sim=1 -DHARNESS_HAS_runtime=1 -Isrc -Iinclude -Itests
    -fno-sanitize=undefined -fno-stack-protector -fno-omit-frame-pointer -fstack-clash-protection"
build_library
# shellcheck disable=SC2046 # words
compile_each "$work/tests" $(find tests/harness tests/contract -name '*.c') tests/exec/process_helpers_test.c
link_program "$work/unchanged" "$work"/tests/*.o

run() { # PROGRAM TEST HOW OPTION...: its exit status; what it said is in $work/output
    program=$1 test=$2
    case "$3" in
    sim) where='--simulated --seeds 2' ;;
    real) where='--workers 1' ;;
    *) why="neither sim nor real: $3" && return 2 ;;
    esac
    shift 3
    # shellcheck disable=SC2086
    if TMPDIR=$work "$program" --only "contract.$test" $where "$@" > "$work/output" 2>&1; then return 0; else return $?; fi
}

try_mutant() {
    if ! run "$work/unchanged" "$name" "$how"; then
        cat "$work/output"
        why="red without a fault, or there is no such test"
        return 1
    fi
    if ! link_mutant "$work/program" "$work"/tests/*.o > "$work/output" 2>&1; then
        cat "$work/output"
        why="the changed $file does not build"
        return 1
    fi
    status=0
    run "$work/program" "$name" "$how" --limit 20 || status=$? # some hang
    why="not red (status $status) with $file changed by $expression"
    [ "$status" = 1 ] && grep -q '^FAIL ' "$work/output" && why=$(sed -n '/^FAIL /{n;p;q;}' "$work/output")
}

[ "$*" != --sample ] || set -- $(sed -n 's/^sample //p' tests/contract/planted.txt)
walk_mutants tests/contract/planted.txt 'name how file expression' "$@"
