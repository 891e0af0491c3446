#!/bin/sh
# limit: 400 s
# A slice of `zig build chaos`: no wake-up is lost. Then wake-ups that are lost by design: mutants of tests/model/mutants.txt
# that are no matter of memory order, which this machine might not show. Each is compiled, linked before the library, and
# must be found.
set -eu
folder=$EDDY_BUILD_DIR/chaos
library=${EDDY_BUILD_DIR%/*}/lib/chaos/libeddy.a
cd "$EDDY_ROOT"
"$folder/eddy-chaos" --seeds 500

for name in idle_no_second_look idle_wake_before_push idle_token_dropped future_link_no_look future_finish_misses_list; do
    line=$(grep "^$name |" tests/model/mutants.txt)
    file=$(echo "$line" | cut -d'|' -f4 | tr -d ' ')
    copy=$EDDY_TMP/$name
    mkdir -p "$copy"
    sed "$(echo "$line" | cut -d'|' -f5-)" "$file" > "$copy/$(basename "$file")"
    ! cmp -s "$file" "$copy/$(basename "$file")" || { echo "$name changes nothing in $file"; exit 1; }
    "$EDDY_ZIG" cc -std=gnu11 -O2 -D_GNU_SOURCE -DED_CHAOS_ON=1 -Isrc -Iinclude -o "$copy/chaos" \
        "$copy/$(basename "$file")" tests/chaos/chaos.c "$library" -luv -lpthread
    if "$copy/chaos" --seeds 3000 --limit-s 2 > "$copy/output" 2>&1 || ! grep -q "a wake-up was lost" "$copy/output"; then
        tail -n 20 "$copy/output"
        echo "planted and not found: $name"
        exit 1
    fi
    echo "found $name: $(grep -m 1 FAIL "$copy/output")"
done
