"""Programs of the fuzzer: made from a seed, written as text, read back.

A program is a few bodies of tasks, a few callbacks, and the objects that they share. Its text:

    program ID FUTURES EVENTS LOCKS CONDITIONS  SEMAPHORES slots bounded...  QUEUES capacity kind...  BARRIERS parties...
    task 0 { OP... }   call 0 { OP... }   end
    OP: NAME NUMBER ARGUMENT... { OP... } { OP... } ;

A number belongs to one op of the program; logs name it, and it is the nanoseconds of its deadlines, so that no two are
equal. An argument that names a task or a future is 0, 1... for tasks, 100, 101... for bare futures; times are ticks. A
queue's kind is 0 for first in first out, 1 for last in first out, 2 for least first; each condition has a lock of its own.
A body is spawned at one place at most, and waits for tasks of higher numbers only, so nothing waits in a circle.
"""
import random


class Program:
    __slots__ = ("id", "futures", "events", "locks", "conds", "sems", "queues", "barriers", "tasks", "calls")

    def __init__(self, name):
        self.id = name
        self.futures = self.events = self.locks = self.conds = 0
        self.sems, self.queues, self.barriers = [], [], []
        self.tasks, self.calls = {}, {}

    def text(self):
        words = ["program", self.id, self.futures, self.events, self.locks, self.conds,
                 len(self.sems), *(word for sem in self.sems for word in sem),
                 len(self.queues), *(word for queue in self.queues for word in queue),
                 len(self.barriers), *self.barriers]
        parts = [" ".join(map(str, words)) + "\n"]
        for kind, bodies in (("task", self.tasks), ("call", self.calls)):
            for index, body in bodies.items():
                parts.append(f"{kind} {index} {{ {block_text(body)}}}\n")
        parts.append("end\n")
        return "".join(parts)

    def ops(self):
        for body in (*self.tasks.values(), *self.calls.values()):
            yield from block_ops(body)


def block_text(block):
    out = []
    for name, number, args, blocks in block:
        out.append(f"{name} {number} ")
        if args:
            out.append(" ".join(map(str, args)) + " ")
        for inner in blocks:
            out.append(f"{{ {block_text(inner)}}} ")
        out.append("; ")
    return "".join(out)


def block_ops(block):
    for op in block:
        yield op
        for inner in op[3]:
            yield from block_ops(inner)


def parse(text):
    """The programs in a text."""
    words = iter(text.split())

    def block():
        ops = []
        for word in words:
            if word == "}":
                return ops
            op = (word, int(next(words)), [], [])
            for word in words:
                if word == ";":
                    break
                if word == "{":
                    op[3].append(block())
                else:
                    op[2].append(int(word))
            ops.append(op)
        raise ValueError("a block does not end")

    def number():
        return int(next(words))

    for word in words:
        if word != "program":
            raise ValueError(f"no program: {word}")
        program = Program(next(words))
        program.futures, program.events, program.locks, program.conds = number(), number(), number(), number()
        program.sems = [(number(), number()) for _ in range(number())]
        program.queues = [(number(), number()) for _ in range(number())]
        program.barriers = [number() for _ in range(number())]
        for word in words:
            if word == "end":
                break
            index, brace = number(), next(words)
            if brace != "{":
                raise ValueError(f"no block: {brace}")
            (program.tasks if word == "task" else program.calls)[index] = block()
        yield program


class Generator:
    """One program from one seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.program = Program(str(seed))
        self.number = 0
        self.groups = 0
        self.open_groups = []  # whose body is being written
        self.open_conds = []  # likewise
        self.handles = []
        self.spawnable = []
        self.tasks = 1

    def make(self):
        r, p = self.random, self.program
        self.tasks = r.choice((2, 3, 3, 4, 4, 5, 6, 7))
        p.futures, p.events, p.locks = r.choice((0, 1, 2)), r.choice((0, 1, 1)), r.choice((0, 1, 1))
        p.conds = r.choice((0, 0, 0, 1))
        p.sems = [(r.choice((0, 1, 2)), r.choice((0, 0, 1))) for _ in range(r.choice((0, 0, 1)))]
        p.queues = [(r.choice((0, 1, 2)), r.choice((0, 0, 1, 2))) for _ in range(r.choice((0, 0, 1)))]
        p.barriers = [r.choice((1, 2, 2, 2, 3)) for _ in range(r.choice((0, 0, 0, 1)))]
        calls = r.choice((0, 1, 2, 3))
        self.spawnable = list(range(1, self.tasks))
        self.calls = calls
        for index in range(self.tasks):
            self.me = index
            p.tasks[index] = self.body(index)
        self.me = self.tasks  # callbacks wait for nobody
        for index in range(calls):
            p.calls[index] = self.call()
        return p

    def next_number(self):
        self.number += 1
        return self.number

    def op(self, name, *args, blocks=()):
        return (name, self.next_number(), list(args), list(blocks))

    def below(self):
        """A task that this body may wait for, or a future."""
        choices = list(range(self.me + 1, self.tasks))
        if self.program.futures and (not choices or self.random.random() < 0.2):
            return 100 + self.random.randrange(self.program.futures)
        return self.random.choice(choices) if choices else None

    def anybody(self):
        if self.program.futures and self.random.random() < 0.2:
            return 100 + self.random.randrange(self.program.futures)
        return self.random.randrange(self.tasks)

    def ticks(self):
        return self.random.choice((1, 1, 1, 2, 2, 3, 4))

    def body(self, index):
        ops = []
        if index == 0 or self.random.random() < 0.25:
            ops += self.spawns(self.random.choice((1, 1, 2, 3)))
        ops += self.block(0, self.random.choice((1, 2, 2, 3, 4)))
        if self.random.random() < 0.5:
            ops.append(self.random.choice((lambda: self.op("return", self.random.randrange(1, 100)),
                                           lambda: self.op("fail", self.random.choice((0, 1, 2, 3, 4, 5)))))())
        return ops

    def spawns(self, count):
        ops = []
        for _ in range(count):
            task = next((task for task in self.spawnable if task > self.me), None)
            if task is None:
                break
            self.spawnable.remove(task)
            if self.open_groups and self.random.random() < 0.8:
                ops.append(self.op("gspawn", self.random.choice(self.open_groups), task))
            else:
                ops.append(self.op("spawn", task))
        return ops

    def block(self, depth, count):
        ops = []
        for _ in range(count):
            ops += self.step(depth)
        return ops

    def step(self, depth):
        r = self.random
        nested = (0.45, 0.4, 0.25, 0.1, 0)[min(depth, 4)]
        dice = r.random()
        if dice < nested:
            return [self.nested(depth)]
        if dice < nested + (1 - nested) * 0.55:
            op = self.waiting()
            if op[0] == "get" and r.random() < 0.8:
                return [op, self.op("task_done", *op[2])]
            if op[0] == "join" and r.random() < 0.7:
                return [self.op("try_put", op[2][0], r.randrange(1, 100)), op]
            return [op]
        return self.instant(True)

    def nested(self, depth):
        r = self.random
        kind = r.choices(("timeout", "finally", "swallow", "catch", "group", "lock", "sem", "cond"),
                         (6, 5, 5, 3, 5, 2, 1, 8 if self.program.conds else 0))[0]
        number = self.next_number()
        count = r.choice((1, 1, 2, 3))
        if kind == "timeout":
            ticks = r.choice((1, 1, 1, 2, 2, 3, 0, 0, -1))
            if r.random() < 0.2:  # two that may expire together
                inner = [self.op(kind, max(0, ticks), blocks=[[*self.block(depth + 2, 1), self.op("sleep", r.choice((2, 4)))]])]
            else:
                inner = self.block(depth + 1, count)
            return (kind, number, [ticks], [inner])
        if kind == "group":
            group = self.groups
            self.groups += 1
            self.open_groups.append(group)
            inner = self.spawns(r.choice((1, 2, 2, 3))) + self.block(depth + 1, r.choice((0, 1, 1, 2)))
            self.open_groups.remove(group)
            return (kind, number, [group], [inner])
        if kind == "cond":
            cond = r.randrange(self.program.conds)
            self.open_conds.append(cond)
            inner = self.block(depth + 1, count)
            self.open_conds.remove(cond)
            return (kind, number, [cond], [inner])
        if kind == "lock" and self.program.locks or kind == "sem" and self.program.sems:
            return (kind, number, [r.randrange(self.program.locks) if kind == "lock" else 0],
                    [self.block(depth + 1, count)])
        if kind in ("lock", "sem"):
            kind = "finally"
        return (kind, number, [], [self.block(depth + 1, count), self.block(depth + 2, r.choice((0, 1, 1, 2)))])

    def waiting(self):
        r, p = self.random, self.program
        kind = r.choices(("sleep", "await", "wait_for", "gather", "wait", "shield", "event_wait", "get", "put",
                          "as_completed", "join", "cond_wait", "cond_wait_for", "barrier"),
                         (9, 5, 3, 3, 3, 3, 2, 2, 2,
                          3, 6 if p.queues else 0, 20 if self.open_conds else 0, 8 if self.open_conds else 0,
                          10 if p.barriers else 0))[0]
        if kind in ("await", "wait_for", "shield"):
            reference = self.below()
            if reference is not None:
                if kind == "wait_for":
                    return self.op(kind, reference, r.choice((0, 0, 1, 1, 2, 3, -1)))
                return self.op(kind, reference)
        elif kind in ("gather", "wait", "as_completed"):
            references = [reference for reference in (self.below() for _ in range(r.choice((1, 2, 2, 3))))
                          if reference is not None]
            if kind == "gather":
                return self.op(kind, r.choice((0, 0, 1)), *references)
            if kind == "as_completed":
                return self.op(kind, r.choice((0, 1, 1, 2, 3, -1, -1)), *dict.fromkeys(references))
            if references:
                return self.op(kind, r.choice((0, 1, 2)), r.choice((0, 1, 2, 3, -1, -1)), *dict.fromkeys(references))
        elif kind == "event_wait" and p.events:
            return self.op(kind, r.randrange(p.events))
        elif kind == "get" and p.queues:
            return self.op(kind, r.randrange(len(p.queues)))
        elif kind == "put" and p.queues:
            return self.op(kind, r.randrange(len(p.queues)), r.randrange(1, 100))
        elif kind == "cond_wait":
            return self.op(kind, r.choice(self.open_conds))
        elif kind == "cond_wait_for":
            return self.op(kind, r.choice(self.open_conds), r.choice((1, 1, 2, 3)))
        elif kind == "barrier":
            return self.op(kind, r.randrange(len(p.barriers)))
        elif kind == "join":
            return self.op(kind, r.randrange(len(p.queues)))
        return self.op("sleep", r.choice((0, 0, 1, 1, 1, 2, 3, 5)))

    def instant(self, in_task):
        r, p = self.random, self.program
        kind = r.choices(("spawn", "cancel", "uncancel", "cancelling", "reschedule", "soon", "later", "unhandle",
                          "on_done", "off_done", "future", "event", "queue", "return", "fail", "look",
                          "eager", "notify", "breaks", "task_done", "post"),
                         (4, 9, 2, 1, 2, 3, 3, 1, 2, 1, 4, 4, 4, 0.5, 2, 1,
                          3, 12 if p.conds else 0, 4 if p.barriers else 0, 3 if p.queues else 0, 3 if p.sems else 0))[0]
        if kind == "spawn":
            return self.spawns(1)
        if kind == "eager" and in_task:
            made = self.spawns(1)
            return [("eager", number, args[-1:], blocks) for _, number, args, blocks in made]
        if kind == "notify":
            return [self.op(kind, r.randrange(p.conds), r.choice((1, 1, 2, 9)))]
        if kind == "breaks":
            return [self.op(r.choice(("barrier_reset", "barrier_reset", "barrier_abort")), r.randrange(len(p.barriers)))]
        if kind == "task_done":
            return [self.op(kind, r.randrange(len(p.queues)))]
        if kind == "post":
            return [self.op("sem_post", r.randrange(len(p.sems)))]
        if kind in ("cancel", "cancelling", "look"):
            return [self.op(kind, self.anybody())]
        if kind == "uncancel" and in_task:
            return [*([self.op("cancel", self.me)] if r.random() < 0.3 else []), self.op(kind)]
        if kind == "reschedule" and in_task:
            return [self.op(kind, r.choice((0, 1, 2, -1)))]
        if kind in ("soon", "later") and self.calls:
            op = self.op(kind, r.randrange(self.calls), *([r.choice((0, 1, 2, 3))] if kind == "later" else []))
            self.handles.append(op[1])
            return [op]
        if kind == "unhandle" and self.handles:
            return [self.op(kind, r.choice(self.handles))]
        if kind in ("on_done", "off_done") and self.calls:
            return [self.op(kind, self.anybody(), r.randrange(self.calls))]
        if kind == "future" and p.futures:
            reference = 100 + r.randrange(p.futures)
            return [self.op(*r.choice((("set", reference, r.randrange(100)), ("failf", reference, r.randrange(2, 6)))))]
        if kind == "event" and p.events:
            return [self.op(r.choice(("event_set", "event_set", "event_clear")), r.randrange(p.events))]
        if kind == "queue" and p.queues:
            index = r.randrange(len(p.queues))
            if r.random() < 0.2:
                return [self.op("try_get", index), self.op("task_done", index)]
            return [self.op(*r.choice((("try_get", index), ("try_put", index, r.randrange(100)),
                                       ("try_put", index, r.randrange(100)), ("close", index), ("close_now", index))))]
        if kind == "return" and in_task:
            return [self.op(kind, r.randrange(1, 100))]
        if kind == "fail":
            return [self.op(kind, r.choice((0, 1, 2, 3, 4, 5)) if in_task else r.choice((2, 3, 4, 5)))]
        return [self.op("cancel", self.anybody())]

    def call(self):
        """The body of a callback: nothing in it waits. It does not start itself again."""
        calls, self.calls = self.calls, 0
        ops = []
        for _ in range(self.random.choice((1, 1, 2, 3))):
            ops += self.instant(False)
        self.calls = calls
        return ops


def make(seed):
    return Generator(seed).make()
