# mutants.sh: what scripts share that plant faults and require that each is found. Read by `.`, not run.
#
# A list has a line for each fault: NAME | ... | FILE | SED EXPRESSION. The script that reads this sets root (the tree), work
# (a folder that it removes) and zig, and defines
#     try_mutant    tries the changed copy of $file that lies at $mutated; 0 if the fault was found; `why` is printed.
#     source_of     may be defined anew: prints which file is changed; the tree's own if not.
# shellcheck shell=sh disable=SC2034,SC2086,SC2154

source_of() { echo "$root/$file"; }

# walk_mutants LIST FIELDS WORD...: FIELDS names the variables that a line is read into, `name` the first, `file` and
# `expression` the last. Words choose the lines that contain one of them; without words: every line. Its last line counts;
# fails unless all were found.
walk_mutants() {
    list=$1 fields=$2 found=0 missed=0
    shift 2
    grep -v -e '^#' -e '^sample' -e '^$' "$list" > "$work/all.txt"
    for word; do
        grep -qF -e "$word" "$work/all.txt" || { echo "$list has no line with $word" >&2; return 1; }
    done
    words=$(printf '%s\n' "$@")
    grep -F -e "$words" "$work/all.txt" > "$work/lines.txt"
    while IFS='|' read -r $fields; do
        for field in $fields; do [ "$field" = expression ] || eval "$field=\$(echo \$$field)"; done
        mutated=$work/changed/$name/$file why= # a folder of its own: zig caches by names
        mkdir -p "$(dirname "$mutated")"
        sed "$expression" "$(source_of)" > "$mutated"
        if cmp -s "$(source_of)" "$mutated"; then
            echo "MISSED $name: its expression changes nothing in $file"
            missed=$((missed + 1))
        elif try_mutant; then
            echo "found  $name: $(echo "$why" | cut -c 1-150)"
            found=$((found + 1))
        else
            echo "MISSED $name: $why"
            missed=$((missed + 1))
        fi
        rm -rf "$work/changed" # a folder: what is in it belongs to one fault
    done < "$work/lines.txt"
    echo "$found passed, $missed failed"
    [ "$missed" = 0 ] && [ "$found" != 0 ]
}

# compile_each OBJECT-FOLDER FILE...: compiles each file with $flags.
compile_each() {
    objects=$1
    shift
    mkdir -p "$objects"
    printf '%s\n' "$@" | xargs -P 2 -I FILE sh -c "$zig cc $(echo $flags) -c FILE -o $objects/\$(echo FILE | tr / _).o"
}

# The library file by file, as what is shipped is not (docs/adr/0012-core-is-one-object.md): a changed file that is linked
# before it takes the place of one of its own.
build_library() {
    case "$zig" in */zigw) "$zig" version > /dev/null ;; esac
    library=$work/libeddy.a
    compile_each "$work/library" $(find src -name '*.c')
    "$zig" ar rcs "$library" "$work"/library/*.o
}

# link_mutant PROGRAM OBJECT...: the changed file, the objects, the library.
link_mutant() {
    program=$1
    shift
    # Apart: objects of sources come behind libraries.
    "$zig" cc $flags -c "$mutated" -o "$work/mutant.o" && link_program "$program" "$work/mutant.o" "$@"
}
link_program() {
    program=$1
    shift
    "$zig" cc "$@" "$library" -luv -lunwind -lssl -lcrypto -lpthread -lm -o "$program"
}
