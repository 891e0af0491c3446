#!/bin/sh
# limit: 1200 s
# The thread-local rule, read from the object code of the library, optimised and debug, here for x86_64; aarch64.sh asks the
# same of its code: a function that may switch stacks, itself, through functions that it calls by name, or by calling
# anything through a pointer, has no thread-pointer access and does not ask for the address of errno. The compiler may keep
# such an address across the switch, and after a migration it is another thread's. Functions that are never on a task's
# stack are excepted by name below. Planted offenders must be found, planted honest code must pass.
#
# thread_locals.sh OBJDUMP TARGET LIBRARY...: so aarch64.sh calls it.
set -eu
work=$EDDY_TMP
rules=$EDDY_ROOT/tests/checks/thread_locals.awk

offences() { # objects...
    "$objdump" -dr --no-show-raw-insn "$@" | awk -f "$rules" | sort
}

# Object, function, and why it may. (Debug and optimised code inline differently: not each is needed in each.)
excepted() {
    grep -Ev \
        -e '^[0-9]+ functions' \
        -e '^(overflow|core)\.o (on_fault|report)([.][0-9]+)?:' `# a signal handler on a stack of its own` \
        -e '^(socket|resolve)\.o (look_up|thread_main):' `# a look-up thread` \
        -e '^pool_thread\.o (run_job|thread_body):' `# a thread of a pool: what it calls is a blocking function` \
        -e '^manager\.o (wait_for_events|ed_process_manager):' `# the thread of a process pool` \
        -e '^worker_process\.o ed_worker_process_serve:' `# a process without tasks` \
        -e '^process_pool\.o pool_(init|create):' `# errno is read at once; the pointer is the clock` \
        -e '^driver\.o open_driver:' `# before the first task` || :
}

objdump=${1:-objdump}
target=${2:-x86_64-linux-gnu}
if [ $# -ge 3 ]; then
    shift 2
else
    (cd "$EDDY_ROOT" && "$EDDY_ZIG" build install -Doptimize=debug --prefix "$work/debug")
    set -- "${EDDY_BUILD_DIR%/*}/lib/libeddy.a" "$work/debug/lib/libeddy.a"
fi

cat > "$work/planted.c" <<'END'
#include "coro/coro.h"
#include "sched/current.h"
#include <errno.h>
int may_fail(void);
extern __thread int counter;
int *current(void);
int offends_directly(struct ed_context *from, struct ed_context *to) {
    counter++;
    ed_context_switch(from, to);
    return counter;
}
__attribute__((noinline)) int honest(struct ed_context *from, struct ed_context *to) {
    int before = *current();
    ed_context_switch(from, to);
    return before + *current();
}
struct ed_worker *honest_by_the_accessor(struct ed_context *from, struct ed_context *to) {
    if (ed_worker_current() == (void *)0) return (void *)0;
    ed_context_switch(from, to);
    return ed_worker_current();
}
int ed_offends_through_another(struct ed_context *from, struct ed_context *to) {
    if (may_fail()) return errno;
    return honest(from, to) + errno;
}
int offends_through_a_pointer(int (*body)(void *), void *arg) {
    int before = counter;
    return body(arg) + before + counter;
}
int honest_and_never_switches(void) {
    return ++counter + errno;
}
END
for level in -O0 -O2; do
    (cd "$EDDY_ROOT" && "$EDDY_ZIG" cc -target "$target" $level -fPIC -fno-stack-protector -fno-sanitize=undefined \
        -Isrc -Iinclude -c -o "$work/planted.o" "$work/planted.c")
    found=$(offences "$work/planted.o" | excepted | sed 's/:.*//; s/.* //' | tr '\n' ' ')
    if [ "$found" != "ed_offends_through_another offends_directly offends_through_a_pointer " ]; then
        echo "$target $level: planted three, found: $found"
        exit 1
    fi
done

for library in "$@"; do
    offences "$library" > "$work/offences"
    count=$(grep -E '^[0-9]+ functions' "$work/offences")
    echo "${library##*/}: $count"
    [ "${count##*switch, }" != "0 by themselves" ] || { echo "is the switch not recognized?"; exit 1; }
    result=$(excepted < "$work/offences")
    [ -z "$result" ] || { echo "$library:"; echo "$result"; exit 1; }
done
