#!/bin/sh
# limit: 60 s
# without: thread address
# Each benchmark runs in small: it checks its own answers, and it must print a figure for each question.
set -eu
for source in "$EDDY_ROOT"/bench/*_bench.c; do
    program=$EDDY_BUILD_DIR/$(basename "$source" .c)
    "$program" --quick > "$EDDY_TMP/figures"
    rows=$(grep -Ec '^[a-z_]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ ' "$EDDY_TMP/figures") || rows=0
    [ "$rows" -ge 5 ] || { echo "$program printed $rows figures:"; cat "$EDDY_TMP/figures"; exit 1; }
done
