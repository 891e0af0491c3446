"""questions.py: what is asked, of whom, how much of it, what the right answer is, and what eddy must reach.

A question is one program of eddy's (bench/NAME.c), or one form of it, and the same work done by its peers (bench/peers/).
Slow runtimes do less of the same work: figures are for one operation. Ratios are peer / eddy: above 1, eddy is faster."""
from dataclasses import dataclass, field


@dataclass
class Target:
    """The ratio to `peer` must be at least this; or, without a peer, eddy's own figure at most `at_most`."""
    peer: str = ""
    at_least: float = 0
    cell: str = ""
    at_most: float = 0
    by_cpu: bool = False  # the ratio of the CPU times counts: for servers, whose clients share the machine
    workers: int = 0  # with so many; 0: the question's first


@dataclass
class Question:
    name: str
    text: str
    unit: str  # what one operation is
    size: int
    answer: object  # size -> checksum
    quick: int  # --quick does this much
    small: int  # the tests do this much
    peers: tuple
    program: str = ""
    form: str = ""
    workers: tuple = (1,)
    sizes: dict = field(default_factory=dict)  # runtime -> (size, quick) where it differs
    slack: dict = field(default_factory=dict)  # runtime -> share of the checksum that is enough
    targets: tuple = ()
    load: tuple = ()  # a server: (kind of load, connections, requests under way on each)
    peers_of_two: tuple = ()  # asked with two workers only
    tool: str = ""  # a program without which it cannot be asked
    pairs_most: int = 0  # for questions that take long and hardly vary

    def __post_init__(self):
        self.program = self.program or self.name

    def size_for(self, runtime, scale):
        if scale == "small":
            return self.small
        size, quick = self.sizes.get(runtime, (self.size, self.quick))
        return quick if scale == "quick" else size

    def right(self, runtime, size, checksum):
        answer = self.answer(size)
        return answer * self.slack.get(runtime, 1) <= checksum <= answer


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def below(n):  # 0 + 1 + ... + n - 1
    return n * (n - 1) // 2


def upto(n):
    return n * (n + 1) // 2


PYTHON = ("asyncio", "uvloop")


def slower(size, quick, runtimes=PYTHON):
    return {runtime: (size, quick) for runtime in runtimes}


QUESTIONS = [
    Question("fork_join", "fib(n), each call a task", "call", 33, fib, 28, 15,
             ("tbb", "tokio", "go", "boost.fiber", "asyncio"), workers=(1, 2), peers_of_two=("eddy.twice",),
             sizes={"go": (28, 25), "boost.fiber": (22, 20), "asyncio": (22, 19)},
             targets=(Target("tbb", 4.5), Target("tokio", 10), Target("go", 40), Target("eddy.twice", 0.9, workers=2))),
    Question("fan_out", "spawn ten, await them in that order", "task", 200000, lambda n: 45 * n, 50000, 1000,
             ("eddy:reverse", "tokio", "go", *PYTHON), sizes=slower(5000, 1000),
             targets=(Target("eddy:reverse", 1 / 1.5), Target("tokio", 4))),
    Question("skynet", "a tree of tasks, ten children each", "leaf", 1000000, below, 100000, 1000,
             ("tbb", "tokio", "go", "asyncio"), workers=(1, 2), peers_of_two=("eddy.twice",),
             sizes={"asyncio": (100000, 10000)},
             targets=(Target("tbb", 2.2), Target("tokio", 20), Target("eddy.twice", 0.9, workers=2))),
    Question("spawn_await", "one task, awaited at once", "task", 2000000, below, 400000, 1000,
             ("tokio", "go", "boost.fiber", "pthreads", *PYTHON), sizes=slower(50000, 10000, ("pthreads", *PYTHON)),
             targets=(Target("tokio", 6), Target("go", 15), Target("asyncio", 50))),
    Question("spawn_suspend", "the same, and the task suspends once", "task", 1000000, below, 200000, 1000,
             ("tokio", "go", "boost.fiber", *PYTHON), program="spawn_await", form="suspends",
             sizes=slower(50000, 10000), targets=(Target("tokio", 2), Target("go", 6))),
    Question("yield", "two tasks take turns", "yield", 2000000, lambda n: 2 * n, 500000, 1000,
             ("boost.context", "tokio", "go", "boost.fiber", *PYTHON), sizes=slower(50000, 10000),
             slack={"go": 0.9, "tokio": 0.4},  # Go preempts; Tokio lets a yielder go first every other time
             targets=(Target("boost.context", 1 / 1.8), Target("go", 4), Target("tokio", 7), Target("asyncio", 50))),
    Question("ping_pong", "a value to another task and back", "round trip", 500000, upto, 100000, 1000,
             ("tokio", "go", "boost.fiber", "pthreads", *PYTHON), sizes=slower(20000, 5000, ("pthreads", *PYTHON)),
             targets=(Target("tokio", 3), Target("go", 5))),
    Question("wake", "two sleeping workers wake each other", "round trip", 20000, lambda n: n, 5000, 100,
             ("epoll", "libuv", "go"), workers=(2,), sizes={"libuv": (2000, 1000)},
             targets=(Target("epoll", 1 / 1.15),)),
    Question("wake_thread", "a plain thread wakes a sleeping worker", "round trip", 20000, lambda n: n, 5000, 100,
             ("epoll",), program="wake", form="thread", workers=(2,), targets=(Target("epoll", 1 / 1.15),)),
    Question("alive", "tasks that have run and wait", "task", 1000000, below, 100000, 1000,
             ("go", "tokio", "asyncio"), sizes={"asyncio": (50000, 10000)},
             targets=(Target(cell="resident", at_most=4700), Target("go", 1 / 0.6))),
    Question("alive_snprintf", "the same, each after one snprintf", "task", 1000000, below, 100000, 1000,
             ("go", "tokio"), program="alive", form="snprintf",
             targets=(Target(cell="resident", at_most=8900), Target("go", 1 / 0.6))),
    Question("channel", "a channel of 128, one sender, one receiver", "message", 2000000, upto, 500000, 1000,
             ("go", "tokio", "boost.fiber", *PYTHON), sizes=slower(100000, 20000),
             targets=(Target("go", 3.5), Target("asyncio", 50))),
    Question("channel_4_4", "the same, four to four (Tokio: four to one)", "message", 2000000,
             lambda n: 4 * upto(n // 4), 500000, 1000, ("go", "tokio", "boost.fiber", "asyncio"), program="channel",
             form="4:4", sizes=slower(100000, 20000), targets=(Target("go", 3.5),)),
    Question("lock", "a lock: taken and given back; handed from task to task", "turn", 1000000, lambda n: n // 4 * 4, 200000,
             1000, ("go", "tokio", "asyncio"), sizes={"asyncio": (50000, 10000)}),
    Question("imbalance", "all tasks began on one worker of two, 50 us of work each; they may move", "task", 1000,
             lambda n: n, 1000, 100, ("eddy:stay", "eddy.twice"), form="migrate", workers=(2,),
             targets=(Target("eddy.twice", 0.9),)),
    Question("timers", "start and stop one; create and cancel many", "timer", 1000000, lambda n: n, 200000, 1000,
             ("libuv", "tokio", "go", *PYTHON), sizes=slower(50000, 10000),
             targets=(Target("libuv", 2, "create"), Target("libuv", 2, "cancel"), Target("asyncio", 50, "create"))),
    Question("sleepers", "tasks that sleep one second", "sleeper", 1000000, lambda n: n, 200000, 1000,
             ("go", "tokio", "libuv", "asyncio"), sizes={"asyncio": (100000, 20000)},
             targets=(Target(cell="late", at_most=100), Target("go", 1.2))),
    Question("to_thread", "two threads, 1,024 jobs in flight", "job", 500000, upto, 100000, 2000,
             ("libuv", "tokio", "go", *PYTHON), sizes=slower(10000, 3000),
             targets=(Target("libuv", 1.3), Target("tokio", 2), Target("asyncio", 100))),
    Question("to_process", "64 bytes to another process and back, one in flight", "call", 20000, lambda n: n, 5000, 200,
             ("epoll", "asyncio"), sizes={"asyncio": (2000, 500)},
             targets=(Target("epoll", 1 / 1.4), Target("asyncio", 40))),
    Question("to_process_queued", "two processes, all calls queued at once", "call", 20000, lambda n: n, 5000, 200,
             ("asyncio",), program="to_process", form="queued", sizes={"asyncio": (2000, 500)},
             targets=(Target("asyncio", 40),)),
    Question("echo", "a TCP server sends 64 bytes back; 100 connections", "request", 200000, lambda n: n, 50000, 1000,
             ("epoll.server", "libuv.server", "tokio", "go", *PYTHON), load=("echo", 100, 1),
             sizes=slower(100000, 20000), targets=(Target("epoll.server", 0.85, by_cpu=True),)),
    Question("http", "an HTTP/1.1 server says hello; 100 connections", "request", 200000, lambda n: n, 50000, 1000,
             ("epoll.server", "libuv.server", "nginx", "tokio", "go", *PYTHON), load=("http", 100, 1), sizes=slower(100000, 20000),
             targets=(Target("epoll.server", 0.85, by_cpu=True), Target("nginx", 1, by_cpu=True),
                      Target("go", 2, by_cpu=True))),
    Question("http_pipelined", "the same, 16 requests at once", "request", 1000000, lambda n: n, 200000, 3200,
             ("epoll.server", "libuv.server", "nginx", "tokio", "go", *PYTHON), program="http", load=("http", 100, 16),
             sizes=slower(200000, 50000, ("nginx", "go", *PYTHON)),
             targets=(Target("epoll.server", 0.85, by_cpu=True), Target("nginx", 8, by_cpu=True),
                      Target("go", 2, by_cpu=True))),
    Question("idle", "an idle connection, after one request", "connection", 1000, lambda n: n, 1000, 100,
             ("libuv.server", "tokio", "go", *PYTHON), program="echo", load=("idle", 1, 1),
             targets=(Target(at_most=5000),)),
    Question("idle_busy", "200 idle connections, 10 s after 1,000 requests each", "connection", 200000, lambda n: n, 200000,
             200, ("tokio", "go"), program="echo", load=("busy", 200, 1), pairs_most=3, targets=(Target(at_most=9300),)),
    Question("idle_half", "memory left when half of the connections have ended, after 10 s", "", 10000, lambda n: n, 10000,
             100, ("tokio", "go"), program="echo", load=("half", 1, 1), pairs_most=3,
             targets=(Target(at_most=100 * 2 / 3),)),
    Question("echo_calls", "system calls for a request; 100 connections", "request", 50000, lambda n: n, 20000, 1000,
             ("epoll.server", "libuv.server", "tokio", "go"), program="echo", load=("calls", 100, 1), tool="strace",
             pairs_most=6, targets=(Target(cell="read", at_most=1), Target(cell="write", at_most=1),
                                    Target(cell="epoll_wait", at_most=1 / 50), Target(cell="epoll_ctl", at_most=0),
                                    Target(cell="refused", at_most=0))),
    Question("echo_instructions", "instructions for a request, the kernel's apart; 100 connections", "request", 20000,
             lambda n: n, 10000, 1000, ("epoll.server", "libuv.server", "floor.server:gather"), program="echo",
             load=("instructions", 100, 1), tool="valgrind", pairs_most=6, targets=(Target("libuv.server", 1 / 3),)),
    Question("held", "new connections while one of two workers is held: connect to first answer, 99 %", "connection", 450,
             lambda n: n, 450, 20, (), load=("held", 1, 1), workers=(2,), targets=(Target(at_most=20),)),
]


@dataclass
class Growth:
    """How the cost of one operation changes with one thing, eddy alone."""
    question: str
    variable: str  # size, workers or connections
    values: tuple
    small: tuple

    def find(self):
        return next(question for question in QUESTIONS if question.name == self.question)


TENFOLD = (1, 10, 100, 1000, 10000, 100000, 1000000)
GROWTHS = [
    Growth("alive", "size", TENFOLD, (1, 10)),
    Growth("timers", "size", TENFOLD, (1, 10)),
    Growth("sleepers", "size", TENFOLD, (10,)),
    Growth("fork_join", "workers", (1, 2, 3, 4, 6, 8), (1, 2)),
    Growth("skynet", "workers", (1, 2, 3, 4, 6, 8), (1, 2)),
    Growth("echo", "connections", (1, 10, 100, 1000, 10000), (1, 10)),
]
