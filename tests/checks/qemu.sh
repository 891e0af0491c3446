#!/bin/sh
# limit: 1200 s
# A slice of `zig build qemu`: the core's tests, built for aarch64, on two workers. The arm64 packages come from
# build/aarch64-packages into .zig/aarch64; skipped where they are not.
set -eu
[ -e "$EDDY_ROOT/.zig/aarch64/lib" ] || { echo "no arm64 packages: build/aarch64-packages .zig/aarch64"; exit 77; }
command -v qemu-aarch64-static >/dev/null || { echo "no qemu-aarch64-static"; exit 77; }
only=
for suite in base coro_context coro_stack deque inbox start idle steal future cancel group wait lock queue semaphore; do
    only="$only --only $suite."
done
# shellcheck disable=SC2086 # a list of words
(cd "$EDDY_ROOT" && "$EDDY_ZIG" build qemu -- --workers 2 $only)
