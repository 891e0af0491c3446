#!/bin/sh
# limit: 600 s
# without: thread address
# The documents say what is so: each block of C stands under a marker and equals the file, or the part of it, that the
# marker names; each link, file and function that is mentioned exists. Planted offences must be found, line by line.
#
#     <!-- listing: examples/x.c -->                       the whole file
#     <!-- listing: examples/x.c /^int main/,/^}/ -->      what sed -n '/^int main/,/^}/p' prints
set -eu
root=${EDDY_ROOT:-$(pwd)}
work=${EDDY_TMP:-$(mktemp -d)}

# Prints "document:line: what is wrong" for each offence in the documents given, paths relative to the current folder.
offences() {
    for document in "$@"; do
        # Markers with the line that their block begins at, and blocks of C without one.
        awk '
            { fence = /^```/ }
            fence && !open { open = 1; if ($0 == "```c" && !(marker && marker == NR - 1)) print NR, "unmarked" ; next }
            fence { open = 0; next }
            !open && /^<!-- listing: .* -->$/ { marker = NR; sub(/^<!-- listing: /, ""); sub(/ -->$/, ""); print NR, "marker", $0 }
        ' "$document" | while read -r line kind file address; do
            if [ "$kind" = unmarked ]; then
                echo "$document:$line: a block of C without a listing marker before it"
            elif [ ! -f "$file" ]; then
                echo "$document:$line: no such file: $file"
            else
                sed -n "${address:-1,\$}p" "$file" > "$work/want" || echo "$document:$line: sed cannot read: $address"
                awk -v first="$((line + 1))" 'NR < first { next } NR == first { if (!/^```/) exit; next } /^```/ { exit } { print }' \
                    "$document" > "$work/got"
                [ -s "$work/want" ] || echo "$document:$line: the listing is empty: $file ${address:-}"
                diff "$work/got" "$work/want" > "$work/diff" ||
                    { echo "$document:$line: differs from $file ${address:-} (<: the document)"; cat "$work/diff"; }
            fi
        done

        folder=$(dirname "$document")
        grep -no '](\([^)]*\))' "$document" | sed 's/\](\(.*\))/\1/; s/#.*//' | while IFS=: read -r line link; do
            case $link in
            http* | '') ;;
            *) [ -e "$folder/$link" ] || echo "$document:$line: no such file to link to: $link" ;;
            esac
        done
        # Words in capitals stand for names: tests/ROOM/NOUN_test.c.
        grep -no '`\(src\|include\|tests\|examples\|bench\|build\|docs\)/[^` ]*`' "$document" | tr -d '\140' |
            grep -v ':.*[A-Z][A-Z]' | while IFS=: read -r line path; do
            [ -e "$path" ] || echo "$document:$line: no such file: $path"
        done
        grep -now '\(eddy\|EDDY\|ed\|ED\)_[A-Za-z0-9_]*[A-Za-z0-9]' "$document" | while IFS=: read -r line name; do
            grep -rqw -e "$name" include src tests/harness build.zig || echo "$document:$line: no such name: $name"
        done
    done
}

mkdir -p "$work/bad/examples" "$work/bad/include" "$work/bad/src" "$work/bad/tests/harness"
cd "$work/bad"
printf 'int x;\nint f(void) {\n    return 1;\n}\n' > examples/x.c
echo 'int eddy_known;' > include/known.h
: > build.zig
cat > README.md <<'END'
<!-- listing: examples/x.c -->
```c
int x;
int f(void) {
    return 1;
}
```
<!-- listing: examples/x.c /^int f/,/^}/ -->
```c
int f(void) {
    return 2;
}
```
<!-- listing: examples/y.c -->
```c
int y;
```

```c
int unmarked;
```
<!-- listing: examples/x.c /^no such line/ -->
```c
```
[good](examples/x.c) [bad](examples/z.c) `examples/x.c` `src/nowhere.c` `tests/ROOM/NOUN_test.c` eddy_known eddy_unknown
END
found=$(offences README.md | sed -n 's/^README.md:\([0-9]*\): .*/\1/p' | tr '\n' ' ')
want="8 14 19 22 25 25 25 "
[ "$found" = "$want" ] || { echo "the planted offences were not all found: want $want, got $found"; offences README.md; exit 1; }

cd "$root"
documents="README.md CONTRIBUTING.md $(find docs -name '*.md' | sort)"
grep -q '^<!-- listing: ' README.md || { echo "README.md has no listing"; exit 1; }
# shellcheck disable=SC2086 # a list of words
result=$(offences $documents)
[ -z "$result" ] || { echo "$result"; exit 1; }
