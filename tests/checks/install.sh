#!/bin/sh
# limit: 1200 s
# What is installed can be used: a program outside the tree, with only what pkg-config says, compiles as C11
# and as C++17 with -pedantic-errors, links and runs, also after the installed tree was moved. Each header
# compiles alone. Every public macro stands in that program; a planted one that does not must be found.
set -eu
work=$EDDY_TMP

macros() { # of the headers in folder $1, include guards and inner ones (EDDY_NAME_) left out
    sed -n 's/^ *# *define \(EDDY_[A-Za-z_0-9]*\).*/\1/p' "$1"/*.h | grep -Ev '(_H|_)$' | sort -u
}
unused() {
    for macro in $(macros "$1"); do
        grep -Eq "(^|[^A-Z_a-z0-9])$macro([^A-Z_a-z0-9]|\$)" "$EDDY_ROOT/tests/install/program.c" || echo "$macro"
    done
}
mkdir "$work/planted"
echo '#define EDDY_PLANTED 1' > "$work/planted/planted.h"
[ "$(unused "$work/planted")" = EDDY_PLANTED ] || { echo "the planted macro was not found"; exit 1; }
left=$(unused "$EDDY_ROOT/include/eddy")
[ -z "$left" ] || { echo "tests/install/program.c does not use: $left"; exit 1; }

(cd "$EDDY_ROOT" && "$EDDY_ZIG" build install --prefix "$work/first")
mv "$work/first" "$work/moved"
export PKG_CONFIG_PATH="$work/moved/lib/pkgconfig"
pkg-config --cflags eddy | grep -q -e -fstack-clash-protection || { echo "eddy.pc: no -fstack-clash-protection"; exit 1; }

cp "$EDDY_ROOT/tests/install/program.c" "$work/program.c"
cp "$work/program.c" "$work/program.cpp"
cd "$work"
strict="-Wall -Wextra -Werror -pedantic-errors"
for header in moved/include/eddy/*.h; do
    echo "#include <eddy/${header##*/}>" > one.c
    cp one.c one.cpp
    # shellcheck disable=SC2046,SC2086 # words
    cc -std=c11 $strict $(pkg-config --cflags eddy) -fsyntax-only one.c
    # shellcheck disable=SC2046,SC2086
    c++ -std=c++17 $strict $(pkg-config --cflags eddy) -fsyntax-only one.cpp
done
# shellcheck disable=SC2046,SC2086
cc -std=c11 $strict program.c $(pkg-config --cflags --libs eddy) -o program_c
# shellcheck disable=SC2046,SC2086
c++ -std=c++17 $strict program.cpp $(pkg-config --cflags --libs eddy) -o program_cpp
# shellcheck disable=SC2046,SC2086
cc -std=c11 $strict -DPROGRAM_TLS program.c $(pkg-config --cflags --libs eddy-tls) -o program_tls
! ldd program_c | grep -q libssl || { echo "a program without TLS is linked with OpenSSL"; exit 1; }
for program in program_c program_cpp program_tls; do
    [ "$(timeout 300 ./$program)" = "all is well" ] || { echo "$program failed:"; ./$program; exit 1; }
done

# The shared library: exports the public words only, all of them, and programs run with it, C++ too.
(cd "$EDDY_ROOT" && "$EDDY_ZIG" build install -Dshared --prefix "$work/shared")
words() { nm -D --defined-only "$work/shared/lib/libeddy.so.0" | awk '{ print $3 }'; }
others=$(words | grep -v '^eddy_' || :)
[ -z "$others" ] || { echo "libeddy.so exports $others"; exit 1; }
[ "$(words | wc -l)" -gt 250 ] || { echo "libeddy.so exports $(words | wc -l) words only"; exit 1; }
rm "$work/shared/lib/libeddy.a"
export PKG_CONFIG_PATH="$work/shared/lib/pkgconfig" LD_LIBRARY_PATH="$work/shared/lib"
# shellcheck disable=SC2046,SC2086
cc -std=c11 $strict -DPROGRAM_TLS program.c $(pkg-config --cflags --libs eddy-tls) -o shared_c
# shellcheck disable=SC2046,SC2086
c++ -std=c++17 $strict program.cpp $(pkg-config --cflags --libs eddy) -o shared_cpp
for program in shared_c shared_cpp; do
    ldd $program | grep -q "$work/shared/lib/libeddy.so.0" || { echo "$program is not linked with libeddy.so.0"; exit 1; }
    [ "$(timeout 300 ./$program)" = "all is well" ] || { echo "$program failed:"; ./$program; exit 1; }
done
