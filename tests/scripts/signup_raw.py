# limit: 600 s
"""The registration service with clients that curl would never be.

Requests that two parsers could read in two ways are refused and end the connection; clients that are slow, silent,
gone or too early harm nobody; a hash process that is killed, or stands still, fails its own request alone. Standing
still is made with SIGSTOP, so that what is in flight is known.
"""
import itertools
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

FOLDER = os.environ["EDDY_TMP"]
SERVICE = os.path.join(os.environ["EDDY_BUILD_DIR"], "signup-service")
SLOW = {"thread": 5, "address": 3}.get(os.environ.get("EDDY_VARIANT"), 1)
REQUEST_SECONDS = 15  # that the service gives a client for a request


def until(condition, describe=lambda: "it never came"):
    """Looks again and again. The pause leaves the processor to those who are waited for; the condition decides."""
    end = time.monotonic() + 60 * SLOW
    while not condition():
        assert time.monotonic() < end, describe()
        time.sleep(0.005)


# A slow machine takes its time to hash; how long is asked only where that is the question.
PATIENT = ("--patience", "60")


class Service:
    def __init__(self, name, *options, descriptors=None):
        self.errors = open(os.path.join(FOLDER, name + ".err"), "w+")
        self.process = subprocess.Popen(
            [SERVICE, "--port", "0", "--database", os.path.join(FOLDER, name + ".db"), *options],
            stdout=subprocess.PIPE, stderr=self.errors, text=True,
            preexec_fn=descriptors and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))))
        line = self.process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), line
        self.port = int(line.rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL if kind else signal.SIGTERM)
        self.process.wait(120)
        self.process.stdout.close()
        self.errors.seek(0)
        errors = self.errors.read()
        self.errors.close()
        if kind:
            print(errors, file=sys.stderr)
        else:
            assert self.process.returncode == 0, self.process.returncode
            assert errors == "", errors

    def connect(self):
        return Client(socket.create_connection(("127.0.0.1", self.port), 60))

    def ask(self, text):
        with self.connect() as client:
            client.send(text)
            return client.answer()

    def register(self, name):
        return self.ask(registration(name))

    def stats(self):
        answer = self.ask(get("/stats"))
        assert answer.status == 200
        return answer.json

    def wait_for(self, condition):
        """The figures, once they are as they should be."""
        stats = None

        def look():
            nonlocal stats
            stats = self.stats()
            return condition(stats)

        until(look, lambda: stats)
        return stats


class Answer:
    def __init__(self, head, body):
        lines = head.split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        self.closes = self.headers["connection"] == "close"
        self.body = body
        self.json = json.loads(body) if body else None


class Client:
    def __init__(self, connection):
        self.connection = connection
        self.file = connection.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.connection.close()

    def send(self, text):
        self.connection.sendall(text if isinstance(text, bytes) else text.encode())

    def answer(self, has_body=True):
        """The next one; None at the end of the connection."""
        head = []
        while True:
            line = self.file.readline()
            if line in (b"", b"\r\n"):
                break
            head.append(line.decode().rstrip("\r\n"))
        if not head:
            return None
        answer = Answer("\r\n".join(head), "")
        if has_body and answer.status >= 200:
            body = self.file.read(int(answer.headers["content-length"])).decode()
            answer = Answer("\r\n".join(head), body)
        return answer

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.__exit__()


def get(path, more=""):
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n{more}\r\n"


def post(body, more=""):
    return f"POST /register HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n{more}\r\n{body}"


def registration(name, more=""):
    return post(json.dumps({"username": name, "password": "of " + name, "email": name + "@example.com"}), more)


class Background(threading.Thread):
    """Calls fn; result() gives what it gave, or raises what it raised."""

    def __init__(self, fn, *args):
        super().__init__(daemon=True)
        self.call = lambda: fn(*args)
        self.value = self.error = None
        self.start()

    def run(self):
        try:
            self.value = self.call()
        except BaseException as error:  # for result()
            self.error = error

    def result(self):
        self.join(80)
        assert not self.is_alive(), "no end"
        if self.error:
            raise self.error
        return self.value


def send_signal(pid, number):
    """To a process that may be gone by now: then the service has noticed."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# ---- what two parsers could read in two ways --------------------------------------------------------

CHUNKED = "POST /register HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"
HIDDEN = get("/healthz")  # what would be answered if the end of a request were mistaken

REFUSED = [
    (400, "bare LF after the first line", "GET /healthz HTTP/1.1\nHost: test\r\n\r\n"),
    (400, "bare LF after a header", "GET /healthz HTTP/1.1\r\nHost: test\nA: b\r\n\r\n"),
    (400, "bare LF at the end of the head", "GET /healthz HTTP/1.1\r\nHost: test\r\n\n"),
    (400, "bare CR in a header", "GET /healthz HTTP/1.1\r\nHost: test\r\nA: b\rC: d\r\n\r\n"),
    (400, "NUL in a header", "GET /healthz HTTP/1.1\r\nHost: test\r\nA: b\0c\r\n\r\n"),
    (400, "folded header", "GET /healthz HTTP/1.1\r\nHost: test\r\nA: b\r\n c\r\n\r\n"),
    (400, "folded first header", "GET /healthz HTTP/1.1\r\n Host: test\r\n\r\n"),
    (400, "blank before the colon", "GET /healthz HTTP/1.1\r\nHost : test\r\n\r\n"),
    (400, "header without a name", "GET /healthz HTTP/1.1\r\nHost: test\r\n: b\r\n\r\n"),
    (400, "header without a colon", "GET /healthz HTTP/1.1\r\nHost: test\r\nA\r\n\r\n"),
    (400, "two hosts", get("/healthz", "Host: other\r\n")),
    (400, "no host", "GET /healthz HTTP/1.1\r\n\r\n"),
    (400, "empty line first", "\r\n" + get("/healthz")),
    (400, "no version", "GET /healthz\r\n\r\n"),
    (505, "version 2.0", "GET /healthz HTTP/2.0\r\nHost: test\r\n\r\n"),
    (505, "version 1.2", "GET /healthz HTTP/1.2\r\nHost: test\r\n\r\n"),
    (400, "two blanks", "GET  /healthz HTTP/1.1\r\nHost: test\r\n\r\n"),
    (400, "a tab", "GET\t/healthz\tHTTP/1.1\r\nHost: test\r\n\r\n"),
    (400, "target of Latin-1", b"GET /users/\xe4 HTTP/1.1\r\nHost: test\r\n\r\n"),
    (501, "unknown method", "BREW /healthz HTTP/1.1\r\nHost: test\r\n\r\n"),
    (501, "method in small letters", "get /healthz HTTP/1.1\r\nHost: test\r\n\r\n"),
    (400, "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n"),
    (400, "two equal lengths", post("{}", "Content-Length: 2\r\n")),
    (400, "two lengths", post(HIDDEN, "Content-Length: 2\r\n")),
    (400, "length with chunked", post("0\r\n\r\n", "Transfer-Encoding: chunked\r\n")),
    (400, "chunked with length", CHUNKED + "Content-Length: 5\r\n\r\n0\r\n\r\n"),
    (400, "list of lengths", "POST /register HTTP/1.1\r\nHost: test\r\nContent-Length: 2, 2\r\n\r\n{}"),
    (400, "signed length", "POST /register HTTP/1.1\r\nHost: test\r\nContent-Length: +2\r\n\r\n{}"),
    (400, "hexadecimal length", "POST /register HTTP/1.1\r\nHost: test\r\nContent-Length: 0x2\r\n\r\n{}"),
    (400, "huge length", "POST /register HTTP/1.1\r\nHost: test\r\nContent-Length: 18446744073709551618\r\n\r\n{}"),
    (413, "large length", "POST /register HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999\r\n\r\n{}"),
    (400, "two encodings", CHUNKED + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (501, "unknown encoding", "POST /register HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (501, "almost chunked", "POST /register HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (400, "chunked in HTTP/1.0", "POST /register HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, "chunk extension", CHUNKED + "\r\n2;a=b\r\n{}\r\n0\r\n\r\n"),
    (400, "bare LF after a chunk's size", CHUNKED + "\r\n2\n{}\r\n0\r\n\r\n"),
    (400, "bare LF after a chunk", CHUNKED + "\r\n2\r\n{}\n0\r\n\r\n"),
    (400, "bare LF after the last chunk", CHUNKED + "\r\n2\r\n{}\r\n0\r\n\n"),
    (400, "longer chunk than its size", CHUNKED + "\r\n2\r\n{}}\r\n0\r\n\r\n"),
    (400, "signed chunk size", CHUNKED + "\r\n+2\r\n{}\r\n0\r\n\r\n"),
    (400, "no chunk size", CHUNKED + "\r\n\r\n{}\r\n0\r\n\r\n"),
    (400, "long chunk size", CHUNKED + "\r\n000000002\r\n{}\r\n0\r\n\r\n"),
    (413, "huge chunk", CHUNKED + "\r\nffffffff\r\n{}"),
    (400, "trailer", CHUNKED + "\r\n2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n"),
    (431, "endless line", "GET /healthz HTTP/1.1\r\nA: " + "b" * 10000),
    (431, "endless headers", "GET /healthz HTTP/1.1\r\nHost: test\r\n" + "A: b\r\n" * 2000),
    (413, "a megabyte", post("x" * 1000000)),
]


def refused_requests(service):
    for status, title, text in REFUSED:
        with service.connect() as client:
            client.send(text)
            try:
                client.send(HIDDEN)
            except (BrokenPipeError, ConnectionResetError):
                pass  # closed already
            answer = client.answer()
            assert answer.status == status and answer.closes, (title, answer.status, answer.headers, answer.body)
            assert answer.json["error"], title
            assert client.answer() is None, title


def ends_inside(service):
    """What is not a whole request when the client's data ends gets 400; no data, no answer."""
    whole = registration("inside")
    for bytes_sent in (1, 10, 30, len(whole) // 2, len(whole) - 1):
        with service.connect() as client:
            client.send(whole[:bytes_sent])
            client.connection.shutdown(socket.SHUT_WR)
            answer = client.answer()
            assert answer.status == 400 and answer.closes, (bytes_sent, answer.status)
            assert client.answer() is None
    with service.connect() as client:
        client.connection.shutdown(socket.SHUT_WR)
        assert client.answer() is None
    with service.connect() as client:
        client.send(whole)
        client.connection.shutdown(socket.SHUT_WR)
        assert client.answer().status == 201
        assert client.answer() is None


# ---- what is good -----------------------------------------------------------------------------------


def pipelined(service):
    with service.connect() as client:
        client.send(get("/healthz") + registration("piped") + get("/users/piped")
                    + get("/nowhere") + get("/healthz").replace("GET", "HEAD", 1) + get("/healthz", "Connection: close\r\n"))
        assert [client.answer().status for _ in range(4)] == [200, 201, 200, 404]
        head = client.answer(has_body=False)
        assert head.status == 200 and head.headers["content-length"] == "16"
        last = client.answer()
        assert last.status == 200 and last.closes
        assert client.answer() is None


def expectations(service):
    with service.connect() as client:
        whole = registration("waiting", "Expect: 100-continue\r\n")
        head, body = whole.split("\r\n\r\n")
        client.send(head + "\r\n\r\n")
        assert client.file.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert client.file.readline() == b"\r\n"
        client.send(body)
        assert client.answer().status == 201
    with service.connect() as client:  # too long: said at once
        client.send("POST /register HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n")
        assert client.answer().status == 413


def versions(service):
    assert service.ask("GET /healthz HTTP/1.0\r\n\r\n").closes
    assert not service.ask("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").closes
    assert not service.ask(get("/healthz")).closes
    assert service.ask("GET http://test/healthz HTTP/1.1\r\nHost: test\r\n\r\n").status == 200
    assert service.ask("GET http://test HTTP/1.1\r\nHost: test\r\n\r\n").status == 404
    assert service.ask("CONNECT test:1 HTTP/1.1\r\nHost: test\r\n\r\n").status == 404
    assert service.ask("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n").status == 404
    upgrade = get("/healthz", "Connection: Upgrade\r\nUpgrade: h2c\r\n")
    assert service.ask(upgrade).status == 200
    chunks = CHUNKED + "\r\n" + "".join(f"1\r\n{c}\r\n" for c in '{"username": "c", "password": "p", "email": "c@d"}')
    assert service.ask(chunks + "0\r\n\r\n").status == 201


# ---- clients that are slow, silent or gone ----------------------------------------------------------


def byte_at_a_time(service):
    with service.connect() as client:
        client.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in registration("slowly"):
            client.send(byte)
        answer = client.answer()
        assert answer.status == 201 and not answer.closes, answer.body


def stalls(service, text, status):
    """A client that stops: in the middle of a request it is told, otherwise it is left alone, and soon."""
    start = time.monotonic()  # before the service's own time can begin
    with service.connect() as client:
        client.send(text)
        answer = client.answer()
        if status is not None:
            assert answer.status == status and answer.closes, answer.status
            answer = client.answer()
        assert answer is None
        seconds = time.monotonic() - start
        assert REQUEST_SECONDS - 1 < seconds < REQUEST_SECONDS * 4 * SLOW, seconds


def resets(service):
    whole = registration("reset")
    for bytes_sent in (0, 5, len(whole) - 1):
        client = service.connect()
        client.send(whole[:bytes_sent])
        client.reset()
    client = service.connect()
    client.send(whole)
    service.wait_for(lambda stats: stats["process_pool"]["running"] + stats["process_pool"]["done"] > 0)
    client.reset()  # while it is hashed: what was asked is done
    until(lambda: service.ask(get("/users/reset")).status == 200)


def never_reads(service):
    """Answers that nobody takes: the service stops reading from that client, and the others do not notice."""
    client = service.connect()
    client.connection.setblocking(False)
    sent = 0
    try:
        while sent < 64 * 1024 * 1024:
            sent += client.connection.send(get("/healthz").encode() * 1000)
    except BlockingIOError:
        pass
    assert service.ask(get("/healthz")).status == 200
    client.reset()


def few_descriptors():
    """More clients than descriptors: the surplus waits, and what the service needs for itself is never given away."""
    with Service("few", "--workers", "2", *PATIENT, descriptors=90) as service:
        clients = [service.connect() for _ in range(80)]
        for client in clients:
            client.send(get("/healthz"))
        served = []
        while True:
            few = len(served) < 16  # so many are served whatever happens: silence says nothing yet
            ready, _, _ = select.select([client.connection for client in clients], [], [], 60 * SLOW if few else 1)
            if not ready:
                break
            for client in [client for client in clients if client.connection in ready]:
                assert client.answer().status == 200
                clients.remove(client)
                served.append(client)
        assert 16 <= len(served) < 60 and clients, (len(served), len(clients))
        for number in range(4):  # has a hash process, although clients wait
            served[number].send(registration(f"few{number}"))
        assert [served[number].answer().status for number in range(4)] == [201] * 4
        for client in served:
            client.__exit__()
        for client in clients:
            assert client.answer().status == 200
            client.__exit__()


# ---- hash processes ---------------------------------------------------------------------------------


def handed_over(service, calls):
    """Processes that stand still have begun none of them."""
    return service.wait_for(
        lambda stats: (stats["process_pool"]["running"], stats["process_pool"]["queued"]) == (0, calls))


numbers = itertools.count()


def stop_processes(service):
    """Both hash processes are there, have nothing to do, and stand still."""
    def both_work():
        pair = [Background(service.register, f"warm{next(numbers)}") for _ in range(2)]
        statuses = [one.result().status for one in pair]
        return statuses == [201, 201] and len(service.stats()["process_pool"]["pids"]) == 2

    until(both_work)
    pids = service.stats()["process_pool"]["pids"]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def killed_while_hashing(service):
    """That request fails, the next one works. One that was killed before it had begun is moved instead, so this is
    repeated until a kill came in time."""
    for attempt in range(100):
        name = f"killed{attempt}"
        hashing = Background(service.register, name)
        stats = service.wait_for(lambda stats: stats["process_pool"]["running"] == 1 or not hashing.is_alive())
        for pid in stats["process_pool"]["pids"]:
            send_signal(pid, signal.SIGKILL)
        answer = hashing.result()
        if answer.status == 500:
            break
        assert answer.status == 201, answer.body
    assert answer.status == 500 and "died" in answer.json["error"] and not answer.closes, answer.body
    assert service.ask(get("/users/" + name)).status == 404
    assert service.register(name).status == 201


def all_ended(pids):
    """A process that is killed ends when it next gets a processor."""
    until(lambda: not any(is_alive(pid) for pid in pids), lambda: "one is alive")


def moved(service):
    """A process that is killed before it begins its call fails nothing."""
    pids = stop_processes(service)
    hashing = Background(service.register, "moved")
    handed_over(service, 1)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert hashing.result().status == 201
    all_ended(pids)


def stop_while_hashing(service, name):
    """One of the processes has begun to hash, and both stand still. A hash may be over first: this is repeated. It may also be
    over, and the service not know yet: the caller must look at the answer."""
    for attempt in range(100):
        hashing = Background(service.register, f"{name}{attempt}")
        stats = service.wait_for(lambda stats: stats["process_pool"]["running"] == 1 or not hashing.is_alive())
        pids = stats["process_pool"]["pids"]
        for pid in pids:
            send_signal(pid, signal.SIGSTOP)
        if service.stats()["process_pool"]["running"] == 1:
            return hashing, f"{name}{attempt}", pids
        for pid in pids:
            send_signal(pid, signal.SIGCONT)
        assert hashing.result().status in (201, 504)  # 504: here nobody is patient
    raise AssertionError("no process was ever seen hashing")


def stands_still_until_too_late(service):
    """An answer of 201 was on its way when the process was stopped: the next one."""
    for attempt in range(100):
        start = time.monotonic()
        hashing, name, pids = stop_while_hashing(service, f"late{attempt}.")
        answer = hashing.result()
        if answer.status != 201:
            return start, answer, name, pids
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    raise AssertionError("every hash was over before its process stood still")


def too_late(service):
    """504 after 5 s, and then the hashing has really stopped; what had not begun is taken back, and nobody is killed."""
    for begun in (True, False):
        if begun:
            start, answer, name, pids = stands_still_until_too_late(service)
        else:
            pids, name = stop_processes(service), "later"
            start = time.monotonic()
            hashing = Background(service.register, name)
            handed_over(service, 1)
            answer = hashing.result()
        seconds = time.monotonic() - start
        assert answer.status == 504 and seconds >= 5, (answer.status, seconds)
        stats = service.stats()["process_pool"]
        assert (stats["running"], stats["queued"]) == (0, 0), stats
        alive = [pid for pid in pids if is_alive(pid)]
        assert len(alive) == len(pids) - begun, "the process that hashed lives" if begun else "one was killed"
        for pid in alive:
            os.kill(pid, signal.SIGCONT)
        assert service.ask(get(f"/users/{name}")).status == 404
        until(lambda: service.register(name).status == 201)  # a slow machine may need more than the 5 s


def full_queue():
    with Service("full", "--queue", "2", *PATIENT) as service:
        pids = stop_processes(service)
        waiting = [Background(service.register, f"full{i}") for i in range(4)]
        handed_over(service, 4)
        with service.connect() as client:
            client.send(registration("extra"))
            answer = client.answer()
            assert answer.status == 503 and answer.headers["retry-after"] == "1" and not answer.closes, answer.body
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        assert [one.result().status for one in waiting] == [201] * 4
        assert service.register("extra").status == 201


def same_name(service):
    """Two at once: the database decides."""
    pids = stop_processes(service)
    twins = [Background(service.register, "twin") for _ in range(2)]
    handed_over(service, 2)  # both have found the name free
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert sorted(one.result().status for one in twins) == [201, 409]


# ---- the end ----------------------------------------------------------------------------------------


def ends_in_grace():
    """What is in flight is answered, and says that it was the last."""
    with Service("grace", "--grace", "60", *PATIENT) as service:
        pids = stop_processes(service)
        with service.connect() as idle, service.connect() as client:
            assert idle.connection.send(b"") == 0
            client.send(registration("last") + get("/healthz"))
            handed_over(service, 1)
            service.process.send_signal(signal.SIGTERM)
            assert idle.answer() is None  # it has begun to stop
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            answer = client.answer()
            assert answer.status == 201 and answer.closes, answer.body
            assert client.answer() is None
        assert service.process.wait(120) == 0
        assert not any(is_alive(pid) for pid in pids)
    with Service("grace", "--grace", "60", *PATIENT) as service:
        assert service.ask(get("/users/last")).status == 200


def ends_after_grace():
    """What is still in flight when the grace period is over is cancelled, and nobody is stored."""
    service = Service("short", "--grace", "0.5", *PATIENT)
    pids = stop_processes(service)
    with service.connect() as client:
        client.send(registration("late"))
        handed_over(service, 1)
        start = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        try:
            assert client.answer() is None
        except ConnectionResetError:
            pass
    for pid in pids:  # the other one, which has nothing to do, may end by itself
        send_signal(pid, signal.SIGCONT)
    assert service.process.wait(120) == 0
    seconds = time.monotonic() - start
    assert 0.5 <= seconds < 40, seconds  # less than the 60 s of a registration
    assert not any(is_alive(pid) for pid in pids)
    service.errors.seek(0)
    assert "grace period" in service.errors.read()
    with Service("short", *PATIENT) as again:
        assert again.ask(get("/users/late")).status == 404


def dies():
    """A service that is killed leaves no process behind, and all that it had answered 201."""
    with Service("dies", *PATIENT) as service:
        assert service.register("kept").status == 201
        pids = stop_processes(service)
        client = service.connect()
        client.send(registration("lost"))
        handed_over(service, 1)
        service.process.send_signal(signal.SIGKILL)
        assert service.process.wait(120) == -signal.SIGKILL
        service.process.returncode = 0  # as intended
        client.reset()
        all_ended(pids)
    with Service("dies", *PATIENT) as service:
        assert service.ask(get("/users/kept")).status == 200
        assert service.ask(get("/users/lost")).status == 404


def main():
    with Service("main", "--workers", "3", *PATIENT) as service:
        waiting = [Background(stalls, service, text, status) for text, status in [
            ("", None),
            ("GET /hea", 408),
            ("GET /healthz HTTP/1.1\r\nHost:", 408),
            ("POST /register HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n{", 408),
            (CHUNKED + "\r\n5\r\n", 408),
        ]]
        resets(service)
        never_reads(service)
        for check in (refused_requests, ends_inside, pipelined, expectations, versions, byte_at_a_time,
                      killed_while_hashing, moved, same_name):
            check(service)
            print(check.__name__, "ok", flush=True)
        for one in waiting:
            one.result()
        service.wait_for(lambda stats: stats["connections"] == 1 and stats["tasks"] <= 10)  # its own alone
    with Service("late") as service:
        too_late(service)
        print("too_late ok", flush=True)
    for check in (few_descriptors, full_queue, ends_in_grace, ends_after_grace, dies):
        check()
        print(check.__name__, "ok", flush=True)


main()
