#!/bin/sh
# limit: 200 s
# A slice of `zig build stress`: no item of a queue is lost, none comes twice. Then queues that lose or double items by design
# (mutants of tests/model/mutants.txt), which must be found.
set -eu
"$EDDY_BUILD_DIR/eddy-stress" --items 4000000

cd "$EDDY_ROOT"
for name in deque_take_by_store inbox_take_load_store inbox_push_by_store; do
    line=$(grep "^$name |" tests/model/mutants.txt)
    file=$(echo "$line" | cut -d'|' -f4 | tr -d ' ')
    copy=$EDDY_TMP/$name
    mkdir -p "$copy/$(dirname "${file#src/}")"
    sed "$(echo "$line" | cut -d'|' -f5-)" "$file" > "$copy/${file#src/}"
    ! cmp -s "$file" "$copy/${file#src/}" || { echo "$name changes nothing in $file"; exit 1; }
    case $file in *.c) source=$copy/${file#src/} ;; *) source= ;; esac
    # shellcheck disable=SC2086 # one word or none
    "$EDDY_ZIG" cc -std=gnu11 -O2 -fno-sanitize=undefined -D_GNU_SOURCE "-I$copy" -Isrc -Iinclude -o "$copy/stress" \
        $source tests/stress/stress.c "${EDDY_BUILD_DIR%/*}/lib/libeddy.a" -luv -lpthread
    if timeout 60 "$copy/stress" --items 20000000 --only "${name%%_*}" > "$copy/output" 2>&1; then
        echo "planted and not found: $name"
        exit 1
    fi
    echo "found $name: $(grep FAIL "$copy/output" || echo "it waits for lost items")"
done
