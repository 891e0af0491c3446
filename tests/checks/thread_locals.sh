#!/bin/sh
# limit: 120 s
# The thread-local rule, read from the object code of the optimised library: a function that switches
# stacks, itself or through functions it calls by name, has no thread-pointer access and does not ask for
# the address of errno. The compiler may keep such an address across the switch, and after a migration it
# is another thread's. The switch is inline: it is known by its store of the stack pointer, which no compiler
# makes. Excepted are the accessors of sched/current.c, which read anew each time. Calls through pointers are
# not followed. Planted offenders must be found, planted honest code must pass.
set -eu
library=${EDDY_BUILD_DIR%/*}/lib/libeddy.a
work=$EDDY_TMP

# Prints each offending function of the objects given, and why.
offences() {
    objdump -dr --no-show-raw-insn "$@" | awk '
        /file format/ { member = $1; sub(/:$/, "", member); sub(/.*\//, "", member) }
        /^[0-9a-f]+ <.*>:$/ { here = $2; gsub(/[<>:]/, "", here); sub(/[.](cold|part|isra|constprop).*/, "", here) }
        /%fs:/ && !/%fs:0x28/ && member !~ /^current/ { why[here] = "uses the thread pointer" }
        /mrs.*tpidr_el0/ && member !~ /^current/ { why[here] = "uses the thread pointer" }
        /R_X86_64_(TPOFF|GOTTPOFF|TLSGD|TLSLD|DTPOFF)/ && member !~ /^current/ { why[here] = "reaches a thread-local" }
        /R_(X86_64_(PLT32|PC32|GOTPCREL)|AARCH64_(CALL26|JUMP26))/ {
            callee = $3; sub(/[-+]0x[0-9a-f]+$/, "", callee)
            if (callee == "__errno_location" || callee == "__tls_get_addr") {
                if (member !~ /^current/) why[here] = "calls " callee
            } else calls[here] = calls[here] " " callee
        }
        # A call inside one object needs no relocation: its target stands in the text.
        /\t(call|jmp|bl|b)[ \t]+[0-9a-f]+ <[A-Za-z_0-9.]+>$/ {
            callee = $NF; gsub(/[<>]/, "", callee); if (callee != here) calls[here] = calls[here] " " callee
        }
        /mov +%rsp,\(%r[a-z0-9]+\)/ { switches[here] = "the switch" }
        END {
            do {
                grown = 0
                for (f in calls) {
                    if (f in switches) continue
                    n = split(calls[f], list, " ")
                    for (i = 1; i <= n; i++) if (list[i] in switches) {
                        switches[f] = list[i] " > " switches[list[i]]
                        grown = 1
                        break
                    }
                }
            } while (grown)
            for (f in why) if (f in switches) printf "%s: %s, and switches: %s\n", f, why[f], switches[f]
        }' | sort
}

cat > "$work/planted.c" <<'END'
#include "coro/coro.h"
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
int offends_through_another(struct ed_context *from, struct ed_context *to) {
    if (may_fail()) return errno;
    return honest(from, to) + errno;
}
int honest_and_never_switches(void) {
    return ++counter + errno;
}
END
(cd "$EDDY_ROOT" && "$EDDY_ZIG" cc -O2 -fPIC -Isrc -Iinclude -c -o "$work/planted.o" "$work/planted.c")
found=$(offences "$work/planted.o" | sed 's/:.*//' | tr '\n' ' ')
if [ "$found" != "offends_directly offends_through_another " ]; then
    echo "planted: offends_directly offends_through_another, found: $found"
    exit 1
fi

objdump -d "$library" | grep -Eq 'mov +%rsp,\(%r[a-z0-9]+\)' || { echo "$library never switches"; exit 1; }
result=$(offences "$library")
[ -z "$result" ] || { echo "$result"; exit 1; }
