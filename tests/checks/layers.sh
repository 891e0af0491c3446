#!/bin/sh
# limit: 1200 s
# The layer rule: a room includes rooms of a lower level only, through their doors; libuv and Concurrency
# Kit stay in the rooms that the table in build.zig gives them; atomics stay in base/atomic.h; examples see
# what a user sees. A planted tree that breaks each rule once must be found out, line by line.
set -eu
root=${EDDY_ROOT:-$(pwd)}
work=${EDDY_TMP:-$(mktemp -d)}

# Prints "file:line: what is wrong" for each offence below folder $1.
offences() {
    table=$(sed -n 's/^ *\.{ \.name = "\([a-z]*\)", .level = \([0-9]*\)\(, \.core = true\)\{0,1\}\(, \.may = "\([a-z]*\)"\)\{0,1\} },.*/\1:\2:\5/p' \
        "$root/build.zig")
    [ -n "$table" ] || { echo "build.zig: no table of rooms found"; return; }
    (cd "$1" && find src include examples bench -name '*.[ch]' 2>/dev/null | sort) | (cd "$1" && while read -r file; do
        awk -v table="$table" -v file="$file" '
            function bad(what) { printf "%s:%d: %s\n", file, FNR, what }
            BEGIN {
                count = split(table, rows, /[ \n]+/)
                for (i = 1; i <= count; i++) {
                    split(rows[i], row, ":"); level[row[1]] = row[2]; may[row[1]] = row[3]
                }
                split(file, part, "/"); top = part[1]; room = part[2]
                if (top == "src" && !(room in level)) bad("a room that the table in build.zig does not name")
            }
            /^[ \t]*#[ \t]*include/ {
                name = $0; sub(/^[^<"]*[<"]/, "", name); sub(/[>"].*/, "", name)
                split(name, way, "/"); to = way[1]
                outside = name ~ /^uv([.]h|\/)/ ? "uv" : name ~ /^ck_/ ? "ck" : ""
                if (top != "src") {
                    if (to in level) bad("only src/ and tests/ see inside: " name)
                    if (outside != "" && top == "include") bad("a public header needs " outside)
                } else if (outside != "" && may[room] != outside) {
                    bad(room " may not include " name)
                } else if (to in level && to != room) {
                    if (level[to] >= level[room]) bad(room " is not above " to ": " name)
                    else if (name != to "/" to ".h") bad("not through the door of " to ": " name)
                }
                if (name == "stdatomic.h" && file != "src/base/atomic.h" && file !~ /^examples\//) bad("atomics: through base/atomic.h")
            }
            top == "src" && file != "src/base/atomic.h" && file !~ /^src\/lockfree\/tsan\// \
                && /__atomic_[a-z]|__sync_[a-z]/ && !/^[ \t]*(\/?\*|\/\/)/ { bad("atomics: through base/atomic.h") }
        ' "$file"
    done)
}

mkdir -p "$work/bad/src/task" "$work/bad/src/lobby" "$work/bad/examples" "$work/bad/include/eddy"
cat > "$work/bad/src/task/bad.c" <<'END'
#include "base/base.h"
#include "sync/sync.h"
#include "sched/inner.h"
#include <uv.h>
#include <ck_ring.h>
#include <stdatomic.h>
#include "task/inner.h"
static int f(int *x) { return __atomic_load_n(x, 0); }
END
echo 'int x;' > "$work/bad/src/lobby/bad.c"
echo '#include "task/task.h"' > "$work/bad/examples/bad.c"
echo '#include <uv.h>' > "$work/bad/include/eddy/bad.h"
found=$(offences "$work/bad" | sed 's/: .*//' | tr '\n' ' ')
want="examples/bad.c:1 include/eddy/bad.h:1 src/lobby/bad.c:0 src/task/bad.c:2 src/task/bad.c:3 src/task/bad.c:4 src/task/bad.c:5 src/task/bad.c:6 src/task/bad.c:8 "
if [ "$found" != "$want" ]; then
    echo "the planted offences were not all found:"
    echo "  want $want"
    echo "  got  $found"
    exit 1
fi

result=$(offences "$root")
if [ -n "$result" ]; then
    echo "$result"
    exit 1
fi
