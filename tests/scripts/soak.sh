#!/bin/sh
# limit: 600 s
# without: thread address
# A slice of `zig build soak`; and a server that sends a wrong byte, leaves one out, or keeps memory, which must be found.
set -eu
soak=$EDDY_BUILD_DIR/eddy-soak
"$soak" --seconds 2 --connections 200 --period-ms 200
for fault in flip:wrong lose:wrong leak:resident; do
    if "$soak" --seconds 2 --connections 20 --period-ms 20 --plant "${fault%:*}" > "$EDDY_TMP/output"; then
        echo "planted and not found: ${fault%:*}"
        exit 1
    fi
    grep "^FAIL.*${fault#*:}" "$EDDY_TMP/output"
done
