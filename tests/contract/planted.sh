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
case "$zig" in */zigw) "$zig" version > /dev/null ;; esac
mkdir -p "$work/objects"
cd "$root"
. tests/harness/mutants.sh

flags="-std=gnu11 -g -O1 -D_GNU_SOURCE= -DHARNESS_HAS_sim=1 -DHARNESS_HAS_runtime=1 -fno-sanitize=undefined
    -fno-stack-protector -fno-omit-frame-pointer -fstack-clash-protection"
# compile FILE OBJECT
compile() {
    # shellcheck disable=SC2086 # words
    "$zig" cc $flags -I"$root/src" -I"$root/include" -I"$root/tests" -c "$1" -o "$2"
}
link() { # PROGRAM OBJECT...
    program=$1
    shift
    "$zig" cc -o "$program" "$@" -luv -lunwind -lpthread -lm
}
object() { echo "$work/objects/$(echo "$1" | tr / _).o"; }

sources="$(find src tests/harness tests/contract -name "*.c" | sort) tests/exec/process_helpers_test.c"
# shellcheck disable=SC2086
echo $sources | tr ' ' '\n' | xargs -P 2 -I FILE sh -c "
    $zig cc $(echo $flags) -I$root/src -I$root/include -I$root/tests -c FILE -o $work/objects/\$(echo FILE | tr / _).o"
objects=
for source in $sources; do objects="$objects $(object "$source")"; done
# shellcheck disable=SC2086
link "$work/unchanged" $objects

run() { # PROGRAM TEST HOW: its exit status; what it said is in $work/output
    case "$3" in
    sim) where='--simulated --seeds 2' ;;
    real) where='--workers 1' ;;
    *) why="neither sim nor real: $3" && return 2 ;;
    esac
    # shellcheck disable=SC2086
    if TMPDIR=$work "$1" --only "contract.$2" $where > "$work/output" 2>&1; then return 0; else return $?; fi
}

try_mutant() {
    if ! run "$work/unchanged" "$name" "$how"; then
        cat "$work/output"
        why="red without a fault, or there is no such test"
        return 1
    fi
    if ! compile "$mutated" "$work/changed.o" > "$work/output" 2>&1; then
        cat "$work/output"
        why="the changed $file does not build"
        return 1
    fi
    others=
    for one in $objects; do [ "$one" = "$(object "$file")" ] || others="$others $one"; done
    # shellcheck disable=SC2086
    link "$work/program" "$work/changed.o" $others
    status=0
    run "$work/program" "$name" "$how" || status=$?
    why="not red (status $status) with $file changed by $expression"
    [ "$status" = 1 ] && grep -q '^FAIL ' "$work/output" && why=$(sed -n '/^FAIL /{n;p;q;}' "$work/output")
}

[ "$*" != --sample ] || set -- $(sed -n 's/^sample //p' tests/contract/planted.txt)
walk_mutants tests/contract/planted.txt 'name how file expression' "$@"
