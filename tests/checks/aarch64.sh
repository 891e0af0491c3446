#!/bin/sh
# limit: 1200 s
# The library and the examples build and link for aarch64, and its object code is what the sources ask for: the functions
# below hold the acquire and release instructions of their orders (a compiler that took an x86 short cut would leave them
# out), those that take a lock of Concurrency Kit hold its barriers (Debian's x86 header has none), and the thread-local rule
# holds (thread_locals.sh), optimised and debug. A build whose orders are all relaxed must be found out, function by function.
# The arm64 packages come from build/aarch64-packages into .zig/aarch64; skipped where they are not.
set -eu
root=$EDDY_ROOT/.zig/aarch64
target=aarch64-linux-gnu.2.36
objdump=aarch64-linux-gnu-objdump
[ -e "$root/usr/include/uv.h" ] || { echo "no arm64 packages: build/aarch64-packages .zig/aarch64"; exit 77; }
command -v "$objdump" > /dev/null || { echo "no $objdump"; exit 77; }
cd "$EDDY_ROOT"
"$EDDY_ZIG" build install examples -Dtarget=$target "-Ddeps-root=$root" --prefix "$EDDY_TMP/out"
"$EDDY_ZIG" build install -Doptimize=debug -Dtarget=$target "-Ddeps-root=$root" --prefix "$EDDY_TMP/debug"

# Function, and instructions that its optimised code must hold; =N: at least so many.
cat > "$EDDY_TMP/orders" << 'END'
ed_deque_take ldar=3 ldaxr stlxr
ed_deque_publish stlr
ed_deque_reserve_shared ldar stlr
ed_deque_shared_count ldar=2
ed_publish stlr
ed_steal ldar
ed_post ldaxr stlxr
ed_idle_prepare stlr ldaxr stlxr ldar
ed_idle_awake ldaxr stlxr
ed_idle_wake ldar ldaxr stlxr
ed_idle_notify ldar ldaxr stlxr
ed_idle_search_end ldaxr stlxr
ed_future_lock ldaxr stlxr
ed_future_unlock ldaxr stlxr
ed_future_finish ldaxr stlxr
ed_future_release ldar ldaxr stlxr
eddy_future_done ldar
eddy_future_result ldar
ed_cancel_ask ldaxr stlxr
ed_cancel_route ldar
ed_task_run_start ldar
ed_task_run_direct ldar
ed_slab_put stlr
put_apart dmb=2
ed_group_child_done dmb=2
ed_guard_lock_shared dmb ldar
ed_guard_unlock dmb stlr
eddy_lock_acquire dmb=2 stlr=2
eddy_lock_unlock dmb stlr=2
eddy_semaphore_post dmb stlr=2
eddy_event_set dmb stlr=2
eddy_queue_put dmb=2 stlr=2
END

missing() { # prints "function instruction" for each that is not there; objects...
    "$objdump" -d --no-show-raw-insn "$@" | awk -v orders="$EDDY_TMP/orders" '
        /^[0-9a-f]+ <.*>:$/ { here = $2; gsub(/[<>:]/, "", here); defined[here] = 1; next }
        /\t(ldar|ldapr|stlr|ldaxr|stlxr|dmb)[bh]?[ \t]/ {
            name = $2; sub(/[bh]$/, "", name)
            if (name == "ldapr") name = "ldar"
            if (name == "dm") name = "dmb"
            count[here, name]++
        }
        /\t(casal|swpal|ldaddal|ldsetal|ldclral)[ \t]/ { count[here, "ldaxr"]++; count[here, "stlxr"]++ }
        END {
            while ((getline line < orders) > 0) {
                n = split(line, word, " ")
                for (i = 2; i <= n; i++) {
                    split(word[i], part, "=")
                    if (count[word[1], part[1]] < (part[2] == "" ? 1 : part[2]))
                        print word[1], part[1] (word[1] in defined ? "" : " (no such function)")
                }
            }
        }'
}

# The planted fault: everything relaxed, in the files of all functions that use no lock.
mkdir -p "$EDDY_TMP/relaxed/base"
sed 's/memory_order_[a-z_]*/memory_order_relaxed/g' src/base/atomic.h > "$EDDY_TMP/relaxed/base/atomic.h"
for file in lockfree/deque sched/steal sched/worker sched/idle task/future task/cancel task/task task/wait task/slab; do
    "$EDDY_ZIG" cc -target $target -std=gnu11 -O2 -fno-sanitize=undefined -D_GNU_SOURCE "-I$EDDY_TMP/relaxed" -Isrc -Iinclude \
        -isystem "$root/usr/include" -isystem "$root/usr/include/aarch64-linux-gnu" \
        -c -o "$EDDY_TMP/relaxed/$(basename $file).o" "src/$file.c"
done
found=$(missing "$EDDY_TMP"/relaxed/*.o | grep -vc 'no such function' || :)
planted=$(grep -v dmb "$EDDY_TMP/orders" | awk '{ count += NF - 1 } END { print count }')
[ "$found" = "$planted" ] || { echo "relaxed: $planted orders are gone, found $found"; missing "$EDDY_TMP"/relaxed/*.o; exit 1; }

# The other one: Concurrency Kit without its barriers.
mkdir -p "$EDDY_TMP/ck"
cp -r "$root"/usr/include/ck* "$root/usr/include/gcc" "$EDDY_TMP/ck/"
sed -i 's/dmb [a-z]*//' "$EDDY_TMP/ck/gcc/aarch64/ck_pr.h"
for file in sync/guard sync/lock sync/event sync/semaphore sync/queue sync/waitlist task/group task/slab; do
    "$EDDY_ZIG" cc -target $target -std=gnu11 -O2 -fno-sanitize=undefined -D_GNU_SOURCE -Isrc -Iinclude \
        -isystem "$EDDY_TMP/ck" -isystem "$root/usr/include" -isystem "$root/usr/include/aarch64-linux-gnu" \
        -c -o "$EDDY_TMP/ck/$(basename $file).o" "src/$file.c"
done
found=$(missing "$EDDY_TMP"/ck/*.o | grep dmb | grep -vc 'no such function' || :)
planted=$(grep -c dmb "$EDDY_TMP/orders")
[ "$found" = "$planted" ] || { echo "no barriers: $planted are gone, found $found"; missing "$EDDY_TMP"/ck/*.o; exit 1; }

result=$(missing "$EDDY_TMP/out/lib/libeddy.a")
[ -z "$result" ] || { echo "not in the object code:"; echo "$result"; exit 1; }
echo "all of $(wc -l < "$EDDY_TMP/orders") functions hold their orders"

sh tests/checks/thread_locals.sh "$objdump" $target "$EDDY_TMP/out/lib/libeddy.a" "$EDDY_TMP/debug/lib/libeddy.a"
