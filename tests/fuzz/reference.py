"""Runs programs of the fuzzer on CPython's asyncio, on a virtual clock, and writes what happened as fuzz.c does.

The event loop is asyncio's own BaseEventLoop; only its clock and its selector are ours: there is no I/O, and when nothing
is ready the clock goes on to the tick at or behind the next deadline. Times are integers. Where CPython leaves an order
open, eddy's contract fixes it, and so does this file: a group cancels its children in the order they were added, wait and
as_completed look at what is done already in the order of their arguments (CPython walks sets), and what is left at the end is
cancelled in order of creation. No two deadlines of a program are equal.

run(loop, program) gives the log, the names of the hard corners that the program reached, and why the program is to be left
out, or None.
"""
import asyncio
import asyncio.base_events
import contextlib
import gc
import sys

TICK = 1000
LIFE_TICKS = 200
ROUNDS = 100  # of cancels at the end


class Stuck(Exception):
    """Nothing can ever run again."""


class Failure(Exception):
    def __init__(self, code):
        self.code = code


class Selector:
    def __init__(self, loop):
        self.loop = loop

    def select(self, timeout):
        if timeout is None:
            raise Stuck
        if timeout > 0:
            when = self.loop._scheduled[0]._when
            self.loop.now = (when + TICK - 1) // TICK * TICK
        return ()


class Loop(asyncio.base_events.BaseEventLoop):
    """asyncio's loop without I/O, on a clock that moves only while nothing is ready."""

    def __init__(self):
        super().__init__()
        self.now = 0
        self._clock_resolution = 1
        self._selector = Selector(self)

    def time(self):
        return self.now

    def _process_events(self, event_list):
        pass

    def _write_to_self(self):
        pass


class Ordered(dict):
    """A set that keeps the order of insertion."""

    def add(self, item):
        self[item] = None

    def discard(self, item):
        self.pop(item, None)

    def remove(self, item):
        del self[item]


class AsCompleted(getattr(asyncio.tasks, "_AsCompletedIterator", object)):
    """asyncio's, but with its futures in the order of the arguments."""

    def __init__(self, futures, timeout):
        super().__init__((), None)
        self._todo = Ordered.fromkeys(futures)
        self._todo_left = len(self._todo)
        for future in futures:
            future.add_done_callback(self._handle_completion)
        if futures and timeout is not None:
            self._timeout_handle = asyncio.get_running_loop().call_later(timeout, self._handle_timeout)


def failure_text(error):
    if isinstance(error, Failure):
        return f"E{error.code}"
    if isinstance(error, asyncio.CancelledError):
        return "C"
    if isinstance(error, TimeoutError):
        return "T"
    if isinstance(error, BaseExceptionGroup):
        return f"G({','.join(map(failure_text, error.exceptions))})"
    if isinstance(error, (asyncio.QueueEmpty, asyncio.QueueFull)):
        return "B"
    if isinstance(error, getattr(asyncio, "QueueShutDown", ())):
        return "X"
    if isinstance(error, asyncio.BrokenBarrierError):
        return "K"
    if isinstance(error, ValueError):
        return "V"
    if isinstance(error, (RuntimeError, asyncio.InvalidStateError)):
        return "S"
    raise error


def future_text(future):
    if future.cancelled():
        return "C"
    error = future.exception()
    return failure_text(error) if error is not None else str(future.result())


class Who:
    """A task of a program, or a callback."""
    __slots__ = ("name", "task", "value", "timeouts", "cleanup")

    def __init__(self, name, task=None):
        self.name = name
        self.task = task
        self.value = 0
        self.timeouts = []
        self.cleanup = 0


class Run:
    def __init__(self, loop, program):
        self.loop = loop
        self.program = program
        self.start = loop.now
        self.log = []
        self.corners = set()
        self.reason = None  # to leave the program out
        self.tasks = {}  # in order of creation
        self.futures = [loop.create_future() for _ in range(program.futures)]
        self.events = [asyncio.Event() for _ in range(program.events)]
        self.locks = [asyncio.Lock() for _ in range(program.locks)]
        self.sems = [(asyncio.BoundedSemaphore if bounded else asyncio.Semaphore)(slots) for slots, bounded in program.sems]
        self.queues = [(asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue)[kind](capacity)
                       for capacity, kind in program.queues]
        self.conds = [asyncio.Condition() for _ in range(program.conds)]
        self.levels = [0] * program.conds  # notifications of each
        self.barriers = [asyncio.Barrier(parties) for parties in program.barriers]
        self.groups = {}
        self.handles = {}
        self.shielded = set()
        self.done_calls = {}

    # ---- log

    def write(self, who, number, result):
        self.log.append(f"{(self.loop.now - self.start) // TICK} {who.name} {number} {result}")

    def handler(self, loop, context):
        if not context["message"].startswith("Exception in callback"):
            return  # what was never retrieved is read off at the end of the program
        error = context["exception"]
        if isinstance(error, Failure):
            self.log.append(f"{(self.loop.now - self.start) // TICK} handler {failure_text(error)}")
        else:
            raise error

    # ---- blocks: True if the body returns

    async def block(self, who, block):
        for op in block:
            name = op[0]
            now = NOW.get(name)
            if now is not None:
                try:
                    result = now(self, who, op[1], *op[2])
                except BaseException as error:
                    self.write(who, op[1], failure_text(error))
                    if name in RAISES:
                        raise
                else:
                    self.write(who, op[1], result)
                continue
            wait = WAIT.get(name)
            if wait is not None:
                try:
                    result = await wait(self, who, op[1], *op[2])
                except BaseException as error:
                    self.write(who, op[1], failure_text(error))
                    if who.cleanup and isinstance(error, asyncio.CancelledError):
                        self.corners.add("a cancel lands in cleanup")
                    raise
                self.write(who, op[1], result)
            elif name == "return":
                who.value = op[2][0]
                self.write(who, op[1], who.value)
                return True
            elif await BLOCK[name](self, who, op[1], op[2], op[3]):
                return True
        return False

    def call_block(self, who, block):
        for op in block:
            try:
                result = NOW[op[0]](self, who, op[1], *op[2])
            except Exception as error:
                self.write(who, op[1], failure_text(error))
                if op[0] in RAISES:
                    raise
            else:
                self.write(who, op[1], result)

    async def body(self, index):
        who = Who(f"t{index}", asyncio.current_task())
        self.log.append(f"{(self.loop.now - self.start) // TICK} {who.name} begins")
        try:
            if not await self.block(who, self.program.tasks[index]):
                who.value = 0
        except BaseException as error:
            self.write(who, "ends", failure_text(error))
            raise
        self.write(who, "ends", who.value)
        if who.task._must_cancel:
            self.corners.add("a body returns with a cancel pending")
        return who.value

    def call(self, index):
        self.call_block(Who(f"c{index}"), self.program.calls[index])

    def done_call(self, index):
        """The done callback of call `index`: always the same object, so that it can be removed."""
        def run(future):
            who = Who(f"c{index}")
            self.write(who, "done", int(future.cancelled()))
            self.call_block(who, self.program.calls[index])
        return self.done_calls.setdefault(index, run)

    # ---- helpers

    def future(self, reference):
        return self.futures[reference - 100] if reference >= 100 else self.tasks.get(reference)

    def present(self, references):
        return [future for future in map(self.future, references) if future is not None]

    def spawned(self, index, task):
        self.tasks[index] = task
        return 0

    @staticmethod
    def delay(number, ticks):
        """No two deadlines are equal: the op's number is in it."""
        return ticks * TICK + number if ticks > 0 else -number if ticks == 0 else None

    # ---- ops that wait

    async def sleep(self, who, number, ticks):
        await asyncio.sleep(ticks * TICK + number if ticks > 0 else 0)
        return 0

    async def await_(self, who, number, reference):
        future = self.future(reference)
        return -1 if future is None else await future

    async def wait_for(self, who, number, reference, ticks):
        future = self.future(reference)
        if future is None:
            return -1
        try:
            result = await asyncio.wait_for(future, self.delay(number, ticks))
        except TimeoutError:
            self.corners.add("wait_for expires")
            raise
        return result

    async def gather(self, who, number, everything, *references):
        futures = self.present(references)
        if not everything:
            results = await asyncio.gather(*futures)
        else:
            try:
                results = await asyncio.gather(*futures, return_exceptions=True)
            except asyncio.CancelledError:
                self.corners.add("a gather of everything is cancelled")
                raise
        return "".join((failure_text(result) if isinstance(result, BaseException) else str(result)) + ","
                       for result in results)

    async def wait(self, who, number, when, ticks, *references):
        futures = self.present(references)
        which = (asyncio.ALL_COMPLETED, asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION)[when]
        if not futures:
            raise ValueError
        # What asyncio.wait calls: it would make a set of them, and take what is done already in any order.
        done, _ = await asyncio.tasks._wait(futures, self.delay(number, ticks), which, self.loop)
        return "".join("01"[future in done] for future in futures)

    async def shield(self, who, number, reference):
        future = self.future(reference)
        if future is None:
            return -1
        self.shielded.add(future)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not future.done():
                self.corners.add("a shield is cancelled and its work goes on")
            raise

    async def as_completed(self, who, number, ticks, *references):
        futures = self.present(references)
        ends = AsCompleted(futures, self.delay(number, ticks))
        while True:
            try:
                future = await ends.__anext__()
            except TimeoutError:
                self.corners.add("as_completed times out")
                self.write(who, number, "T")
            except StopAsyncIteration:
                return 0
            else:
                self.write(who, number, f"{futures.index(future)}:{future_text(future)}")

    async def cond_wait(self, who, number, index):
        try:
            await self.conds[index].wait()
        except asyncio.CancelledError:
            self.corners.add("a condition's wait is cancelled")
            raise
        return 0

    async def cond_wait_for(self, who, number, index, level):
        await self.conds[index].wait_for(lambda: self.levels[index] >= level)
        return 0

    async def barrier(self, who, number, index):
        barrier = self.barriers[index]
        try:
            place = await barrier.wait()
        except asyncio.BrokenBarrierError:
            self.corners.add("a barrier is broken")
            raise
        if barrier.parties > 1:
            self.corners.add("a barrier fills")
        return place

    async def join(self, who, number, index):
        waits = self.queues[index]._unfinished_tasks > 0
        await self.queues[index].join()
        if waits:
            self.corners.add("a join waits for its items")
        return 0

    async def event_wait(self, who, number, index):
        await self.events[index].wait()
        return 0

    async def get(self, who, number, index):
        return await self.queues[index].get()

    async def put(self, who, number, index, value):
        await self.queues[index].put(value)
        return 0

    # ---- ops with blocks

    async def locked(self, who, number, lock, block):
        try:
            await lock.acquire()
        except BaseException as error:
            self.write(who, number, failure_text(error))
            raise
        self.write(who, number, 0)
        try:
            return await self.block(who, block)
        finally:
            with contextlib.suppress(ValueError):  # a bounded semaphore that has all its slots back
                lock.release()

    def lock(self, who, number, args, blocks):
        return self.locked(who, number, self.locks[args[0]], blocks[0])

    def sem(self, who, number, args, blocks):
        return self.locked(who, number, self.sems[args[0]], blocks[0])

    def cond(self, who, number, args, blocks):
        return self.locked(who, number, self.conds[args[0]], blocks[0])

    async def group(self, who, number, args, blocks):
        group = asyncio.TaskGroup()
        group._tasks = Ordered()
        self.groups[args[0]] = group
        try:
            async with group:
                returns = await self.block(who, blocks[0])
        except BaseException as error:
            count = who.task.cancelling()
            if isinstance(error, BaseExceptionGroup) and count:
                self.corners.add("a group fails and is cancelled from outside")
            self.write(who, number, f"{failure_text(error)} {count}")
            raise
        self.write(who, number, f"0 {who.task.cancelling()}")
        return returns

    async def timeout(self, who, number, args, blocks):
        delay = self.delay(number, args[0])
        timeout = asyncio.timeout(delay)
        expired = False
        scope = [timeout, False]  # and whether one inside it expired
        who.timeouts.append(scope)
        try:
            async with timeout:
                try:
                    returns = await self.block(who, blocks[0])
                finally:
                    expired = timeout.expired()
        except BaseException as error:
            self.write(who, number, f"{failure_text(error)} {int(expired)} {who.task.cancelling()}")
            raise
        else:
            self.write(who, number, f"0 {int(expired)} {who.task.cancelling()}")
            if expired:
                self.corners.add("a body swallows its timeout")
        finally:
            who.timeouts.pop()
            if expired:
                if scope[1]:
                    self.corners.add("nested timeouts both expire")
                if who.timeouts:
                    who.timeouts[-1][1] = True
        return returns

    async def finally_(self, who, number, args, blocks):
        # As try/finally; a return in the second block takes the place of what was under way.
        raised = None
        returns = False
        try:
            returns = await self.block(who, blocks[0])
        except BaseException as error:
            raised = error
        value = who.value
        who.cleanup += 1
        try:
            if await self.block(who, blocks[1]):
                return True
        finally:
            who.cleanup -= 1
        if raised is not None:
            try:
                raise raised
            finally:
                raised = None
        who.value = value
        return returns

    async def swallow(self, who, number, args, blocks):
        try:
            return await self.block(who, blocks[0])
        except asyncio.CancelledError:
            self.write(who, number, "C")
        return await self.handle(who, blocks[1])

    async def catch(self, who, number, args, blocks):
        try:
            return await self.block(who, blocks[0])
        except Exception as error:
            self.write(who, number, failure_text(error))
        return await self.handle(who, blocks[1])

    async def handle(self, who, block):
        who.cleanup += 1
        try:
            return await self.block(who, block)
        finally:
            who.cleanup -= 1

    # ---- ops that do not wait

    def spawn(self, who, number, index):
        return self.spawned(index, self.loop.create_task(self.body(index), name=f"t{index}"))

    def eager(self, who, number, index):
        task = asyncio.Task(self.body(index), loop=self.loop, name=f"t{index}", eager_start=True)
        self.corners.add("an eager body ends at once" if task.done() else "an eager body waits")
        return self.spawned(index, task)

    def gspawn(self, who, number, group, index):
        if group not in self.groups:
            raise RuntimeError
        body = self.body(index)
        try:
            return self.spawned(index, self.groups[group].create_task(body, name=f"t{index}"))
        except RuntimeError:
            body.close()
            raise

    def cancel(self, who, number, reference):
        future = self.future(reference)
        return -1 if future is None else int(future.cancel())

    def uncancel(self, who, number):
        pending = who.task._must_cancel
        count = who.task.uncancel()
        if pending and not who.task._must_cancel:
            self.corners.add("an uncancel takes a cancel back before it is delivered")
        return count

    def cancelling(self, who, number, reference):
        future = self.future(reference)
        return -1 if future is None else future.cancelling() if reference < 100 else 0

    def reschedule(self, who, number, ticks):
        if not who.timeouts:
            raise RuntimeError
        delay = self.delay(number, ticks)
        who.timeouts[-1][0].reschedule(None if delay is None else self.loop.now + delay)
        return 0

    def soon(self, who, number, index):
        self.handles[number] = self.loop.call_soon(self.call, index)
        return 0

    def later(self, who, number, index, ticks):
        self.handles[number] = self.loop.call_later(self.delay(number, ticks), self.call, index)
        return 0

    def unhandle(self, who, number, made):
        handle = self.handles.get(made)
        if handle is not None:
            handle.cancel()
        return int(handle is not None)

    def on_done(self, who, number, reference, index):
        future = self.future(reference)
        if future is None:
            return -1
        future.add_done_callback(self.done_call(index))
        return 0

    def off_done(self, who, number, reference, index):
        future = self.future(reference)
        return -1 if future is None else future.remove_done_callback(self.done_call(index))

    def set(self, who, number, reference, value):
        self.future(reference).set_result(value)
        return 0

    def failf(self, who, number, reference, code):
        self.future(reference).set_exception(Failure(code))
        return 0

    def event_set(self, who, number, index):
        self.events[index].set()
        return 0

    def event_clear(self, who, number, index):
        self.events[index].clear()
        return 0

    def try_get(self, who, number, index):
        return self.queues[index].get_nowait()

    def try_put(self, who, number, index, value):
        self.queues[index].put_nowait(value)
        return 0

    def close(self, who, number, index):
        self.queues[index].shutdown()
        return 0

    def close_now(self, who, number, index):
        self.queues[index].shutdown(immediate=True)
        return 0

    def task_done(self, who, number, index):
        return self.once_too_often(self.queues[index].task_done)

    def sem_post(self, who, number, index):
        return self.once_too_often(self.sems[index].release)

    def once_too_often(self, give_back):
        try:
            give_back()
        except ValueError:
            self.corners.add("something is given back once too often")
            raise RuntimeError from None
        return 0

    def notify(self, who, number, index, count):
        self.levels[index] += 1
        self.conds[index].notify(count)
        return 0

    @staticmethod
    def drive(coroutine):
        """What is declared async and never waits."""
        try:
            coroutine.send(None)
        except StopIteration:
            return 0
        raise AssertionError("it waits")

    def barrier_reset(self, who, number, index):
        return self.drive(self.barriers[index].reset())

    def barrier_abort(self, who, number, index):
        return self.drive(self.barriers[index].abort())

    def fail(self, who, number, code):
        raise (asyncio.CancelledError, TimeoutError)[code]() if code < 2 else Failure(code)

    def look(self, who, number, reference):
        future = self.future(reference)
        if future is None:
            return -1
        return future_text(future)

    # ---- the program

    def cancel_all(self):
        left = False
        for task in list(self.tasks.values()):
            if not task.done():
                left |= task.cancel()
        return left

    async def main(self):
        self.loop.set_exception_handler(self.handler)
        self.spawn(None, 0, 0)
        await asyncio.sleep(LIFE_TICKS * TICK)
        left, rounds = True, 0
        while left:
            rounds += 1
            if rounds > ROUNDS:
                self.reason = "who takes a condition's lock back waits for one who waits for it"
                for cond in self.conds:
                    if cond.locked():
                        cond.release()
            left = self.cancel_all()
            if not left:
                for handle in self.handles.values():
                    handle.cancel()
                self.handles.clear()
            await asyncio.sleep(TICK)
            left = left or not all(task.done() for task in self.tasks.values())
        lost = [name for name, task in ((f"t{index}", task) for index, task in self.tasks.items())
                if task._log_traceback and task not in self.shielded]
        lost += ["future" for future in self.futures if future._log_traceback and future not in self.shielded]
        for index, task in self.tasks.items():
            self.log.append(f"end t{index} {future_text(task)} {task.cancelling()}")
        for future in self.futures:
            if future.done() and not future.cancelled():
                future.exception()
        self.log += (f"lost {name}" for name in lost)


WAIT = {"sleep": Run.sleep, "await": Run.await_, "wait_for": Run.wait_for, "gather": Run.gather, "wait": Run.wait,
        "shield": Run.shield, "event_wait": Run.event_wait, "get": Run.get, "put": Run.put,
        "as_completed": Run.as_completed, "join": Run.join, "cond_wait": Run.cond_wait,
        "cond_wait_for": Run.cond_wait_for, "barrier": Run.barrier}
BLOCK = {"lock": Run.lock, "sem": Run.sem, "cond": Run.cond, "group": Run.group, "timeout": Run.timeout, "finally": Run.finally_,
         "swallow": Run.swallow, "catch": Run.catch}
NOW = {name: getattr(Run, name) for name in (
    "spawn gspawn cancel uncancel cancelling reschedule soon later unhandle on_done off_done set failf event_set "
    "event_clear try_get try_put close fail look eager close_now task_done sem_post notify barrier_reset "
    "barrier_abort").split()}
RAISES = {"fail"}


@contextlib.contextmanager
def machine():
    """A loop that programs run on one after the other, and no garbage collection but ours."""
    loop = Loop()
    gc.disable()
    try:
        yield loop
    finally:
        loop.close()
        gc.enable()


def run(loop, program):
    if NEW_IN_3_13 and any(op[0] in NEW_IN_3_13 for op in program.ops()):
        return "", set(), "needs CPython 3.13"
    loop.now = 0
    one = Run(loop, program)
    loop.run_until_complete(one.main())
    return "\n".join(one.log) + "\n", one.corners, one.reason


# What 3.13 changed: on 3.12 programs with these ops are left out.
NEW_IN_3_13 = {"uncancel", "group", "close", "close_now", "as_completed", "cond", "barrier"} if sys.version_info < (3, 13) else set()
