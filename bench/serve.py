#!/usr/bin/env python3
"""serve.py: measures one server: serve.py LOAD KIND CONNECTIONS DEPTH -- SERVER... --size N --repetitions N ...

The server gets the first core and the load (peers/load.c) the second. It prints its port, or gets one in place of the word
PORT and none is waited for. The lines printed are those of harness/bench.h. What a KIND measures:

echo, http    the load's wall time and the CPU time of the server, of all its threads, for --size requests
idle          --size connections with one request each: the resident bytes that each of them added
busy          CONNECTIONS with --size requests in all, then nobody sends for BUSY_WAIT_S: the same
half          --size connections with 10 requests each; every second one ends; after HALF_WAIT_S: the resident bytes that
              are left of the process, in percent
calls         strace counts the server's system calls while --size requests are answered, when connections are open and warm
instructions  callgrind counts the server's instructions; those of a short run are taken off those of one of --size requests
held          peers/load.c says it; both get all cores"""
import collections
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUSY_WAIT_S = HALF_WAIT_S = 10
READS, WRITES = ("read", "readv", "recvfrom", "recvmsg"), ("write", "writev", "sendto", "sendmsg")


def cpu_ns(pid):
    """What all threads of the process have run for."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def option(words, name, default):
    return words[words.index(name) + 1] if name in words else default


def on_core(index):
    cores = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cores[index % len(cores)]})


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_open(port, server):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.01)
    sys.exit("the server does not listen")


class Server:
    """A process that serves, for as long as the block lasts."""

    def __init__(self, command, pinned=True):
        self.port = free_port() if "PORT" in command else 0
        self.command = [str(self.port) if word == "PORT" else word for word in command]
        self.preexec_fn = on_core(0) if pinned else None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=self.preexec_fn)
        if self.port:
            wait_until_open(self.port, self.process)
        else:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("the server did not start: " + self.process.stderr.read()[-300:])
            self.port = json.loads(line)["port"]
        return self

    @property
    def pid(self):
        return self.process.pid

    def end(self):
        """As a user would end it: what it writes at its end is written."""
        self.process.terminate()
        self.process.wait(timeout=30)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Steps:
    """A load that does what it is told, step by step."""

    def __init__(self, program, port, connections):
        self.process = subprocess.Popen([program, "steps", str(port), str(connections), "1"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=on_core(1))
        if self.answer("left") != connections:
            sys.exit("not all connections could be opened")

    def answer(self, word):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the load has ended")
        return json.loads(line)[word]

    def tell(self, words, answer):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return self.answer(answer)

    def ask(self, count):
        return self.tell(f"ask {count}", "answered")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=60)


def show(repetition, checksum, server, cells, unit):
    for cell, amount in cells.items():
        print(json.dumps({"repetition": repetition, "cell": cell, "checksum": checksum, "unit": unit, "amount": amount,
                          "resident_bytes": resident_bytes(server.pid)}), flush=True)


def load(words, command, size, repetitions):
    program, kind, connections, depth = words
    with Server(command) as server:
        for repetition in range(1, repetitions + 1):
            before_ns = cpu_ns(server.pid)
            done = subprocess.run([program, kind, str(server.port), connections, depth, "--size", str(size)], check=True,
                                  stdout=subprocess.PIPE, text=True, preexec_fn=on_core(1), timeout=60)
            line = json.loads(done.stdout)
            line.update(repetition=repetition, cpu_ns=cpu_ns(server.pid) - before_ns,
                        resident_bytes=resident_bytes(server.pid))
            print(json.dumps(line), flush=True)


def memory(words, command, size, repetitions):
    """idle, busy and half."""
    program, kind, connections, _ = words
    connections = int(connections) if kind == "busy" else size
    requests = size * 10 if kind == "half" else size
    wait_s = 0.1 if size <= 200 else BUSY_WAIT_S  # in the tests
    with Server(command) as server:
        before = resident_bytes(server.pid)
        for repetition in range(1, repetitions + 1):
            with Steps(program, server.port, connections) as steps:
                steps.ask(requests)
                if kind == "busy":
                    time.sleep(wait_s)
                full = resident_bytes(server.pid)
                if kind == "half":
                    steps.tell("close", "left")
                    time.sleep(wait_s)
                    show(repetition, size, server, {"": 100 * resident_bytes(server.pid) / full}, "%")
                    show(repetition, size, server, {"full": (full - before) / size}, "byte")
                else:
                    show(repetition, size, server, {"": (full - before) / connections}, "byte")
            time.sleep(0.3)  # the server sees that its connections have ended


def traced(pid):
    """Whether a tracer sits on every thread."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
            if "TracerPid:\t0" in file.read():
                return False
    return True


def calls(words, command, size, repetitions):
    program, _, connections, _ = words
    connections = int(connections)
    with Server(command) as server, Steps(program, server.port, connections) as steps:
        steps.ask(20 * connections)
        for repetition in range(1, repetitions + 1):
            with tempfile.NamedTemporaryFile("r") as table:
                tracer = subprocess.Popen(["strace", "-c", "-f", "-qq", "-o", table.name, "-p", str(server.pid)],
                                          stderr=subprocess.DEVNULL, preexec_fn=on_core(0))
                while not traced(server.pid):
                    if tracer.poll() is not None:
                        sys.exit("strace could not trace the server")
                    time.sleep(0.01)
                steps.ask(connections)  # whoever was stopped by that is under way again
                answered = steps.ask(size) + connections
                tracer.send_signal(signal.SIGINT)
                tracer.wait(timeout=30)
                counts, refused = collections.Counter(), 0
                for line in table.read().splitlines():
                    fields = line.split()
                    if len(fields) < 5 or not fields[3].isdigit():
                        continue
                    name = fields[-1]
                    cell = "read" if name in READS else "write" if name in WRITES else name
                    counts[cell] += int(fields[3])
                    if cell in ("read", "write") and len(fields) == 6:
                        refused += int(fields[4])
                counts["epoll_wait"] += counts["epoll_pwait"] + counts["epoll_pwait2"]
            cells = {cell: counts[cell] / answered for cell in ("read", "write", "epoll_wait", "epoll_ctl")}
            show(repetition, size, server, {**cells, "refused": refused / answered}, "call")


def instructions(words, command, size, repetitions):
    program, _, connections, _ = words
    for repetition in range(1, repetitions + 1):
        counts = []
        for requests in (size // 4, size):
            with tempfile.NamedTemporaryFile("r") as file:
                tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + file.name]
                with Server(tool + command) as server:
                    with Steps(program, server.port, int(connections)) as steps:
                        steps.ask(requests)
                        resident = resident_bytes(server.pid)
                    server.end()
                counts.append(next(int(line.split()[1]) for line in file if line.startswith(("summary:", "totals:"))))
        print(json.dumps({"repetition": repetition, "cell": "", "checksum": size, "unit": "instruction",
                          "amount": (counts[1] - counts[0]) / (size - size // 4), "resident_bytes": resident}), flush=True)


def held(words, command, size, repetitions):
    with Server(command, pinned=False) as server:
        for repetition in range(1, repetitions + 1):
            done = subprocess.run([words[0], "held", str(server.port), "1", "1", "--size", str(size)], check=True,
                                  stdout=subprocess.PIPE, text=True, timeout=60)
            for line in map(json.loads, done.stdout.splitlines()):
                print(json.dumps({**line, "repetition": repetition}), flush=True)
            time.sleep(0.2)  # the worker is not held any more


KINDS = {"echo": load, "http": load, "idle": memory, "busy": memory, "half": memory, "calls": calls,
         "instructions": instructions, "held": held}


def main(arguments):
    middle = arguments.index("--")
    words, command = arguments[:middle], arguments[middle + 1:]
    size, repetitions = int(option(command, "--size", "1")), int(option(command, "--repetitions", "2"))
    KINDS[words[1]](words, command, size, repetitions)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
