#!/bin/sh
# limit: 1200 s
# `zig build faults`, whole: each call of the system that twelve programs come to fails once, in every place. The
# planted leak and the planted second close must be found.
set -eu
"$EDDY_BUILD_DIR/eddy-faults" > "$EDDY_TMP/output" || { cat "$EDDY_TMP/output"; exit 1; }
tail -n 2 "$EDDY_TMP/output"
points=$(sed -n 's/ points:.*//p' "$EDDY_TMP/output")
[ "$points" -ge 1600 ] || { echo "only $points points"; exit 1; }
planted() { # program, what is said of it
    if "$EDDY_BUILD_DIR/eddy-faults" --planted --only "$1" --kind write > "$EDDY_TMP/planted" ||
        ! grep -q "$2" "$EDDY_TMP/planted"; then
        cat "$EDDY_TMP/planted"
        echo "planted, and not found: $2"
        exit 1
    fi
}
planted forgets "bytes are left"
planted meddles "is closed and was not open"
