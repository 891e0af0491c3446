#!/bin/sh
# limit: 1200 s
# How a program becomes its own worker, and how it does not: registered in the program, in main, in a shared library,
# with the library linked statically or not, in C++ with constructors that the function relies on; and each way in
# which main could start workers without end or a worker could run main is an error by name. Set-user-id programs and
# those without /proc are refused. A program whose file was replaced or removed while it runs starts itself, as it was; a
# plug-in names a worker program, or is told to; a worker program of another build, or without the function, says so.
set -eu
library=${EDDY_BUILD_DIR%/*}/lib/libeddy.a
cd "$EDDY_TMP"

cat > program.c << 'END'
#include "eddy/eddy.h"
#include <stdio.h>
#ifdef FUNCTION_IN_LIBRARY
int shout(eddy_bytes in, eddy_bytes *out);
#else
static int shout(eddy_bytes in, eddy_bytes *out) { return eddy_bytes_copy(out, in.data, in.size); }
REGISTER(shout);
#endif
static int app(void *arg, eddy_value *out) {
    eddy_bytes bytes;
    (void)arg, (void)out;
    int status = eddy_to_process(shout, eddy_bytes_view("hello", 5), &bytes);
    printf("%s %.*s%s\n", eddy_status_name(status), (int)bytes.size, (char *)bytes.data,
           eddy_error_text(eddy_error_current(status)));
    eddy_bytes_free(&bytes);
    return 0;
}
int main(void) {
#ifdef SERVES
    eddy_process_worker();
#endif
    eddy_run(app, NULL, NULL, NULL);
#ifdef SERVES_TOO_LATE
    eddy_process_worker();
    eddy_run(app, NULL, NULL, NULL);
#endif
    return 0;
}
END
cat > library.c << 'END'
#include "eddy/process.h"
int shout(eddy_bytes in, eddy_bytes *out);
int shout(eddy_bytes in, eddy_bytes *out) { return eddy_bytes_copy(out, in.data, in.size); }
EDDY_REMOTE(shout);
END
cat > one.cpp << 'END'
#include "eddy/eddy.h"
#include <cstdio>
#include <string>
extern std::string suffix;
namespace app {
static int greet(eddy_bytes in, eddy_bytes *out) {
    std::string text((char *)in.data, in.size);
    text += suffix;
    return eddy_bytes_copy(out, text.data(), text.size());
}
EDDY_REMOTE(greet);
} // namespace app
static int body(void *, eddy_value *) {
    eddy_bytes out;
    int status = eddy_to_process(app::greet, eddy_bytes_view("hel", 3), &out);
    std::printf("%s %.*s\n", eddy_status_name(status), (int)out.size, (char *)out.data);
    eddy_bytes_free(&out);
    return 0;
}
int main() { return eddy_run(body, nullptr, nullptr, nullptr); }
END
cat > two.cpp << 'END'
#include <string>
std::string suffix = std::string("l") + "o"; // made by a constructor that is linked behind the one that registers
END
cat > pool.c << 'END'
#include "eddy/eddy.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef HOST
int main(void) {
    void *plugin = dlopen("./plugin.so", RTLD_NOW);
    int (*enter)(void) = plugin != NULL ? (int (*)(void))dlsym(plugin, "enter") : NULL;
    return enter != NULL ? enter() : 9;
}
#else
#ifdef GREETING
static int greet(eddy_bytes in, eddy_bytes *out) { (void)in; return eddy_bytes_copy(out, GREETING, 3); }
EDDY_REMOTE(greet);
#endif
static int wave(eddy_bytes in, eddy_bytes *out) { (void)in; return eddy_bytes_copy(out, "bye", 3); }
EDDY_REMOTE(wave);
static int app(void *arg, eddy_value *out) {
    eddy_bytes bytes = {NULL, 0};
    (void)arg, (void)out;
    if (getenv("REPLACED_BY") != NULL && rename(getenv("REPLACED_BY"), getenv("REPLACED")) < 0) return 1;
    if (getenv("REMOVED") != NULL && unlink(getenv("REMOVED")) < 0) return 1;
    eddy_process_pool *pool;
    int status = eddy_process_pool_create(&pool, EDDY_PROCESS_POOL(.processes = 1, .worker_path = getenv("WORKER"),
                                                                   .same_build = getenv("SAME") != NULL));
#ifdef GREETING
    if (status == 0) status = eddy_process_pool_run(pool, greet, eddy_bytes_view("", 0), &bytes);
#endif
    printf("%s %.*s%s\n", eddy_status_name(status), (int)bytes.size, (char *)bytes.data,
           eddy_error_text(eddy_error_current(status)));
    fflush(stdout);
    eddy_bytes_free(&bytes);
    return 0;
}
int enter(void);
int enter(void) { return eddy_run(app, NULL, NULL, NULL); }
#ifndef PLUGIN
int main(void) { return enter(); }
#endif
#endif
END

fail=0
expect() { # what, its output must contain this, the command
    what=$1 part=$2
    shift 2
    said=$(timeout 120 "$@" 2>&1) || said="$said (exit $?)"
    case $said in *"$part"*) return ;; esac
    echo "$what: want '$part', got: $said"
    fail=1
}
flags="-I$EDDY_ROOT/include -pthread"
static="$library -luv -lssl -lcrypto -lm"
cc -shared -pthread -o libeddy_all.so -Wl,--whole-archive "$library" -Wl,--no-whole-archive -luv -lssl -lcrypto -lm
# shellcheck disable=SC2086 # words
cc $flags -shared -fPIC -o libfunction.so library.c
shared="-L. -leddy_all -luv -lssl -lcrypto -Wl,-rpath,$PWD"
# shellcheck disable=SC2086
{
    cc $flags -DREGISTER=EDDY_REMOTE program.c -o static_program $static
    cc $flags -DREGISTER=EDDY_REMOTE program.c -o shared_program $shared
    cc $flags -DREGISTER=EDDY_REMOTE_IN_MAIN -DSERVES program.c -o in_main $static
    cc $flags -DREGISTER=EDDY_REMOTE_IN_MAIN program.c -o forgotten $static
    cc $flags -DREGISTER=EDDY_REMOTE_IN_MAIN -DSERVES_TOO_LATE program.c -o too_late $static
    cc $flags -DFUNCTION_IN_LIBRARY -DSERVES program.c -o of_library -lfunction $shared
    cc $flags -DFUNCTION_IN_LIBRARY program.c -o of_library_forgotten -lfunction $shared
    c++ $flags -std=c++17 one.cpp two.cpp -o cpp $static
}
expect "static library" "OK hello" ./static_program
expect "shared library" "OK hello" ./shared_program
expect "served by main" "OK hello" ./in_main
expect "main forgot to serve" "would not serve as a worker" ./forgotten
expect "main serves too late" "did not serve: see its message" ./too_late
expect "main serves too late" "came to eddy_run() instead of serving" ./too_late
expect "function in a shared library" "OK hello" ./of_library
expect "function in a shared library, forgotten" "would not serve as a worker" ./of_library_forgotten
expect "constructors come first" "OK hello" ./cpp
expect "marked by hand" "no process pool started it" env EDDY_WORKER_PROCESS=1:2 ./static_program

# shellcheck disable=SC2086
{
    cc $flags -DGREETING='"old"' pool.c -o pool $static
    cc $flags -DGREETING='"new"' pool.c -o newer $static
    cc $flags pool.c -o without $static
    cc $flags -DGREETING='"lib"' -DPLUGIN -shared -fPIC pool.c -o plugin.so $shared
    cc $flags -DHOST pool.c -o host -ldl
}
expect "another build by name" "OK new" env WORKER="$PWD/newer" ./pool
expect "another build refused" "/newer' is another build of this program" env WORKER="$PWD/newer" SAME=1 ./pool
expect "other functions refused" "/without' has other functions registered with EDDY_REMOTE (1 there, 2 here)" \
    env WORKER="$PWD/without" SAME=1 ./pool
expect "a function that is not there" "'greet' is not registered in the worker program $PWD/without (build " \
    env WORKER="$PWD/without" ./pool
expect "its file replaced" "OK old" env REPLACED="$PWD/pool" REPLACED_BY="$PWD/newer" ./pool
expect "the new file, which is removed" "OK new" env REMOVED="$PWD/pool" ./pool
expect "a plug-in" "would not serve as a worker" ./host
expect "a plug-in says what to do" "or name a .worker_path" ./host
cc $flags -DGREETING='"old"' pool.c -o pool $static
expect "a plug-in with a worker program" "OK old" env WORKER="$PWD/pool" ./host
expect "a plug-in with the wrong program" "died before their first call" env WORKER=/bin/true ./host
if command -v python3 > /dev/null; then
    python='import ctypes; ctypes.CDLL("./plugin.so").enter()'
    expect "a Python module" "would not serve as a worker" python3 -c "$python"
    expect "a Python module with a worker program" "OK old" env WORKER="$PWD/pool" python3 -c "$python"
fi

if [ "$(id -u)" = 0 ] && unshare -m true 2> /dev/null; then
    chmod 755 . && cp static_program set_user_id && chmod 4755 set_user_id
    expect "set-user-id" "a set-user-id program" setpriv --reuid 65534 --clear-groups "$PWD/set_user_id"
    expect "no /proc" "is /proc mounted?" \
        unshare -m sh -c 'mount --make-rprivate / && umount -l /proc && ./static_program'
    expect "first process of its world" "OK hello" unshare -pf --kill-child ./static_program
fi
exit $fail
