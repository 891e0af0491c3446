#!/usr/bin/env python3
# limit: 600 s
"""The servers of examples/, met by clients that are no eddy programs.

hello_server greets everybody, also who sends a byte at a time or leaves without a word. chat gives every
line to everybody in the room, whole and in order per sender; its self-test passes. Both end with 0 on ^C,
with clients connected, and refuse a port in use by name.
embedded is a threaded server with a runtime beside it: each connection gets its answers, in order.
"""
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

FOLDER = os.environ["EDDY_BUILD_DIR"]
LIMIT_S = 120


class Server:
    """A program that listens, ended by ^C. `grace_s`: the time that it gives its clients then; who is not served within it, as
    the machine stands still, is cut off, and the program says so by ending with 1. None: it waits for them."""

    def __init__(self, name, grace_s=None):
        self.grace_s = grace_s
        self.process = subprocess.Popen([os.path.join(FOLDER, name), "0"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.watch = threading.Timer(LIMIT_S, self.process.kill)
        self.watch.start()
        line = self.process.stdout.readline()
        match = re.fullmatch(r"listening on port (\d+)\n", line)
        assert match, f"{name} said {line!r}"
        self.port = int(match.group(1))

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S)
        return client, client.makefile("r", newline="\n")

    def end(self, last_words=""):
        """True, unless it was late."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=LIMIT_S)
        self.watch.cancel()
        if self.process.returncode == 1 and self.grace_s is not None and time.monotonic() - begin >= self.grace_s:
            print(f"late, and it says so: {said}")
            return False
        assert self.process.returncode == 0, f"exit {self.process.returncode} on ^C: {said}"
        equal(last_words, said)
        return True

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.watch.cancel()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def equal(wanted, got):
    assert wanted == got, f"{wanted!r} was expected, {got!r} came"


def port_in_use(name):
    """A port that another program listens on: exit 1, and a text that names it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run([os.path.join(FOLDER, name), str(port)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 1, f"exit {done.returncode} on a port in use"
    assert "EADDRINUSE" in done.stderr and str(port) in done.stderr, done.stderr


def hello_server():
    with Server("hello_server", grace_s=1) as server:
        guests = [server.connect() for _ in range(8)]  # all at once
        for number, (guest, _) in reversed(list(enumerate(guests))):
            for byte in f"guest {number}\n".encode():
                guest.send(bytes([byte]))
        for number, (guest, reader) in enumerate(guests):
            equal(f"Hello, guest {number}\n", reader.read())  # and then the end
            guest.close()

        shy, reader = server.connect()
        shy.send(b"half a na")
        shy.shutdown(socket.SHUT_WR)
        equal("", reader.read())
        shy.close()

        silent, reader = server.connect()
        if server.end():
            equal("", reader.read())
        silent.close()
    port_in_use("hello_server")


def chat():
    done = subprocess.run([os.path.join(FOLDER, "chat"), "--self-test"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=2 * LIMIT_S, check=False)
    print(done.stdout, done.stderr, sep="", end="")
    equal((0, ""), (done.returncode, done.stderr))
    match = re.search(r"^8 clients heard 400 lines each, in order; (\d+) of 3200 writes went to another worker$",
                      done.stdout, re.MULTILINE)
    assert match and 0 < int(match.group(1)) < 3200, "the self-test says something else"

    with Server("chat", grace_s=2) as server:
        members = [server.connect() for _ in range(6)]
        for _, reader in members:
            equal("welcome\n", reader.readline())
        for number, (member, _) in enumerate(members):  # 100 lines each, before anybody reads
            member.sendall("".join(f"{number} {line}\n" for line in range(100)).encode())
        for _, reader in members:
            heard = [0] * len(members)
            for _ in range(100 * len(members)):
                sender, line = map(int, reader.readline().split())
                equal(heard[sender], line)
                heard[sender] += 1

        left, reader = members.pop()
        left.close()
        reader.close()
        members[0][0].sendall(b"anybody there?\n")
        for _, reader in members:
            equal("anybody there?\n", reader.readline())
        in_time = server.end()
        for member, reader in members:
            if in_time:
                equal("", reader.read())
            member.close()
    port_in_use("chat")


def embedded():
    with Server("embedded") as server:
        guests = [server.connect() for _ in range(5)]
        for number, (guest, _) in enumerate(guests):
            guest.sendall(f"guest {number}\nagain {number}\n".encode())
        for number, (guest, reader) in enumerate(guests):
            equal(f"guest {number} has 6 orders, 4 mails, 4 news\n", reader.readline())
            equal(f"again {number} has 6 orders, 4 mails, 4 news\n", reader.readline())
            guest.close()
        server.end("stopped: ok\n")


hello_server()
chat()
embedded()
sys.exit(0)
