#!/bin/sh
# limit: 1200 s
# `zig build faults`, whole: each call of the system that nine programs come to fails once, in every place. The
# planted leak must be found.
set -eu
"$EDDY_BUILD_DIR/eddy-faults" > "$EDDY_TMP/output" || { cat "$EDDY_TMP/output"; exit 1; }
tail -n 2 "$EDDY_TMP/output"
points=$(sed -n 's/ points:.*//p' "$EDDY_TMP/output")
[ "$points" -ge 1200 ] || { echo "only $points points"; exit 1; }
if "$EDDY_BUILD_DIR/eddy-faults" --planted --kind write > "$EDDY_TMP/planted" || ! grep -q "bytes are left" "$EDDY_TMP/planted"; then
    cat "$EDDY_TMP/planted"
    echo "the planted leak was not found"
    exit 1
fi
