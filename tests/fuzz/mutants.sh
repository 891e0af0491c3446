#!/bin/sh
# Each fault of mutants.txt, planted in eddy, must be found by the recorded programs: mutants.sh [--shrink] [WORD...].
# --shrink: and by live ones, of which one is printed, made smaller, as Python and as C that compile.
set -eu
root=${EDDY_ROOT:-$(pwd)}
zig=${EDDY_ZIG:-$root/zigw}
shrink=no
[ "${1:-}" != --shrink ] || { shrink=yes && shift; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
. tests/harness/mutants.sh
flags="-std=gnu11 -g -O1 -D_GNU_SOURCE= -Isrc -Iinclude -fno-sanitize=undefined -fno-stack-protector -fno-omit-frame-pointer"
build_library
compile_each "$work/fuzz" tests/fuzz/fuzz.c
link_program "$work/unchanged" "$work"/fuzz/*.o
tests/fuzz/fuzz.py --interpreter "$work/unchanged" --recorded --quiet

printed() { # between two headings of what the fuzzer printed
    sed -n "/^---- $1\$/,/^---- $2\$/p" "$work/said" | sed '1d;$d'
}
try_mutant() {
    link_mutant "$work/mutant" "$work"/fuzz/*.o
    status=0 && tests/fuzz/fuzz.py --interpreter "$work/mutant" --recorded --quiet > "$work/said" || status=$?
    why=$(cat "$work/said")
    [ "$status" = 1 ] && grep -q ' differ$' "$work/said" || return 1
    [ "$shrink" = yes ] || return 0
    status=0 && tests/fuzz/fuzz.py --interpreter "$work/mutant" --programs 2000 --failures 1 > "$work/said" || status=$?
    printed 'as Python' 'as C' > "$work/smaller.py"
    printed 'as C' logs > "$work/smaller.c"
    why="$why; smaller: $(grep -c '^async def t[0-9]' "$work/smaller.py") tasks"
    [ "$status" = 1 ] && grep -q '^async def t0' "$work/smaller.py" && python3 -m py_compile "$work/smaller.py" &&
        "$zig" cc -std=gnu11 -Iinclude -c "$work/smaller.c" -o "$work/smaller.o"
}

walk_mutants tests/fuzz/mutants.txt 'name file expression' "$@"
