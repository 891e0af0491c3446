#!/usr/bin/env python3
# limit: 600 s
"""The clients of examples/, against servers that are no eddy programs, over TLS on the loopback.

crawler finds each page of two hosts once, no more than two requests at a time on either; what fails twice is had at the
third try, what is not there or always fails is said, and a server whose certificate nobody vouches for is not asked. It keeps
to robots.txt: to the group that names it, longest rule first; leaves a host alone whose robots.txt fails; and does not go to
another machine.
fan_out gives the answers that came in time: of a back end that is well, of one that leaves the first attempt unanswered, not
of one that is mute, nor of one that is not there; and uses its connections again.
"""
import collections
import http.server
import os
import re
import socket
import ssl
import subprocess
import sys
import threading

FOLDER, TMP = os.environ["EDDY_BUILD_DIR"], os.environ["EDDY_TMP"]
LIMIT_S = 120
stop = threading.Event()


def certificate(name):
    """A key and a certificate for 127.0.0.1, both in one file."""
    path = os.path.join(TMP, name)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path + ".key",
                    "-out", path], check=True, capture_output=True)
    return path


class Server(http.server.ThreadingHTTPServer):
    """`answer(server, path)` gives (code, text), or None: silence until the end."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer, pem=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.lock = answer, threading.Lock()
        self.asked, self.agents, self.connections, self.now, self.most = collections.Counter(), set(), 0, 0, 0
        if pem:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem, pem + ".key")
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # clients may leave


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def log_message(self, *what):
        pass

    def do_GET(self):
        server = self.server
        with server.lock:
            server.asked[self.path] += 1
            server.agents.add(self.headers.get("User-Agent"))
            server.now += 1
            server.most = max(server.most, server.now)
        answer = server.answer(server, self.path)
        if answer is None:
            stop.wait()
            self.close_connection = True
        with server.lock:
            server.now -= 1
        if answer is not None:
            body = answer[1].encode()
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


def run(*command, status=0):
    done = subprocess.run([os.path.join(FOLDER, command[0]), *command[1:]], capture_output=True, text=True, timeout=LIMIT_S,
                          check=False)
    print(f"---- {command[0]}: exit {done.returncode}\n{done.stdout}{done.stderr}", end="")
    assert done.returncode == status, f"exit {done.returncode}"
    return done.stdout


def links(*urls):
    return 200, "<html>" + "".join(f'<a href="{url}">here</a> ' for url in urls)


ROBOTS = """\
# not for everybody
User-agent: *
Disallow: /

User-agent: somebody-else
User-agent: Eddy-Crawler   # names have no case
Disallow: /private
Allow: /private/open$
Disallow: /*.cgi
Disallow:
Crawl-delay: 0
"""


def crawl(pem, other_pem):
    untrusted = Server(lambda server, path: links(), other_pem)
    shut = Server(lambda server, path: (503, ""))
    many = [f"/page/{i}" for i in range(20)]
    forbidden = ["/private", "/private/", "/private/open/not", "/a/b.cgi?c"]

    def other(server, path):
        return links("/one") if path == "/" else (200, "the end")

    plain = Server(other)

    def main(server, path):
        if path == "/robots.txt":
            return 200, ROBOTS
        if path == "/":
            return links(*many, "/", "/#top", "/flaky", "/broken", "/missing", f"http://127.0.0.1:{plain.server_port}/",
                         f"https://127.0.0.1:{untrusted.server_port}/secret", "mailto:nobody", "relative", *forbidden,
                         "/private/open", f"http://127.0.0.1:{shut.server_port}/", f"http://localhost:{shut.server_port}/")
        if path == "/flaky":
            return links("/late") if server.asked[path] > 2 else (503, "")
        if path == "/broken":
            return 500, "always"
        return (404, "no") if path == "/missing" else links("/", *many)

    site = Server(main, pem)
    root = f"https://127.0.0.1:{site.server_port}"
    lines = run("crawler", root + "/", pem).splitlines()
    wanted = [f"200 {root}/, 36 links, tries: 1", f"200 {root}/flaky, 1 links, tries: 3", f"500 {root}/broken, 0 links, tries: 4",
              f"404 {root}/missing, 0 links, tries: 1", f"200 {root}/late, 21 links, tries: 1",
              f"200 {root}/private/open, 21 links, tries: 1",
              f"200 http://127.0.0.1:{plain.server_port}/, 1 links, tries: 1",
              f"200 http://127.0.0.1:{plain.server_port}/one, 0 links, tries: 1",
              f"ECERTIFICATE https://127.0.0.1:{untrusted.server_port}/robots.txt, so it is left alone",
              f"503 http://127.0.0.1:{shut.server_port}/robots.txt, so it is left alone"]
    wanted += [f"200 {root}{path}, 21 links, tries: 1" for path in many]
    assert sorted(wanted) == sorted(lines[:-1]), sorted(set(wanted) ^ set(lines[:-1]))
    assert lines[-1] == "34 pages on 4 hosts"
    assert 1 <= site.most <= 2, f"{site.most} requests at a time"
    assert set(site.asked.values()) == {1, 3, 4} and not untrusted.asked and set(shut.asked) == {"/robots.txt"}
    assert not set(forbidden) & set(site.asked)
    assert site.agents == {"eddy-crawler"}


def fan_out(pem):
    well = Server(lambda server, path: (200, "well"), pem)
    stumbling = Server(lambda server, path: (200, "on its feet") if server.asked[path] > 1 else None, pem)
    mute = Server(lambda server, path: None, pem)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # nobody listens
        at = [f"127.0.0.1:{port}" for port in (well.server_port, stumbling.server_port, mute.server_port,
                                               nobody.getsockname()[1])]
        lines = run("fan_out", "6000", pem, *at).splitlines()
    for number in range(1, 4):
        said = [line for line in lines if line.startswith(f"{number}: ")]
        assert said[:-1] == [f"{number}: {at[0]} well", f"{number}: {at[1]} on its feet",
                             f"{number}: {at[2]} did not answer in time", f"{number}: {at[3]} ECONNREFUSED"], said
        took = re.fullmatch(rf"{number}: 2 of 4 answers in (\d+\.\d\d\d) s", said[-1])
        assert took and float(took[1]) >= 6, said[-1]
    opened = int(re.search(rf"^{at[0]} connections opened: (\d+)$", "\n".join(lines), re.M).group(1))
    assert opened < sum(well.asked.values()), f"{opened} connections, none was used again"


mine, foreign = certificate("mine.pem"), certificate("foreign.pem")
crawl(mine, foreign)
fan_out(mine)
stop.set()
print("ok")
sys.exit(0)
