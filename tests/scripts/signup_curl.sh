#!/bin/sh
# limit: 600 s
# The registration service as curl sees it: each route, each refusal, the limits, keep-alive; then what happens around
# it: a port in use, too few descriptors, a database that cannot be opened, wrong flags; and a SIGTERM while
# registrations are in flight loses none that was answered 201.
set -eu
service=$EDDY_BUILD_DIR/signup-service
cd "$EDDY_TMP"
pid=
trap 'if [ -n "$pid" ]; then kill -KILL "$pid" 2>/dev/null || :; fi' EXIT

stop_with() { echo "$*"; sed 's/^/  service: /' err; exit 1; }

start() { # options: a service on a free port; sets $pid, $url
    rm -f out
    mkfifo out
    # A slow machine takes its time to hash: how long is not asked here.
    "$service" --port 0 --database users.db --patience 60 --grace 120 "$@" > out 2> err &
    pid=$!
    exec 3< out
    read -r _ _ url <&3 || stop_with "the service did not start"
}

stop() { # TERM or INT: it must end with code 0, and say nothing on standard error
    kill "-$1" "$pid"
    code=0
    wait "$pid" || code=$?
    pid=
    exec 3<&-
    [ "$code" = 0 ] || stop_with "exit code $code after SIG$1"
    [ ! -s err ] || stop_with "it complained"
}

requests=0
expect() { # status, text in head or body, curl's arguments
    want=$1
    text=$2
    shift 2
    requests=$((requests + 1))
    : > body
    got=$(curl -s -m 120 -D head -o body -w '%{http_code}' "$@") || got="$got, curl's exit code $?"
    [ "$got" = "$want" ] || stop_with "$*: $got, expected $want: $(cat body)"
    cat head body | grep -qF -e "$text" || stop_with "$*: '$text' is not in: $(cat head body)"
}

user() { # name: a registration
    printf '{"username": "%s", "password": "pass word of %s", "email": "%s@example.com"}' "$1" "$1" "$1"
}
letters() { head -c "$1" /dev/zero | tr '\0' a; }

# ---- what it does --------------------------------------------------------------------------------

start
expect 200 '"status":"ok"' "$url/healthz"
expect 201 '"status":"registered"' "$url/register" -d "$(user ada)"
grep -Eq '"password_hash":"[0-9a-f]{16}\.\.\."' body || stop_with "201 without the beginning of the hash: $(cat body)"
cp body created
expect 200 '"username":"ada","email":"ada@example.com"' "$url/users/ada"
cmp -s created body || stop_with "the look-up differs from the 201: $(cat created body)"
expect 409 'taken' "$url/register" -d "$(user ada)"
expect 404 'no such user' "$url/users/nobody"
expect 200 '"ok"' "$url/healthz?with=query"
expect 200 '"process_pool":{"queued":0,"running":0,"processes":1,"done":1,' "$url/stats"
expect 201 'registered' "$url/register" -H 'Transfer-Encoding: chunked' -d "$(user chunked)"
expect 201 'registered' "$url/register" -H 'Expect: 100-continue' -d "$(user patient)"
expect 201 'Connection: close' --http1.0 "$url/register" -d "$(user old)"
expect 201 '"username":"escape"' "$url/register" \
    -d '{"username": "\u0065scape", "password": "\u00e4 \ud83d\ude00", "email": "\u00e4@example.com", "more": [1]}'
expect 200 'Content-Length: 16' -I "$url/healthz"

# ---- what it refuses -----------------------------------------------------------------------------

expect 404 'no such path' "$url/nowhere"
expect 404 'no such path' "$url/users/"
expect 405 'Allow: POST' "$url/register"
expect 405 'Allow: GET, HEAD' "$url/healthz" -d x
expect 405 'Allow: POST' -X DELETE "$url/register"
expect 501 'method' -X BREW "$url/register"
expect 400 'empty' -X POST "$url/register"
expect 400 'not JSON' "$url/register" -d '{"username": "x", '
expect 400 'not a JSON object' "$url/register" -d '["x"]'
expect 400 'password' "$url/register" -d '{"username": "x", "email": "x@example.com"}'
expect 400 'password' "$url/register" -d '{"username": "x", "password": 7, "email": "x@example.com"}'
expect 400 'not JSON' "$url/register" -d '{"username": "x", "password": "a\u0000b", "email": "x@example.com"}'
expect 400 'not JSON' "$url/register" -d '{"username": "x", "username": "y", "password": "p", "email": "x@example.com"}'
expect 400 'username' "$url/register" -d "$(user "two words")"
expect 400 'username' "$url/register" -d "$(user "$(letters 65)")"
expect 400 'email' "$url/register" -d '{"username": "x", "password": "p", "email": "nowhere"}'
expect 400 'too deep' "$url/register" -d "$(letters 4000 | tr a '[')"
expect 413 'too long' "$url/register" -d "$(letters 9000)"
expect 413 'too long' "$url/register" -H 'Transfer-Encoding: chunked' -d "$(letters 9000)"
expect 414 'target' "$url/users/$(letters 300)"
expect 431 'head' "$url/healthz" -H "A: $(letters 9000)"
expect 400 'Content-Length with Transfer-Encoding' "$url/register" \
    -H 'Transfer-Encoding: chunked' -H 'Content-Length: 3' -d abc
expect 417 'expectation' "$url/register" -H 'Expect: miracles' -d "$(user x)"
expect 400 'Host' -H 'Host:' "$url/healthz"
expect 404 'no such user' "$url/users/x"

# Two requests over one connection.
[ "$(curl -s "$url/healthz" "$url/users/ada" -o /dev/null -o /dev/null -w '%{num_connects} ')" = '1 0 ' ] ||
    stop_with "the connection was not kept"

# ---- what stands in its way ----------------------------------------------------------------------

refused() { # text, command: it must end with code 1 and that text
    text=$1
    shift
    code=0
    "$@" > refused 2>&1 || code=$?
    [ "$code" = 1 ] || stop_with "$*: exit code $code, expected 1: $(cat refused)"
    grep -qF -e "$text" refused || stop_with "$*: '$text' is not in: $(cat refused)"
}
refused 'Address already in use' "$service" --port "${url##*:}" --database other.db
refused 'too few file descriptors' sh -c "ulimit -n 40 && exec '$service' --port 0 --database other.db"
refused 'cannot open database' "$service" --port 0 --database /nowhere/users.db
refused 'must be from' "$service" --port 70000
refused 'is not an option' "$service" --prot 80
expect 200 '"ok"' "$url/healthz"
stop INT

# ---- SIGTERM while registrations are in flight -----------------------------------------------------

start
clients=
numbers=
last=0
twelve_more() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
        last=$((last + 1))
        curl -s -m 240 -o /dev/null -w '%{http_code}' "$url/register" -d "$(user "late$last")" > "status$last" &
        clients="$clients $!"
        numbers="$numbers $last"
    done
}
twelve_more
until curl -s "$url/stats" > stats && ! grep -q '"process_pool":{"queued":0,"running":0,' stats; do
    # Each was through before anybody looked.
    [ "$(cat status* | wc -c)" -lt "$((3 * last))" ] || twelve_more
done
stop TERM
# shellcheck disable=SC2086 # a list
wait $clients || : # those who came too late were not connected

start
created=0
for i in $numbers; do
    if [ "$(cat "status$i")" = 201 ]; then
        created=$((created + 1))
        expect 200 "late$i@example.com" "$url/users/late$i"
    else
        expect 404 'no such user' "$url/users/late$i"
    fi
done
[ "$created" -gt 0 ] || stop_with "no registration was in flight"
stop TERM
echo "$requests requests; $created of $last registrations were answered although the service was told to stop"
