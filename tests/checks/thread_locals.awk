# thread_locals.awk: reads `objdump -dr --no-show-raw-insn` of objects, for x86_64 or aarch64, and prints each function that
# may switch stacks and reads the thread pointer, reaches a thread-local or asks for the address of errno.
#
# A function switches if it holds the switch, which is inline and known by what no compiler makes (x86_64: a store of the
# stack pointer through a register; aarch64: a read of fpcr), if it calls a function that switches, or if it calls anything
# through a pointer. The accessor of sched/current.h, which reads anew each time, may do what it is for: it is known by its
# variable, which no compiler can name, and the instruction behind that.
# Names are looked up in the object itself first: static functions of two files may share one.

function reads(how) { if (!((member, here) in why)) why[member, here] = how }
function calls_to(callee) {
    sub(/^[.]text[.]/, "", callee)
    sub(/[-+]0x[0-9a-f]+$/, "", callee)
    if (callee == "__errno_location" || callee == "__tls_get_addr") reads("calls " callee)
    else if (callee != here) calls[member, here] = calls[member, here] " " callee
}
function settle() { # the last call through a pointer was none for a thread-local
    if (pending != "" && !(pending in switches)) switches[pending] = "calls through a pointer"
    pending = ""
}
/file format/ { settle(); member = $1; sub(/:$/, "", member); sub(/.*\//, "", member); next }
/^[0-9a-f]+ <.*>:$/ {
    settle()
    here = $2; gsub(/[<>:]/, "", here); sub(/[.](cold|part|isra|constprop).*/, "", here)
    defined[member, here] = 1
    if (here ~ /^eddy?_/) owner[here] = member # by the symbol rule: all global names
    next
}
/R_(X86_64_GOTTPOFF|AARCH64_TLSIE_ADR_GOTTPREL_PAGE21|AARCH64_TLSIE_LD64_GOTTPREL_LO12_NC)\ted_current_worker(-0x4)?$/ {
    accessor = 1
    next
}
/R_AARCH64_TLSDESC_CALL/ { pending = ""; next }
/R_X86_64_(TPOFF|GOTTPOFF|TLSGD|TLSLD|DTPOFF|GOTPC32_TLSDESC)|R_AARCH64_TLS/ { reads("reaches a thread-local") }
/R_X86_64_PLT32|R_AARCH64_(CALL26|JUMP26)/ { calls_to($3) }
/\t/ && !/: R_/ { settle() }
accessor && /\tmov +%fs:(0x0)?\(%r[a-z0-9]+\),%r|\tmrs\tx[0-9]+, tpidr_el0/ { accessor = 0; next }
/\t/ { accessor = 0 }
/%fs:/ && !/%fs:0x28/ || /tpidr_el0/ { reads("uses the thread pointer") }
/\t(call|jmp|bl|b)[ \t]+[0-9a-f]+ <[A-Za-z_0-9.]+>$/ { callee = $NF; gsub(/[<>]/, "", callee); calls_to(callee) }
/\t(call|jmp) +\*%?r|\tcall +\*|\tblr[ \t]+x/ { pending = member SUBSEP here }
/mov +%rsp,\(%r[a-z0-9]+\)/ || /mrs.*fpcr/ { switches[member, here] = "the switch" }
END {
    settle()
    do {
        grown = 0
        for (f in calls) {
            if (f in switches) continue
            split(f, part, SUBSEP)
            n = split(calls[f], list, " ")
            for (i = 1; i <= n; i++) {
                to = (part[1], list[i]) in defined ? part[1] SUBSEP list[i] : owner[list[i]] SUBSEP list[i]
                if (!(to in switches)) continue
                switches[f] = list[i] " > " switches[to]
                grown = 1
                break
            }
        }
    } while (grown)
    for (f in switches) {
        count++
        direct += switches[f] == "the switch"
    }
    print count + 0, "functions may switch,", direct + 0, "by themselves"
    for (f in why) if (f in switches) {
        split(f, part, SUBSEP)
        printf "%s %s: %s, and switches: %s\n", part[1], part[2], why[f], switches[f]
    }
}
