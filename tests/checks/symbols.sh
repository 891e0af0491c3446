#!/bin/sh
# limit: 1200 s
# The symbol rule: the library defines no global name but eddy_ and ed_ ones. A planted object with
# another name must be found.
set -eu
library=${EDDY_BUILD_DIR%/*}/lib/libeddy.a
work=$EDDY_TMP

strangers() { nm -g --defined-only "$1" | awk 'NF == 3 && $3 !~ /^(eddy|ed)_/ { print $3 }' | sort -u; }

echo 'int stranger; int ed_fine, eddy_fine; static int unseen; int *ed_use(void) { return &unseen; }' > "$work/planted.c"
cc -c -o "$work/planted.o" "$work/planted.c"
[ "$(strangers "$work/planted.o")" = stranger ] || { echo "the planted stranger was not found"; exit 1; }

[ -n "$(nm -g --defined-only "$library" | grep ' eddy_' || :)" ] || { echo "$library defines nothing"; exit 1; }
result=$(strangers "$library")
[ -z "$result" ] || { echo "$library defines: $result"; exit 1; }
