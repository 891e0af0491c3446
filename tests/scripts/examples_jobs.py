#!/usr/bin/env python3
# limit: 600 s
"""examples/copy_file.c copies all of a file or leaves nothing; examples/scheduler.c runs each job at its times, never twice at a
time, and ends in good order by itself, by SIGTERM and by ^C."""
import os
import re
import signal
import subprocess
import sys
import time

FOLDER, TMP = os.environ["EDDY_BUILD_DIR"], os.path.join(os.environ["EDDY_TMP"], "jobs")
LIMIT_S = 120


def copy(*names, status):
    done = subprocess.run([os.path.join(FOLDER, "copy_file"), *(os.path.join(TMP, name) for name in names)], text=True,
                          capture_output=True, timeout=LIMIT_S, check=False)
    print(f"---- copy_file {names}: exit {done.returncode}\n{done.stdout}{done.stderr}", end="")
    assert done.returncode == status
    return done


def read(name):
    with open(os.path.join(TMP, name), "rb") as file:
        return file.read()


def copies():
    os.makedirs(TMP, exist_ok=True)
    content = os.urandom(1000001)
    for name, data in (("from", content), ("to", b"old"), ("empty", b"")):
        with open(os.path.join(TMP, name), "wb") as file:
            file.write(data)
    assert "ENOENT" in copy("nothing", "to", status=1).stderr and read("to") == b"old"
    assert copy("from", "to", status=0).stdout == "1000001 bytes copied\n" and read("to") == content
    assert copy("empty", "none", status=0).stdout == "0 bytes copied\n" and read("none") == b""
    assert copy("from", "no/folder", status=1).stderr
    assert sorted(os.listdir(TMP)) == ["empty", "from", "none", "to"]


def schedules(end, *arguments):
    begin = time.monotonic()
    job = subprocess.Popen([os.path.join(FOLDER, "scheduler"), *arguments], stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert job.stderr.readline() == "5 jobs, until ^C or SIGTERM\n"
    if end:
        job.send_signal(end)
    said, errors = job.communicate(timeout=LIMIT_S)
    seconds = time.monotonic() - begin
    print(f"---- scheduler, {end}: exit {job.returncode}\n{said}{errors}", end="")
    assert job.returncode == 0 and errors == ""
    rows = re.findall(r"^(\w+) +(\d+) runs, (\d+) times left out, (\d+) failed$", said, re.M)
    assert len(rows) == len(said.splitlines()) == 5
    assert all(failed == "0" for *_, failed in rows)
    return {name: (int(runs), int(left)) for name, runs, left, _ in rows}, seconds


copies()
rows, seconds = schedules(None, "2.5")  # or longer, on a machine that stands still in between
assert 1 <= sum(rows["beat"]) <= seconds * 10 + 1, "ten a second"
assert 1 <= rows["sweep"][0] <= seconds * 4 + 1, "each takes a quarter of a second"
assert rows["sweep"][1] >= rows["sweep"][0] - 1, "it takes longer than its interval"
assert 1 <= rows["rotate"][0] <= seconds + 2 and rows["backup"][0] <= 1
assert 1 <= rows["report"][0] <= seconds * 2 + 1
schedules(signal.SIGTERM)
schedules(signal.SIGINT)
print("ok")
sys.exit(0)
