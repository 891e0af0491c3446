#!/bin/sh
# run.sh: builds the model programs, runs their scenarios, compares what they come to with and without the explorer's
# reductions, then plants each mutant and requires that it is found.
#
#   tests/model/run.sh [--slice | --full] [--schedules N] [--seeds N] [--mutants NAME] [MODEL...]
#                                                                                last line: N passed, N failed
# At most 1,000,000 schedules a scenario. --slice: 4,000, for every test run; --full: 4,000,000, more than any of them has up
# to 3 preemptions, and 1,000,000 seeds.
# A model's file names what it is linked with ("Sources"), and what a copy made for it has smaller ("Smaller FILE EXPR").
# A line of mutants.txt plants a fault by sed in a copy of one file; only what the fault reaches is compiled again.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
if [ -n "${EDDY_TMP:-}" ]; then
    work=$EDDY_TMP/model
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
zig=${EDDY_ZIG:-$root/zigw}
case "$zig" in */zigw) "$zig" version > /dev/null ;; esac
limits='--schedules 1000000 --seeds 10000' planted='--schedules 60000 --seeds 30000' compared='--schedules 3000'
only_mutant='' models=''
while [ $# -gt 0 ]; do
    case "$1" in
    --slice) limits='--schedules 4000 --seeds 1000' compared='--schedules 500' ;;
    --full) limits='--schedules 4000000 --seeds 1000000' compared='--schedules 100000' ;;
    --schedules | --seeds) limits="$limits $1 $2" && shift ;;
    --mutants) only_mutant=$2 && shift ;;
    *) models="$models $1" ;;
    esac
    shift
done
[ -n "$models" ] || models=$(cd "$root/tests/model" && for file in *_model.c; do echo "${file%_model.c}"; done)

flags="-std=gnu11 -g -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wundef -Wvla -Wno-unused-variable -Wno-unused-function -Wno-unused-parameter -Werror
    -fno-sanitize=undefined -fno-stack-protector"
compile() { # OBJECT FILE FLAG...: includes are looked up in the mutant's tree first, then in the smaller copies
    to=$1 from=$2
    shift 2
    # shellcheck disable=SC2086 # lists of words
    "$zig" cc $flags -DED_CURRENT_BY_CALL "$@" -I"$root/src" -I"$root/include" -I"$root/tests/model" -c "$from" -o "$to"
}
instrumented() { # OBJECT FILE MUTANT-TREE SMALLER-TREE
    compile "$1" "$2" -O1 -fsanitize=thread -I"$3" -I"$4" -I"$root/src/lockfree/tsan"
}
about() { sed -n "s|^ \* $2  *||p" "$root/tests/model/$1_model.c" | sed 's|\*/||'; }

# build MODEL FOLDER MUTANT-TREE CHANGED-FILE: links FOLDER/MODEL; objects that the change does not reach are the base's.
build() {
    model=$1 folder=$2 tree=$3 changed=$4 base=$work/base/$model
    mkdir -p "$folder" "$base"
    objects=$work/explorer.o
    if [ "$changed" = tests/model/explorer.c ]; then
        objects=$folder/explorer.o
        compile "$objects" "${tree%/src}/$changed" -O2
    fi
    for source in tests/model/"$model"_model.c $(about "$model" Sources); do
        object=$(echo "$source" | tr / _).o
        from=$root/$source
        [ ! -e "$work/smaller/$model/$source" ] || from=$work/smaller/$model/$source
        [ ! -e "$tree/../$source" ] || from=$tree/../$source
        case "$changed" in
        "$source" | *.h) reached=yes ;;
        *.c) reached=no ;;
        *) reached=yes ;;
        esac
        if [ "$reached" = yes ]; then
            instrumented "$folder/$object" "$from" "$tree" "$work/smaller/$model/src"
            objects="$objects $folder/$object"
        else
            objects="$objects $base/$object"
        fi
    done
    # shellcheck disable=SC2086
    "$zig" cc -no-pie "$work/context.o" $objects -lpthread -o "$folder/$model"
}

mkdir -p "$work"
compile "$work/explorer.o" "$root/tests/model/explorer.c" -O2
compile "$work/context.o" "$root/src/coro/context.c" -O2
passed=0 failed=0
: > "$work/reach.txt"
# explore FLAG...: runs all scenarios of $model; adds its count.
explore() {
    status=0 && "$work/base/$model/$model" "$@" > "$work/output" || status=$?
    if tail -n 1 "$work/output" | grep -q '^[0-9]* passed, [0-9]* failed$'; then
        passed=$((passed + $(tail -n 1 "$work/output" | cut -d' ' -f1)))
        failed=$((failed + $(tail -n 1 "$work/output" | cut -d' ' -f3)))
    else
        echo "FAILED $model: ended with $status"
        failed=$((failed + 1))
    fi
}

for model in $models; do
    about "$model" Smaller > "$work/smaller.txt"
    while read -r file expression; do
        mkdir -p "$work/smaller/$model/$(dirname "$file")"
        sed "$expression" "$root/$file" > "$work/smaller/$model/$file"
        ! cmp -s "$root/$file" "$work/smaller/$model/$file" || { echo "$model: nothing made smaller in $file"; exit 1; }
    done < "$work/smaller.txt"
    build "$model" "$work/base/$model" "$work/none/src" ''
    # shellcheck disable=SC2086
    explore $limits
    cat "$work/output"
    [ "$model" = litmus ] || cat "$work/output" >> "$work/reach.txt"
    # shellcheck disable=SC2086
    explore $compared --compare
    grep -v '^ok' "$work/output" | sed 's/^[0-9]* passed/compared: &/'
done
if [ -s "$work/reach.txt" ]; then
    whole() { grep -c "all up to $1 preemptions[,)]" "$work/reach.txt" || true; }
    echo "whole up to 3 preemptions: $(whole 3) scenarios; up to 2: $(whole 2); up to 1: $(whole 1)"
fi

. "$root/tests/harness/mutants.sh"
source_of() { if [ -e "$work/smaller/$model/$file" ]; then echo "$work/smaller/$model/$file"; else echo "$root/$file"; fi; }
try_mutant() {
    if ! build "$model" "$work/mutant" "$work/changed/$name/src" "$file" > "$work/output" 2>&1; then
        cat "$work/output"
        why="does not build"
        return 1
    fi
    if [ "$file" = tests/model/explorer.c ]; then
        "$work/mutant/$model" --compare --quiet --only "$scenario" > "$work/output" || true
        why=$(grep -m 1 'NOT THE SAME' "$work/output") && return
        why="what is left out is not missed in $model $scenario"
        return 1
    fi
    # shellcheck disable=SC2086
    status=0 && "$work/mutant/$model" $planted --quiet --only "$scenario" > "$work/output" || status=$?
    why="not found by $model $scenario (status $status)"
    [ "$status" = 1 ] && grep -q '^  violation: ' "$work/output" || return 1
    why=$(grep -m 1 '^  violation: ' "$work/output" | cut -c 14-)
}
for model in $models; do grep -E "^[^|]*[|] *$model *[|]" "$root/tests/model/mutants.txt" || true; done > "$work/mutants.txt"
if [ -n "$only_mutant" ]; then
    grep -E "^$only_mutant *[|]" "$work/mutants.txt" > "$work/one.txt" || { echo "no mutant $only_mutant" && exit 1; }
    mv "$work/one.txt" "$work/mutants.txt"
fi
walk_mutants "$work/mutants.txt" 'name model scenario file expression' || true
passed=$((passed + found)) failed=$((failed + missed))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
