# limit: 600 s
"""eddy-ps sees into a process that was asked to be seen into, and into no other; SIGUSR1 makes it tell by itself."""
import os
import re
import signal
import subprocess
import sys
import time

BUILD = os.environ["EDDY_BUILD_DIR"]
PS = next(path for path in (os.path.join(BUILD, "eddy-ps"), os.path.join(BUILD, "..", "eddy-ps")) if os.path.exists(path))


def start(inspect):
    environment = {key: value for key, value in os.environ.items() if key != "EDDY_INSPECT"}
    if inspect:
        environment["EDDY_INSPECT"] = "1"
    process = subprocess.Popen([os.path.join(BUILD, "await_graph")], env=environment, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def ps(*words):
    return subprocess.run([PS, *map(str, words)], capture_output=True, text=True, timeout=120)


def until(ask, *parts):
    """What ask() gives when it has each part: tasks come to where they wait in their own time."""
    end = time.monotonic() + 120
    while True:
        text = ask()
        if all(re.search(part, text) for part in parts):
            return text
        assert time.monotonic() < end, f"wanted {parts} in\n{text}"
        time.sleep(0.01)


def finish(process):
    process.stdin.close()
    errors = process.stderr.read()
    assert process.wait(120) == 0, errors
    return errors


process = start(inspect=True)
pid = process.pid
table = until(lambda: ps(pid).stdout, r"orders +sleep", r"users +sleep", r"egg +await \d+", r"chicken +wait \d+", r"report +task group \d+,\d+",
              r"\A(?:.*\n){7}\Z")
assert re.match(r" +ID +WORKER +STATE +NAME +WAITS ON +SPAWNED AT\n", table), table
assert re.search(r"waiting +egg .*examples/await_graph\.c:\d+ \(wait_for_chicken\)", table), table

# Each picture is another: a worker that had no processor for two seconds is missing from it.
tree = until(lambda: ps("--tree", pid).stdout, "cycle of 2",
             r"\nreport \(id \d+\) waiting on task group\n├── orders \(id \d+\) waiting on sleep\n└── users \(id \d+\) waiting on sleep\n")
cycle = re.search(r"cycle of 2: none of them can go on: egg \(id (\d+)\) waits for chicken \(id (\d+)\) waits for egg \(id (\d+)\)\n", tree)
assert cycle and cycle[1] == cycle[3] != cycle[2], tree

until(lambda: ps("--stacks", pid).stdout, r"orders \(id \d+\) waiting on sleep, spawned at .*\n    eddy_sleep",
      r"report \(id \d+\).*\n    eddy_group_exit\+0x.*\n(?:    .*\n)*?    report\+0x")

process.send_signal(signal.SIGUSR1)
told = ""
while "eddy_sleep" not in told:
    line = process.stderr.readline()
    assert line, told
    told += line
assert f"eddy: tasks of process {pid}\n" in told and "cycle of 2" in told, told
finish(process)

process = start(inspect=False)
result = ps(process.pid)
assert result.returncode == 1 and "does not answer" in result.stderr and result.stdout == "", result
assert finish(process) == ""
for words in ([], ["x"], ["--tree"], ["--trees", "1"], ["1", "2"], ["0"]):
    assert ps(*words).returncode == 2, words
sys.exit(0)
