#!/bin/sh
# limit: 1200 s
# `zig build faults`, whole: each call of the system that eleven programs come to fails once, in every place. The
# planted leak and the planted second close must be found.
set -eu
"$EDDY_BUILD_DIR/eddy-faults" > "$EDDY_TMP/output" || { cat "$EDDY_TMP/output"; exit 1; }
tail -n 2 "$EDDY_TMP/output"
points=$(sed -n 's/ points:.*//p' "$EDDY_TMP/output")
[ "$points" -ge 1600 ] || { echo "only $points points"; exit 1; }
if "$EDDY_BUILD_DIR/eddy-faults" --planted --kind write > "$EDDY_TMP/planted"; then
    cat "$EDDY_TMP/planted"
    echo "the planted faults were not found"
    exit 1
fi
for said in "bytes are left" "is closed and was not open"; do
    grep -q "$said" "$EDDY_TMP/planted" || { cat "$EDDY_TMP/planted"; echo "nobody said: $said"; exit 1; }
done
