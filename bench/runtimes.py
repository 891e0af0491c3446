"""runtimes.py: how each runtime's program is built and started, and which version it is. What cannot be built here is
named with its reason and left out; nothing fails for it."""
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(HERE, "peers")


class Absent(Exception):
    """Why a runtime cannot be asked here."""


def run(command, cwd=None, environment=None):
    """Runs a tool; its last words are the reason if it fails."""
    try:
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(str(error)) from error
    if done.returncode != 0:
        words = [line for line in (done.stderr + done.stdout).splitlines() if "error" in line or "cannot" in line]
        raise Absent(f"{command[0]}: " + (words[0].strip() if words else f"ended with {done.returncode}"))
    return done.stdout + done.stderr


def newest(*paths):
    files = [path for path in paths if os.path.isfile(path)]
    for folder in (path for path in paths if os.path.isdir(path)):
        files += [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    return max(os.path.getmtime(file) for file in files)


def version_of_package(name):
    try:
        return run(["dpkg-query", "-W", "-f", "${Version}", name]).strip()
    except Absent:
        return "?"


class Runtimes:
    """The commands of all runtimes; each is built once, when it is asked for first."""

    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        self.known = {}

    def get(self, name):
        """(command up to the question, version), or the reason why it is absent."""
        if name not in self.known:
            try:
                self.known[name] = BUILDERS[name](self)
            except Absent as reason:
                self.known[name] = str(reason)
        return self.known[name]

    def command(self, name, question, size, workers, repetitions, connections=0):
        runtime, _, form = name.partition(":")
        prefix = self.get(runtime)[0]
        if runtime.startswith("eddy"):
            words = [*prefix, os.path.join(self.programs, "bench-" + question.program)]
        else:
            words = [*prefix, question.program]
        words += ["--size", str(size), "--workers", str(workers), "--repetitions", str(repetitions)]
        form = form or question.form
        if form:
            words += ["--form", form]
        if question.load:
            kind, usual, depth = question.load
            words = [*self.python_itself, os.path.join(HERE, "serve.py"), os.path.join(self.programs, "bench-load"), kind,
                     str(connections or usual), str(depth), "--", *words]
        return words

    python_itself = ["/usr/bin/python3", "-B"]

    def eddy(self):
        with open(os.path.join(HERE, "..", "build", "eddy.pc"), encoding="utf-8") as file:
            version = re.search(r"^Version: *(\S+)", file.read(), re.M).group(1)
        try:
            commit = run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE).strip()
            dirty = run(["git", "status", "--porcelain", "--", "../src", "../include"], cwd=HERE).strip()
            version += " " + commit + ("+" if dirty else "")
        except Absent:
            pass
        return [], version

    def twice(self):
        """Two processes of eddy's with one worker each, at the same time."""
        return [*self.python_itself, os.path.join(HERE, "twice.py")], self.get("eddy")[1]

    def nginx(self):
        """Its words are a configuration; serve.py puts the port in."""
        place = os.path.join(self.folder, "nginx")
        os.makedirs(place, exist_ok=True)
        tool = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") or "nginx"
        version = re.search(r"nginx/(\S+)", run([tool, "-v"])).group(1)
        with open(os.path.join(PEERS, "nginx.conf"), encoding="utf-8") as file:
            text = file.read().replace("PLACE", place)
        with open(os.path.join(place, "nginx.conf.in"), "w", encoding="utf-8") as file:
            file.write(text)
        script = 'sed "s/PORT/$1/" "$2/nginx.conf.in" > "$2/nginx.conf" && exec "$3" -p "$2" -c "$2/nginx.conf"'
        return ["/bin/sh", "-c", script, "nginx", "PORT", place, tool], version

    def compiled(self, compiler, source, libraries, package):
        """A program of one C or C++ file and harness/bench.c, built as a release is."""
        harness = os.path.join(HERE, "harness")
        source = os.path.join(PEERS, source)
        name, ending = os.path.splitext(os.path.basename(source))
        out = os.path.join(self.folder, name)
        if not os.path.exists(out) or os.path.getmtime(out) < newest(source, harness):
            os.makedirs(self.folder, exist_ok=True)
            flags = ["-O3", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-I" + HERE, "-pthread"]
            run(["gcc", *flags, "-c", "-o", out + ".bench.o", os.path.join(harness, "bench.c")])
            standard = "-std=c++17" if ending == ".cc" else "-std=gnu11"
            run([compiler, *flags, standard, "-o", out, source, out + ".bench.o", *libraries])
        return [out], version_of_package(package)

    def go(self):
        source, out = os.path.join(PEERS, "go"), os.path.join(self.folder, "go")
        tool = shutil.which("go") or "go"
        if not os.path.exists(out) or os.path.getmtime(out) < newest(source):
            environment = dict(os.environ, GO111MODULE="off", GOCACHE=os.path.join(self.folder, "go-cache"),
                               GOTOOLCHAIN="local")
            run([tool, "build", "-o", out, "."], cwd=source, environment=environment)
        return [out], re.search(r"go(\d\S*)", run([tool, "version"])).group(1)

    def tokio(self):
        """Debian's cargo and crates, and no network: peers/tokio/.cargo/config.toml says so."""
        source, out = os.path.join(PEERS, "tokio"), os.path.join(self.folder, "tokio")
        if not os.path.exists(out) or os.path.getmtime(out) < newest(source):
            work = os.path.join(self.folder, "tokio-source")
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(source, work)
            environment = dict(os.environ, PATH="/usr/bin:/bin", CARGO_HOME=os.path.join(self.folder, "cargo"),
                               CARGO_TARGET_DIR=os.path.join(self.folder, "tokio-target"))
            run(["/usr/bin/cargo", "build", "--release", "--quiet"], cwd=work, environment=environment)
            shutil.copy(os.path.join(self.folder, "tokio-target", "release", "peer"), out)
        return [out], version_of_package("librust-tokio-dev")

    def asyncio(self):
        return self.python([])

    def uvloop(self):
        run(["/usr/bin/python3", "-c", "import uvloop"])
        command, version = self.python(["--loop", "uvloop"])
        return command, version + ", uvloop " + version_of_package("python3-uvloop")

    def python(self, words):
        start = [*self.python_itself, os.path.join(PEERS, "asyncio_peer.py"), *words]
        return start, "CPython " + run([*self.python_itself, "--version"]).split()[1]


BUILDERS = {
    "eddy": Runtimes.eddy,
    "go": Runtimes.go,
    "tokio": Runtimes.tokio,
    "asyncio": Runtimes.asyncio,
    "uvloop": Runtimes.uvloop,
    "libuv": lambda runtimes: runtimes.compiled("gcc", "libuv.c", ["-luv"], "libuv1-dev"),
    "tbb": lambda runtimes: runtimes.compiled("g++", "tbb.cc", ["-ltbb"], "libtbb-dev"),
    "boost.fiber": lambda runtimes: runtimes.compiled("g++", "boost_fiber.cc", ["-lboost_fiber", "-lboost_context"],
                                                      "libboost-fiber-dev"),
    "boost.context": lambda runtimes: runtimes.compiled("g++", "boost_context.cc", ["-lboost_context"],
                                                        "libboost-context-dev"),
    "pthreads": lambda runtimes: (runtimes.compiled("gcc", "pthreads.c", [], "libc6-dev")[0],
                                  "glibc " + version_of_package("libc6")),
    "eddy.twice": Runtimes.twice,
    "nginx": Runtimes.nginx,
    "epoll.server": lambda runtimes: (runtimes.compiled("gcc", "epoll_server.c", ["-lhttp_parser"], "libc6-dev")[0],
                                      "Linux " + os.uname().release),
    "libuv.server": lambda runtimes: runtimes.compiled("gcc", "libuv_server.c", ["-luv", "-lhttp_parser"], "libuv1-dev"),
    "floor.server": lambda runtimes: runtimes.compiled("gcc", "floor_server.c", ["-lboost_context"], "libboost-context-dev"),
    "epoll": lambda runtimes: (runtimes.compiled("gcc", "epoll.c", [], "libc6-dev")[0], "Linux " + os.uname().release),
}
