"""asyncio_peer.py: CPython's answers: asyncio as it is, or on uvloop with --loop uvloop. The questions are those of the
programs of the same names in bench/; the line of JSON is harness/bench.h's."""
import argparse
import asyncio
import concurrent.futures
import json
import sys
import time


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


class Bench:
    def __init__(self):
        parser = argparse.ArgumentParser()
        parser.add_argument("question", choices=sorted(QUESTIONS))
        parser.add_argument("--workers", type=int, default=1)  # there is one
        parser.add_argument("--size", type=int, default=1)
        parser.add_argument("--repetitions", type=int, default=2)
        parser.add_argument("--form", default="")
        parser.add_argument("--loop", default="")
        self.options = parser.parse_args()
        self.size, self.form = self.options.size, self.options.form
        self.repetition = 0
        self.before_bytes = resident_bytes()

    def start(self):
        self.cpu_ns = time.process_time_ns()
        self.wall_ns = time.perf_counter_ns()

    def stop(self, cell, operations, checksum):
        wall_ns = time.perf_counter_ns() - self.wall_ns
        cpu_ns = time.process_time_ns() - self.cpu_ns
        self.line(cell, checksum, operations=operations, wall_ns=wall_ns, cpu_ns=cpu_ns)

    def amount(self, cell, unit, amount, checksum):
        self.line(cell, checksum, unit=unit, amount=amount)

    def line(self, cell, checksum, **fields):
        print(json.dumps({"repetition": self.repetition, "cell": cell, "checksum": checksum,
                          "resident_bytes": resident_bytes(), **fields}), flush=True)


def calls(n):
    return 1 if n < 2 else 1 + calls(n - 1) + calls(n - 2)


async def fib(n):
    if n < 2:
        return n
    left = asyncio.create_task(fib(n - 1))
    right = asyncio.create_task(fib(n - 2))
    return await left + await right


async def fork_join(bench):
    operations = calls(bench.size)
    bench.start()
    total = await fib(bench.size)
    bench.stop("", operations, total)


async def give(number):
    return number


async def fan_out(bench):
    total = 0
    bench.start()
    for _ in range(bench.size):
        tasks = [asyncio.create_task(give(i)) for i in range(10)]
        for task in tasks:
            total += await task
    bench.stop("", bench.size * 10, total)


async def skynet_node(number, leaves):
    if leaves == 1:
        return number
    leaves //= 10
    tasks = [asyncio.create_task(skynet_node(number + i * leaves, leaves)) for i in range(10)]
    return sum([await task for task in tasks])


async def skynet(bench):
    bench.start()
    total = await skynet_node(0, bench.size)
    bench.stop("", bench.size, total)


async def suspend(number):
    parts = [number * i for i in range(4)]
    await asyncio.sleep(0)
    return parts[1] + parts[2] + parts[3] - 5 * number


async def spawn_await(bench):
    function = suspend if bench.form == "suspends" else give
    total = 0
    bench.start()
    for i in range(bench.size):
        total += await asyncio.create_task(function(i))
    bench.stop("", bench.size, total)


async def yields(bench):
    last = changes = 0

    async def take_turns(me):
        nonlocal last, changes
        for _ in range(bench.size):
            changes += last != me
            last = me
            await asyncio.sleep(0)

    bench.start()
    tasks = [asyncio.create_task(take_turns(me)) for me in (1, 2)]
    for task in tasks:
        await task
    bench.stop("", 2 * bench.size, changes)


async def ping_pong(bench):
    there, back = asyncio.Queue(1), asyncio.Queue(1)

    async def ping():
        total = 0
        for i in range(bench.size):
            await there.put(i)
            value = await back.get()
            assert value == i + 1
            total += value
        return total

    async def pong():
        for i in range(bench.size):
            value = await there.get()
            assert value == i
            await back.put(value + 1)

    bench.start()
    tasks = [asyncio.create_task(player) for player in (ping(), pong())]
    total = await tasks[0]
    await tasks[1]
    bench.stop("", bench.size, total)


async def channel(bench):
    sides = 4 if bench.form == "4:4" else 1
    share = bench.size // sides
    queue = asyncio.Queue(128)

    async def send():
        for i in range(1, share + 1):
            await queue.put(i)

    async def receive():
        total = 0
        while (value := await queue.get()) is not None:
            total += value
        return total

    bench.start()
    senders = [asyncio.create_task(send()) for _ in range(sides)]
    receivers = [asyncio.create_task(receive()) for _ in range(sides)]
    for task in senders:
        await task
    for _ in receivers:
        await queue.put(None)
    total = sum([await task for task in receivers])
    bench.stop("", share * sides, total)


async def lock(bench):
    mutex, count = asyncio.Lock(), 0
    bench.start()
    for _ in range(bench.size):
        async with mutex:
            count += 1
    bench.stop("free", bench.size, count)

    async def user():
        nonlocal count
        for _ in range(bench.size // 4):
            async with mutex:
                before = count
                await asyncio.sleep(0)
                count = before + 1

    count = 0
    bench.start()
    await asyncio.gather(*[user() for _ in range(4)])
    bench.stop("handed", bench.size, count)


async def alive(bench):
    go, all_here = asyncio.Event(), asyncio.Event()
    here = 0

    async def live(number):
        nonlocal here
        if bench.form == "snprintf":
            number = int(("%.3f is a number" % number).split(".")[0])
        here += 1
        if here == bench.size:
            all_here.set()
        await go.wait()
        return number

    bench.start()
    tasks = [asyncio.create_task(live(i)) for i in range(bench.size)]
    await all_here.wait()
    resident = resident_bytes() - bench.before_bytes
    go.set()
    total = 0
    for task in tasks:
        total += await task
    bench.stop("", bench.size, total)
    bench.amount("resident", "byte", resident / bench.size, total)


async def timers(bench):
    loop = asyncio.get_running_loop()

    def never():
        sys.exit("a timer that was stopped")

    def started(i):
        return loop.call_later(3600 + i * 7919 % 1000000 / 1000, never)

    count = 0
    bench.start()
    for i in range(bench.size):
        started(i).cancel()
        count += 1
    bench.stop("restart", bench.size, count)

    bench.start()
    handles = [started(i) for i in range(bench.size)]
    bench.stop("create", bench.size, len(handles))

    count = 0
    bench.start()
    for handle in handles:
        handle.cancel()
        count += 1
    bench.stop("cancel", bench.size, count)


async def sleepers(bench):
    awake = begun = 0

    async def sleeper():
        nonlocal awake, begun
        begun = time.perf_counter()
        await asyncio.sleep(1)
        awake += 1

    bench.start()
    tasks = [asyncio.create_task(sleeper()) for _ in range(bench.size)]
    for task in tasks:
        await task
    late = (time.perf_counter() - begun) * 1000 - 1000
    bench.stop("", bench.size, awake)
    bench.amount("late", "ms", late, awake)


async def to_thread(bench):
    loop = asyncio.get_running_loop()
    pool = concurrent.futures.ThreadPoolExecutor(2)
    given = iter(range(bench.size))

    def increment(number):
        return number + 1

    async def user():
        total = 0
        for number in given:
            total += await loop.run_in_executor(pool, increment, number)
        return total

    bench.start()
    users = [asyncio.create_task(user()) for _ in range(1024)]
    total = sum([await task for task in users])
    bench.stop("", bench.size, total)
    pool.shutdown()


class Echo(asyncio.Protocol):
    """asyncio's fast way; a timeout on each read would cost it a timer a request."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def echo(bench):
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


class Hello(asyncio.Protocol):
    """HTTP/1.1: headers parsed, the date sent; answers to requests that came together go out together."""
    made, answer = 0, b""

    def connection_made(self, transport):
        self.transport, self.rest = transport, b""

    def data_received(self, data):
        *requests, self.rest = (self.rest + data).split(b"\r\n\r\n")
        for request in requests:
            line, *headers = request.split(b"\r\n")
            fields = {}
            for header in headers:
                name, _, value = header.partition(b":")
                fields[name.lower()] = value.strip()
            if not line.endswith(b" HTTP/1.1") or b"host" not in fields:
                self.transport.abort()
                return
        now = int(time.time())
        if now != Hello.made:
            date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now))
            Hello.made, Hello.answer = now, (f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: text/plain\r\n"
                                             "Content-Length: 13\r\n\r\nHello, world!").encode()
        if requests:
            self.transport.write(Hello.answer * len(requests))


async def http(bench):
    server = await asyncio.get_running_loop().create_server(Hello, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


def increment_bytes(data):
    return bytes([(data[0] + 1) % 256]) + data[1:]


async def to_process(bench):
    queued = bench.form == "queued"
    loop = asyncio.get_running_loop()
    pool = concurrent.futures.ProcessPoolExecutor(2 if queued else 1)
    await loop.run_in_executor(pool, increment_bytes, bytes(64))  # the processes are there before the clock starts
    right = 0

    async def call(i):
        nonlocal right
        answer = await loop.run_in_executor(pool, increment_bytes, bytes([i % 256]) * 64)
        right += answer == bytes([(i + 1) % 256]) + bytes([i % 256]) * 63

    bench.start()
    if queued:
        await asyncio.gather(*[call(i) for i in range(bench.size)])
    else:
        for i in range(bench.size):
            await call(i)
    bench.stop("", bench.size, right)
    pool.shutdown()


async def main(bench):
    for bench.repetition in range(1, bench.options.repetitions + 1):
        await QUESTIONS[bench.options.question](bench)


QUESTIONS = {
    "fork_join": fork_join, "fan_out": fan_out, "skynet": skynet, "spawn_await": spawn_await, "yield": yields,
    "ping_pong": ping_pong, "channel": channel, "lock": lock, "alive": alive, "timers": timers, "sleepers": sleepers,
    "to_thread": to_thread, "to_process": to_process, "echo": echo, "http": http,
}

if __name__ == "__main__":
    bench = Bench()
    if bench.options.loop == "uvloop":
        import uvloop
        uvloop.install()
    asyncio.run(main(bench))
