#!/usr/bin/env python3
# limit: 600 s
"""examples/overload.c: more clients than there may be: some are served, some are told at once to come later, with a time;
another class does not notice; and when the others have gone everybody is served again."""
import http.client
import os
import re
import signal
import socket
import subprocess
import sys

PROGRAM = os.path.join(os.environ["EDDY_BUILD_DIR"], "overload")
CLIENTS, EACH = 120, 100  # 8 at a time, 10 ms each, 100 ms of waiting: no more than some 90 at once


def ask(port, path):
    """One request: (code, Retry-After)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.getheader("Retry-After")


def burst(port):
    """All clients send all they will ever ask, so that each has a request there until it is through."""
    clients = [socket.create_connection(("127.0.0.1", port), timeout=120) for _ in range(CLIENTS)]
    for client in clients:
        client.sendall(b"GET /work HTTP/1.1\r\n\r\n" * EACH)
    healthy = [ask(port, "/health") for _ in range(5)]
    answers = b""
    for client in clients:
        client.shutdown(socket.SHUT_WR)
        while part := client.recv(65536):
            answers += part
        client.close()
    return answers, healthy


def main():
    server = subprocess.Popen([PROGRAM, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    port = int(re.search(r"port (\d+)", server.stderr.readline()).group(1))
    before = [ask(port, "/work") for _ in range(3)]
    answers, healthy = burst(port)
    after = [ask(port, "/work") for _ in range(3)]
    nowhere = ask(port, "/worker")
    server.send_signal(signal.SIGINT)
    said, errors = server.communicate(timeout=120)
    served, refused = answers.count(b"HTTP/1.1 200 OK\r\n"), answers.count(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n")
    print(f"{served} served, {refused} refused\n{said}{errors}", end="")
    found = re.search(r"^/work +(\d+) served, (\d+) refused$", said, re.M)
    checks = {
        "alone, everybody is served": before == after == [(200, None)] * 3,
        "each is served or refused": served + refused == answers.count(b"HTTP/1.1") == EACH * CLIENTS,
        "some are served": served >= 8,
        "some are refused": refused > 0,
        "the other class does not notice": healthy == [(200, None)] * 5,
        "no other path": nowhere[0] == 404,
        "the gate's books agree": found and found.groups() == (str(served + 6), str(refused)),
        "it ends well": server.returncode == 0 and errors == "",
    }
    for claim, holds in checks.items():
        print("ok  " if holds else "FAIL", claim)
    return 0 if all(checks.values()) else 1


sys.exit(main())
