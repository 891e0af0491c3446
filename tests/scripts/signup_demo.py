# limit: 600 s
"""The demo in small: its figures hold together, its check finds what is wrong, it ends and leaves nothing.

The planted faults are services that change the database behind the clients' backs.
"""
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time

FOLDER = os.environ["EDDY_TMP"]
BUILD = os.environ["EDDY_BUILD_DIR"]
SERVICE = os.path.join(BUILD, "signup-service")
SANITIZED = os.environ.get("EDDY_VARIANT", "plain") in ("thread", "address")
CLIENTS = "3" if SANITIZED else "8"

# Between the demo and the service: a slow machine takes its time to hash, and how long is not asked here. The demo gives an
# answer 60 s.
PATIENT = os.path.join(FOLDER, "patient")
with open(PATIENT, "w") as script:
    script.write(f"#!/bin/sh\nexec '{SERVICE}' --patience 50 \"$@\"\n")
os.chmod(PATIENT, stat.S_IRWXU)


def start(*options, service=PATIENT):
    folder = tempfile.mkdtemp(dir=FOLDER)
    command = [os.path.join(BUILD, "signup-demo"), "--service", service, *options]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "TMPDIR": folder})
    demo.folder = folder
    return demo


def end(demo, code):
    out, errors = demo.communicate(timeout=400)
    assert demo.returncode == code, (demo.returncode, out, errors)
    assert os.listdir(demo.folder) == [], os.listdir(demo.folder)
    return out, errors


def run(*options, code=0, service=PATIENT):
    return end(start(*options, service=service), code)


def figures(*options):
    out, errors = run("--json", *options)
    assert errors == "", errors
    assert out.count("\n") == 1, out
    figures = json.loads(out)
    statuses = figures["statuses"]
    assert figures["ok"] is True
    assert figures["requests"] == sum(statuses.values()) > 0
    assert figures["users_in_database"] == figures["hashes_right"] == statuses.get("201", 0)
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert figures["loop_held_ms_max"] >= 0
    assert statuses.get("500", 0) <= figures["kills"]
    return figures


def counts_requests():
    for workers in (1, 2, 8):
        got = figures("--requests", "40", "--connections", CLIENTS, "--workers", str(workers), "--seed", str(workers))
        assert got["requests"] == 40 and got["workers"] == workers, got
        assert got["kills"] == 0 and {"201", "409"} <= got["statuses"].keys(), got


def repeats_itself():
    first, second = (figures("--requests", "12", "--connections", "1", "--seed", "7") for _ in range(2))
    assert first["statuses"] == second["statuses"], (first, second)


def ends_by_time_and_kills():
    got = figures("--seconds", "2", "--connections", CLIENTS, "--kill-every", "0.5")
    assert got["kills"] >= 1, got


def is_interrupted():
    demo = start("--requests", "1000000")
    while "answers" not in demo.stderr.readline():
        pass
    demo.send_signal(signal.SIGINT)
    _, errors = end(demo, 1)
    assert "interrupted" in errors, errors


def tells_in_words():
    out, errors = run("--requests", "20", "--connections", "4")
    for line in ("requests   20 over 4 connections", "statuses ", "latency ", "worker 0 ", "loop held ", "database "):
        assert re.search("^" + line, out, re.M), (line, out)
    assert out.endswith("\nok\n"), out
    assert "answers" in errors  # its progress


def serves_until_stopped():
    for signum in (signal.SIGINT, signal.SIGTERM):
        demo = start("--serve")
        url = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", demo.stdout.readline()).group(1)
        curls = [demo.stdout.readline() for _ in range(5)]
        assert f"  curl -i {url}/healthz\n" in curls, curls
        body = subprocess.run(["curl", "-s", "-m", "120", url + "/healthz"], stdout=subprocess.PIPE, check=True).stdout
        assert body == b'{"status":"ok"}\n', body
        demo.send_signal(signum)
        out, errors = end(demo, 0)
        assert out == "stopped after 1 answers\n" and errors == "", (out, errors)


def leaves_no_service_behind():
    demo = start("--serve")
    line = demo.stdout.readline()
    assert line.startswith("listening on"), line
    demo.kill()
    demo.communicate(timeout=300)  # until the service has closed its end of the output, too


PLANTED = """#!{python}
import signal, sqlite3, subprocess, sys
service = subprocess.Popen([{service!r}] + sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: service.terminate())
code = service.wait()
database = sqlite3.connect(sys.argv[sys.argv.index("--database") + 1])
database.execute("{sql}")
database.commit()
database.close()
sys.exit(code)
"""


def finds_planted_faults():
    first = "WHERE username = (SELECT min(username) FROM users)"
    for text, sql in (
        ("is not in the database", f"DELETE FROM users {first}"),
        ("nobody was told", "INSERT INTO users VALUES ('extra', 'extra@example.com', '', '', 200000, 0)"),
        ("not stored as was answered", f"UPDATE users SET email = 'other@example.com' {first}"),
        ("not stored as was answered", f"UPDATE users SET hash = '0000' || substr(hash, 5) {first}"),
        ("is not its password's", f"UPDATE users SET hash = substr(hash, 1, 60) || '0000' {first}"),
        ("is not in the database", f"UPDATE users SET iterations = 1000 {first}"),
    ):
        path = os.path.join(FOLDER, "planted")
        with open(path, "w") as file:
            file.write(PLANTED.format(python=sys.executable, service=PATIENT, sql=sql))
        os.chmod(path, stat.S_IRWXU)
        out, errors = run("--requests", "8", "--connections", "2", "--json", code=1, service=path)
        assert text in errors and json.loads(out)["ok"] is False, (sql, out, errors)


def says_what_is_missing():
    _, errors = run(service="/nowhere/signup-service", code=1)
    assert "cannot start /nowhere/signup-service" in errors, errors
    _, errors = run(service="/bin/true", code=1)
    assert "does not say where it listens" in errors, errors
    _, errors = run("--requests", "many", code=1)
    assert "must be from" in errors, errors


for check in (counts_requests, repeats_itself, ends_by_time_and_kills, tells_in_words, is_interrupted,
              serves_until_stopped, leaves_no_service_behind, finds_planted_faults, says_what_is_missing):
    begin = time.monotonic()
    check()
    print(f"{check.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
