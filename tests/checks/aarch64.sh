#!/bin/sh
# limit: 600 s
# The library and the examples build and link for aarch64, with the acquire and release instructions that the
# orders ask for: a compiler that took an x86 short cut would leave them out. The arm64 packages come from
# build/aarch64-packages into .zig/aarch64; skipped where they are not.
set -eu
root=$EDDY_ROOT/.zig/aarch64
[ -e "$root/usr/include/uv.h" ] || { echo "no arm64 packages: build/aarch64-packages .zig/aarch64"; exit 77; }
cd "$EDDY_ROOT"
"$EDDY_ZIG" build install examples -Dtarget=aarch64-linux-gnu.2.36 "-Ddeps-root=$root" --prefix "$EDDY_TMP/out"

# Is the instruction in the text? Instructions are words; od prints each as 8 hex digits.
has() { # name, regular expression over those digits, where
    od -An -v -t x4 -w4 "$EDDY_TMP/all.bin" | awk -v want="^ *$2\$" '$0 ~ want { found = 1 } END { exit !found }' ||
        { echo "$3: no $1 in the object code"; exit 1; }
}
"$EDDY_ZIG" ld.lld -r --whole-archive -o "$EDDY_TMP/all.o" "$EDDY_TMP/out/lib/libeddy.a"
"$EDDY_ZIG" objcopy -O binary --only-section=.text "$EDDY_TMP/all.o" "$EDDY_TMP/all.bin"
has ldar '[8c]8dff[cdef]..' libeddy.a
has stlr '[8c]89ff[cdef]..' libeddy.a
has ldaxr '[8c]85ff[cdef]..' libeddy.a
has stlxr '[8c]8[01].f[cdef]..' libeddy.a
has dmb 'd5033[0-9a-f]bf' 'Concurrency Kit in libeddy.a'

# The same question to code without orders must be answered with no.
echo 'int x; int f(void) { return x++; }' > "$EDDY_TMP/plain.c"
"$EDDY_ZIG" cc -target aarch64-linux-gnu -O2 -c -o "$EDDY_TMP/plain.o" "$EDDY_TMP/plain.c"
"$EDDY_ZIG" objcopy -O binary --only-section=.text "$EDDY_TMP/plain.o" "$EDDY_TMP/all.bin"
if (has ldar '[8c]8dff[cdef]..' plain) >/dev/null; then echo "ldar was found where there is none"; exit 1; fi
