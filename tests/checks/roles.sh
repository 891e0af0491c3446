#!/bin/sh
# limit: 1200 s
# The role annotations of the headers: with -DEDDY_CHECK_ROLES -Wthread-safety a program that keeps the rules
# compiles without a warning, and each planted offence is found.
set -eu
check() { "$EDDY_ZIG" cc -std=c11 -Wthread-safety -DEDDY_CHECK_ROLES "-I$EDDY_ROOT/include" -c -o "$EDDY_TMP/one.o" "$1" 2>&1; }

result=$(check "$EDDY_ROOT/tests/install/program.c")
[ -z "$result" ] || { echo "$result"; exit 1; }

plant() { # name, body of a file
    printf '#include <eddy/eddy.h>\n%s\n' "$2" > "$EDDY_TMP/$1.c"
    case $(check "$EDDY_TMP/$1.c") in
    *-Wthread-safety*) ;;
    *) echo "planted and not found: $2"; exit 1 ;;
    esac
}
plant suspends_outside_a_task 'int f(void); int f(void) { return eddy_sleep(1); }'
plant blocks_inside_a_task 'EDDY_CORO(f); EDDY_CORO(f) { return eddy_run((eddy_coro_fn)arg, arg, out, NULL); }'
