#!/usr/bin/env python3
# limit: 600 s
"""TLS with programs that are not eddy's: openssl s_client and s_server, curl, and nginx where it is installed.

Certificates are made by the openssl tool. Both examples, tls_server and tls_client, meet each peer: TLS 1.2 and 1.3,
protocols, several names, resumption, a request in many records, a certificate that is wrong, a connection cut off.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

FOLDER = os.environ["EDDY_BUILD_DIR"]
WORK = os.environ["EDDY_TMP"]
LIMIT_S = 120


def run(*words, status=0, **options):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S,
                          check=False, **{"stdin": subprocess.DEVNULL} | options if "input" not in options else options)
    assert status is None or done.returncode == status, f"exit {done.returncode}: {' '.join(words)}\n{done.stdout}"
    return done.stdout


def path(name):
    return os.path.join(WORK, name)


def program(name):
    return os.path.join(FOLDER, name)


def make_certificates():
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    run(*new, "-subj", "/CN=authority", "-keyout", path("ca.key"), "-out", path("ca.pem"))
    for name, names in ("host", "DNS:localhost,IP:127.0.0.1"), ("elsewhere", "DNS:elsewhere"):
        run(*new, "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}", "-addext",
            "basicConstraints=critical,CA:FALSE", "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
            "-keyout", path(f"{name}.key"), "-out", path(f"{name}.pem"))


class Child:
    """A program that listens, ended by a signal."""

    def __init__(self, *words, ends_by=signal.SIGINT):
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True)
        self.ends_by = ends_by
        self.watch = threading.Timer(LIMIT_S, self.process.kill)
        self.watch.start()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        begin = time.monotonic()
        self.process.send_signal(self.ends_by)
        self.said, _ = self.process.communicate(timeout=LIMIT_S)
        self.took_s = time.monotonic() - begin
        self.watch.cancel()


class TlsServer(Child):
    def __init__(self):
        super().__init__(program("tls_server"), "0", path("host.pem"), path("host.key"), "elsewhere", path("elsewhere.pem"),
                         path("elsewhere.key"))
        line = self.process.stdout.readline()
        assert line.startswith("listening on port "), line
        self.port = line.split()[-1]

    def __exit__(self, *failure):
        super().__exit__(*failure)
        late = self.process.returncode == 1 and self.took_s >= 1  # it gives its clients a second, and says if that was too short
        assert failure[0] or late or self.process.returncode == 0 and self.said == "", (self.process.returncode, self.said)


held = []  # sockets that keep ports


def free_port():
    """A port for a server that cannot choose one itself. The socket that stays bound to it keeps it from everybody who is given
    one by the system; a server asks for it by number, with SO_REUSEADDR, as this one does, which never listens."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    held.append(holder)
    return str(holder.getsockname()[1])


def wait_for(port, child):
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        assert child.process.poll() is None, f"it ended with {child.process.returncode} before it listened"
        try:
            socket.create_connection(("127.0.0.1", int(port)), timeout=LIMIT_S).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError(f"nobody listens on port {port}")


def has(text, part):
    assert part in text, f"{part!r} was expected in:\n{text}"


def server_and_curl():
    with TlsServer() as server:
        url = f"https://localhost:{server.port}/"
        for version in "1.2", "1.3":
            said = run("curl", "-sS", "-v", "--cacert", path("ca.pem"), f"--tlsv{version}", "--tls-max", version, url, url)
            has(said, f"hello over TLSv{version}, a new session")
            has(said, "ALPN: server accepted http/1.1" if "ALPN: server" in said else "accepted")
        said = run("curl", "-sS", url, status=60)
        has(said, "unable to get local issuer certificate")
        run("curl", "-sS", "--cacert", path("ca.pem"), f"http://localhost:{server.port}/", status=None)  # no TLS at all
        has(run("curl", "-sS", "--cacert", path("ca.pem"), url), "hello over")  # it has survived that
        run("curl", "-sS", "--cacert", path("ca.pem"), f"https://127.0.0.1:{server.port}/")  # no name: the first certificate
        for name, status in ("elsewhere", 0), ("nowhere", 60):  # which certificate depends on the name
            has(run("curl", "-sS", "--cacert", path("ca.pem"), "--resolve", f"{name}:{server.port}:127.0.0.1",
                    f"https://{name}:{server.port}/", status=status), "hello over" if status == 0 else "no alternative")


def server_and_s_client():
    with TlsServer() as server:
        base = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", path("ca.pem"),
                "-verify_return_error", "-verify_hostname", "localhost", "-quiet", "-ign_eof"]
        ask = "GET / HTTP/1.0\r\n\r\n"
        # The session that the first connection of a version was given is the second one's.
        for version, session in [(version, way) for version in ("-tls1_2", "-tls1_3") for way in ("-sess_out", "-sess_in")]:
            sent = subprocess.Popen([*base, version, session, path("session" + version)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True)
            watch = threading.Timer(LIMIT_S, sent.kill)
            watch.start()
            sent.stdin.write(ask)
            sent.stdin.flush()
            line = ""
            while "hello over" not in line:
                line = sent.stdout.readline()
                assert line, "s_client ended without an answer"
            has(line, "a new session" if session == "-sess_out" else "a session resumed")
            sent.kill()
            sent.communicate()
            watch.cancel()
        # -reconnect: five times more with the first one's session.
        said = run(*base[:-2], "-tls1_2", "-reconnect", status=None, input="")
        assert said.count("Reused") == 5, said
        has(run("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-alpn", "h2", status=None, input=""),
            "no application protocol")
        has(run("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_1", "-cipher", "ALL@SECLEVEL=0",
                status=None, input=""), "protocol version")


def client_and_s_server():
    for version in "-tls1_2", "-tls1_3":
        port = free_port()
        with Child("openssl", "s_server", "-accept", port, "-cert", path("host.pem"), "-key", path("host.key"), "-www",
                   version, ends_by=signal.SIGTERM) as peer:
            wait_for(port, peer)
            said = run(program("tls_client"), "localhost", port, path("ca.pem"))
            has(said, "HTTP/1.0 200 ok")
            has(said, "Protocol  : TLSv1." + version[-1])
            said = run(program("tls_client"), "localhost", port, status=1)
            has(said, "unable to get local issuer certificate")
    port = free_port()
    with Child("openssl", "s_server", "-accept", port, "-cert", path("elsewhere.pem"), "-key", path("elsewhere.key"),
               "-www", ends_by=signal.SIGTERM) as peer:
        wait_for(port, peer)
        has(run(program("tls_client"), "localhost", port, path("ca.pem"), status=1), "hostname mismatch")


def client_and_nginx():
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        print("nginx is not installed: left out")
        return
    port = free_port()
    body = "".join(f"line {i} of many\n" for i in range(60000))  # 1 MB, so that records fill the socket
    with open(path("index.html"), "w", encoding="ascii") as file:
        file.write(body)
    with TlsServer() as behind:
        with open(path("nginx.conf"), "w", encoding="ascii") as file:
            file.write(f"""
daemon off; master_process off; pid {path("nginx.pid")}; error_log {path("nginx.log")};
events {{}}
http {{
    access_log off; client_body_temp_path {WORK}; proxy_temp_path {WORK}; fastcgi_temp_path {WORK};
    uwsgi_temp_path {WORK}; scgi_temp_path {WORK};
    server {{
        listen 127.0.0.1:{port} ssl; root {WORK};
        ssl_certificate {path("host.pem")}; ssl_certificate_key {path("host.key")};
        location /behind {{
            proxy_pass https://localhost:{behind.port}/; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_ssl_trusted_certificate {path("ca.pem")}; proxy_ssl_verify on; proxy_ssl_name localhost;
        }}
    }}
}}
""")
        with Child(nginx, "-c", path("nginx.conf"), "-p", WORK, ends_by=signal.SIGTERM) as peer:
            wait_for(port, peer)
            said = run(program("tls_client"), "localhost", port, path("ca.pem"))
            assert said.endswith(body), f"nginx's page of {len(body)} bytes came as {len(said)}"
            said = run("curl", "-sS", "--cacert", path("ca.pem"), f"https://localhost:{port}/behind")
            has(said, "hello over TLSv1.")  # nginx is our server's client


try:
    socket.getaddrinfo("localhost", None)
except socket.gaierror:
    print("this machine does not know localhost")
    sys.exit(77)
make_certificates()
server_and_curl()
server_and_s_client()
client_and_s_server()
client_and_nginx()
sys.exit(0)
