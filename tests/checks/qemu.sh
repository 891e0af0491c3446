#!/bin/sh
# limit: 1200 s
# A slice of `zig build qemu`: the core's tests, built for aarch64, on two workers. Then the simulator: a seed gives the same
# trace, byte for byte, as aarch64 code and as this machine's; another seed does not. The arm64 packages come from
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

traces() { # PROGRAM...: of a hundred seeds, the bytes of each trace and their hash
    "$@" --runs 100 2> "$EDDY_TMP/said" | cut -d' ' -f2-
}
traces "$EDDY_BUILD_DIR/eddy-sim" --hash --seed 1 > "$EDDY_TMP/here"
traces "$EDDY_BUILD_DIR/eddy-sim" --hash --seed 101 > "$EDDY_TMP/others"
cd "$EDDY_ROOT"
traces qemu-aarch64-static -L .zig/aarch64 zig-out/bin/qemu/eddy-sim --hash --seed 1 > "$EDDY_TMP/aarch64"
[ "$(wc -l < "$EDDY_TMP/aarch64")" = 100 ]
cmp "$EDDY_TMP/here" "$EDDY_TMP/aarch64"
if cmp -s "$EDDY_TMP/others" "$EDDY_TMP/aarch64"; then echo "all seeds are one" && exit 1; fi
echo "100 seeds give the same traces"
