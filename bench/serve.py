#!/usr/bin/env python3
"""serve.py: measures one server: serve.py LOAD echo|http CONNECTIONS DEPTH -- SERVER... --size N --repetitions N ...

The server gets the first core and the load the second. It prints its port, or gets one in place of the word PORT and none
is waited for. The lines printed are those of harness/bench.h, with the load's wall time and the server's CPU time, of all
its threads. The load idle is --size connections with one request each, and what is printed are the resident bytes that
each of them added."""
import json
import os
import socket
import subprocess
import sys
import time


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


def load(words, port, server, size, repetitions):
    program, kind, connections, depth = words
    for repetition in range(1, repetitions + 1):
        before_ns = cpu_ns(server.pid)
        done = subprocess.run([program, kind, str(port), connections, depth, "--size", str(size)], check=True,
                              stdout=subprocess.PIPE, text=True, preexec_fn=on_core(1), timeout=60)
        line = json.loads(done.stdout)
        line.update(repetition=repetition, cpu_ns=cpu_ns(server.pid) - before_ns,
                    resident_bytes=resident_bytes(server.pid))
        print(json.dumps(line), flush=True)


def idle(words, port, server, size, repetitions):
    program, before = words[0], resident_bytes(server.pid)
    for repetition in range(1, repetitions + 1):
        client = subprocess.Popen([program, "idle", str(port), str(size), "1", "--size", str(size)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=on_core(1))
        ready = json.loads(client.stdout.readline())["ready"]
        resident = resident_bytes(server.pid)
        client.communicate(timeout=60)
        print(json.dumps({"repetition": repetition, "cell": "", "checksum": ready, "resident_bytes": resident,
                          "unit": "byte", "amount": (resident - before) / ready}), flush=True)
        time.sleep(0.3)  # the server sees that its connections have ended


def main(arguments):
    middle = arguments.index("--")
    words, command = arguments[:middle], arguments[middle + 1:]
    port = free_port() if "PORT" in command else 0
    command = [str(port) if word == "PORT" else word for word in command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=on_core(0)) as server:
        try:
            if port:
                wait_until_open(port, server)
            else:
                port = json.loads(server.stdout.readline())["port"]
            size, repetitions = int(option(command, "--size", "1")), int(option(command, "--repetitions", "2"))
            (idle if words[1] == "idle" else load)(words, port, server, size, repetitions)
        finally:
            server.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
