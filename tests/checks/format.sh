#!/bin/sh
# limit: 1200 s
# Every C file is as .clang-format makes it. A planted badly formatted file must be found. Skipped where
# clang-format is not of version 14: others format differently.
set -eu
tool=$(command -v clang-format-14 || command -v clang-format || :)
case $("${tool:-false}" --version 2>/dev/null || :) in
*" 14."*) ;;
*) echo "clang-format 14 is not here"; exit 77 ;;
esac

printf 'int   f( void ){return 1;}\n' > "$EDDY_TMP/planted.c"
cp "$EDDY_ROOT/.clang-format" "$EDDY_TMP/"
if "$tool" --dry-run --Werror "$EDDY_TMP/planted.c" 2>/dev/null; then
    echo "the planted badly formatted file was not found"
    exit 1
fi
cd "$EDDY_ROOT"
files=$(find include src tests examples bench -name '*.[ch]' 2>/dev/null | sort)
wrong=
for file in $files; do
    "$tool" "$file" | cmp -s - "$file" || wrong="$wrong $file"
done
[ -z "$wrong" ] || { echo "not as .clang-format makes them; clang-format -i$wrong"; exit 1; }
