"""A program of the fuzzer as source that a person can run: Python for asyncio, C for eddy.

The Python runs on the fuzzer's loop: put tests/fuzz on PYTHONPATH. The C runs with eddy_run in a serial domain, on the real
clock with ticks of 10 ms; compile it with `cc -std=gnu11 file.c $(pkg-config --cflags --libs eddy)`.
"""

PYTHON_HEAD = '''import asyncio
import reference
loop = reference.Loop()
tasks, groups, handles, scopes = {}, {}, {}, {}


class Failure(Exception):
    pass


def at(ticks, number):  # no two deadlines are equal
    return ticks * 1000 + number if ticks > 0 else -number if ticks == 0 else None


def log(number, result=0):
    print(loop.time() // 1000, asyncio.current_task(loop).get_name() if asyncio.current_task(loop) else "callback", number,
          result)


def spawn(make, index, body, **options):
    tasks[index] = make(body, name=f"t{index}", **options)


async def completed(futures, timeout):
    ends = reference.AsCompleted(futures, timeout)
    while True:
        try:
            future = await ends.__anext__()
            print(futures.index(future), reference.future_text(future))
        except TimeoutError:
            print("not in time")
        except StopAsyncIteration:
            return


def notify(index, count):
    levels[index] += 1
    conds[index].notify(count)


'''

PYTHON_TAIL = '''

async def main():
    global futures, events, locks, sems, queues, conds, levels, barriers
    {objects}
    loop.set_exception_handler(lambda loop, context: print("handler", context["message"], context.get("exception")))
    spawn(loop.create_task, 0, t0())
    await asyncio.sleep(200000)
    while any(not task.done() for task in tasks.values()):
        for task in list(tasks.values()):
            if not task.done():
                task.cancel()
        await asyncio.sleep(1000)
    for task in tasks.values():
        print(task)

loop.run_until_complete(main())
'''

C_HEAD = '''#include <eddy/eddy.h>
#include <stdio.h>

#define TICK_NS EDDY_MS(10)
#define AT(ticks, number) ((ticks) > 0 ? (ticks) * TICK_NS + (number)*1000 : (ticks) == 0 ? -(number) : EDDY_FOREVER)
#define LOG(number) printf("%lld %d %s\\n", (long long)((eddy_time_ns() - start_ns) / TICK_NS), number, \\
                           status < 0 ? eddy_status_name(status) : "0")

static int64_t start_ns;
static eddy_task *tasks[16];
static eddy_group groups[16];
static eddy_handle *handles[1000];
static eddy_future *futures[8];
static eddy_event *events[8];
static eddy_lock *locks[8];
static eddy_semaphore *sems[8];
static eddy_queue *queues[8];
static eddy_lock *cond_locks[8];
static eddy_condition *conds[8];
static int levels[8];
static eddy_barrier *barriers[8];

static int64_t by_value(eddy_value item) { return item.i64; }
static bool reached(void *arg) { return levels[((int *)arg)[0]] >= ((int *)arg)[1]; }

static int completed(eddy_future *const *futures, size_t count, int64_t timeout_ns) {
    eddy_completions *ends;
    size_t index;
    int status = eddy_as_completed(&ends, futures, count, timeout_ns);
    while (status == 0 || status == EDDY_ETIMEDOUT) {
        status = eddy_completions_next(ends, &index);
        if (status == 0) printf("%zu: %s\\n", index, eddy_status_name(eddy_future_result(futures[index], NULL)));
        if (status == EDDY_ETIMEDOUT) printf("not in time\\n");
    }
    eddy_completions_release(ends);
    return status == EDDY_EOF ? 0 : status;
}

'''

C_TAIL = '''static int app(void *arg, eddy_value *out) {{
    (void)arg;
    (void)out;
    start_ns = eddy_time_ns();
{objects}
    eddy_spawn(&tasks[0], t0, NULL, EDDY_TASK(.name = "t0"));
    eddy_sleep(200 * TICK_NS);
    for (int left = 1; left;) {{
        left = 0;
        for (int i = 0; i < 16; i++)
            if (tasks[i] != NULL && !eddy_future_done(EDDY_FUTURE(tasks[i]))) left |= eddy_cancel(EDDY_FUTURE(tasks[i]));
        eddy_sleep(TICK_NS);
    }}
    return 0;
}}

int main(void) {{ return eddy_run(app, NULL, NULL, EDDY_RUN(.serial = true)); }}
'''


# ---- Python

def py_future(reference):
    return f"futures[{reference - 100}]" if reference >= 100 else f"tasks[{reference}]"


def py_futures(references):
    return "[" + ", ".join(map(py_future, references)) + "]"


PY = {
    "sleep": lambda n, t: f"await asyncio.sleep({f'at({t}, {n})' if t > 0 else 0})",
    "await": lambda n, r: f"await {py_future(r)}",
    "wait_for": lambda n, r, t: f"await asyncio.wait_for({py_future(r)}, at({t}, {n}))",
    "gather": lambda n, a, *r: f"await asyncio.gather(*{py_futures(r)}, return_exceptions={bool(a)})",
    "wait": lambda n, w, t, *r: f"await asyncio.tasks._wait({py_futures(r)}, at({t}, {n}), asyncio."
                                f"{('ALL_COMPLETED', 'FIRST_COMPLETED', 'FIRST_EXCEPTION')[w]}, loop)",
    "shield": lambda n, r: f"await asyncio.shield({py_future(r)})",
    "event_wait": lambda n, e: f"await events[{e}].wait()",
    "get": lambda n, q: f"await queues[{q}].get()",
    "put": lambda n, q, v: f"await queues[{q}].put({v})",
    "spawn": lambda n, t: f"spawn(loop.create_task, {t}, t{t}())",
    "gspawn": lambda n, g, t: f"spawn(groups[{g}].create_task, {t}, t{t}())",
    "cancel": lambda n, r: f"{py_future(r)}.cancel()",
    "uncancel": lambda n: "asyncio.current_task().uncancel()",
    "cancelling": lambda n, r: f"{py_future(r)}.cancelling()" if r < 100 else "0",
    "reschedule": lambda n, t: f"scopes[asyncio.current_task()][-1].reschedule(loop.time() + at({t}, {n}))" if t >= 0
                               else "scopes[asyncio.current_task()][-1].reschedule(None)",
    "soon": lambda n, c: f"handles.update({{{n}: loop.call_soon(c{c})}})",
    "later": lambda n, c, t: f"handles.update({{{n}: loop.call_later(at({t}, {n}), c{c})}})",
    "unhandle": lambda n, h: f"handles[{h}].cancel()",
    "on_done": lambda n, r, c: f"{py_future(r)}.add_done_callback(c{c})",
    "off_done": lambda n, r, c: f"{py_future(r)}.remove_done_callback(c{c})",
    "set": lambda n, r, v: f"{py_future(r)}.set_result({v})",
    "failf": lambda n, r, v: f"{py_future(r)}.set_exception(Failure({v}))",
    "event_set": lambda n, e: f"events[{e}].set()",
    "event_clear": lambda n, e: f"events[{e}].clear()",
    "try_get": lambda n, q: f"queues[{q}].get_nowait()",
    "try_put": lambda n, q, v: f"queues[{q}].put_nowait({v})",
    "close": lambda n, q: f"queues[{q}].shutdown()",
    "look": lambda n, r: f"{py_future(r)}.result()",
    "as_completed": lambda n, t, *r: f"await completed({py_futures(r)}, at({t}, {n}))",
    "join": lambda n, q: f"await queues[{q}].join()",
    "cond_wait": lambda n, c: f"await conds[{c}].wait()",
    "cond_wait_for": lambda n, c, k: f"await conds[{c}].wait_for(lambda: levels[{c}] >= {k})",
    "barrier": lambda n, b: f"await barriers[{b}].wait()",
    "eager": lambda n, t: f"spawn(asyncio.Task, {t}, t{t}(), loop=loop, eager_start=True)",
    "close_now": lambda n, q: f"queues[{q}].shutdown(immediate=True)",
    "task_done": lambda n, q: f"queues[{q}].task_done()",
    "sem_post": lambda n, s: f"sems[{s}].release()",
    "notify": lambda n, c, k: f"notify({c}, {k})",
    "barrier_reset": lambda n, b: f"reference.Run.drive(barriers[{b}].reset())",
    "barrier_abort": lambda n, b: f"reference.Run.drive(barriers[{b}].abort())",
}
RAISES = {"sleep", "await", "wait_for", "gather", "wait", "shield", "event_wait", "get", "put",
          "as_completed", "join", "cond_wait", "cond_wait_for", "barrier"}


def py_block(block, depth, out):
    pad = "    " * depth
    for name, number, args, blocks in block:
        if name in PY:
            call = PY[name](number, *args)
            if name in RAISES:
                out.append(f"{pad}log({number}, {call})")
            else:
                out += [f"{pad}try:", f"{pad}    log({number}, {call})", f"{pad}except Exception as error:",
                        f"{pad}    log({number}, repr(error))"]
        elif name == "return":
            out.append(f"{pad}return {args[0]}")
        elif name == "fail":
            out.append(f"{pad}raise {('asyncio.CancelledError', 'TimeoutError')[args[0]] if args[0] < 2 else f'Failure({args[0]})'}")
        elif name in ("lock", "sem", "cond"):
            out.append(f"{pad}async with {name}s[{args[0]}]:")
            py_block(blocks[0], depth + 1, out)
        elif name == "group":
            out += [f"{pad}async with asyncio.TaskGroup() as groups[{args[0]}]:",
                    f"{pad}    groups[{args[0]}]._tasks = reference.Ordered()"]
            py_block(blocks[0], depth + 1, out)
        elif name == "timeout":
            out += [f"{pad}async with asyncio.timeout(at({args[0]}, {number})) as scope:",
                    f"{pad}    scopes.setdefault(asyncio.current_task(), []).append(scope)", f"{pad}    try:"]
            py_block(blocks[0], depth + 2, out)
            out += [f"{pad}    finally:", f"{pad}        log({number}, scopes[asyncio.current_task()].pop().expired())"]
        else:
            head = {"finally": "finally", "swallow": "except asyncio.CancelledError", "catch": "except Exception"}[name]
            out.append(f"{pad}try:")
            py_block(blocks[0], depth + 1, out)
            out.append(f"{pad}{head}:")
            py_block(blocks[1], depth + 1, out)
    if not block:
        out.append(f"{pad}pass")


def as_python(program):
    out = []
    for index, body in program.tasks.items():
        out.append(f"async def t{index}():")
        py_block(body, 1, out)
        out += ["", ""]
    for index, body in program.calls.items():
        out.append(f"def c{index}(future=None):")
        py_block(body, 1, out)
        out += ["", ""]
    made = [f"futures = [loop.create_future() for _ in range({program.futures})]",
            f"events = [asyncio.Event() for _ in range({program.events})]",
            f"locks = [asyncio.Lock() for _ in range({program.locks})]",
            f"sems = [(asyncio.BoundedSemaphore if bounded else asyncio.Semaphore)(slots) for slots, bounded in {program.sems}]",
            "queues = [(asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue)[kind](capacity) "
            f"for capacity, kind in {program.queues}]",
            f"conds = [asyncio.Condition() for _ in range({program.conds})]",
            f"levels = [0] * {program.conds}",
            f"barriers = [asyncio.Barrier(parties) for parties in {program.barriers}]"]
    return PYTHON_HEAD + "\n".join(out).rstrip() + "\n" + PYTHON_TAIL.replace("{objects}", "\n    ".join(made))


# ---- C

def c_future(reference):
    return f"futures[{reference - 100}]" if reference >= 100 else f"EDDY_FUTURE(tasks[{reference}])"


def c_futures(references):
    return f"(eddy_future *[]){{{', '.join(map(c_future, references))}}}, {len(references)}"


def c_shield(reference):
    return f"(eddy_shield(&outer, {c_future(reference)}), status = eddy_await(outer, NULL), eddy_future_release(outer), status)"


C = {
    "sleep": lambda n, t: f"eddy_sleep({f'AT({t}, {n})' if t > 0 else 0})",
    "await": lambda n, r: f"eddy_await({c_future(r)}, NULL)",
    "wait_for": lambda n, r, t: f"eddy_wait_for({c_future(r)}, AT({t}, {n}), NULL)",
    "gather": lambda n, a, *r: f"eddy_gather{'_all' if a else ''}({c_futures(r) if r else 'NULL, 0'}, NULL)",
    "wait": lambda n, w, t, *r: f"eddy_wait({c_futures(r) if r else 'NULL, 0'}, AT({t}, {n}), "
                                f"{('EDDY_ALL_COMPLETED', 'EDDY_FIRST_COMPLETED', 'EDDY_FIRST_EXCEPTION')[w]}, NULL)",
    "shield": lambda n, r: c_shield(r),
    "event_wait": lambda n, e: f"eddy_event_wait(events[{e}])",
    "get": lambda n, q: f"eddy_queue_get(queues[{q}], &value)",
    "put": lambda n, q, v: f"eddy_queue_put(queues[{q}], EDDY_I64({v}))",
    "spawn": lambda n, t: f"eddy_spawn(&tasks[{t}], t{t}, NULL, EDDY_TASK(.name = \"t{t}\"))",
    "gspawn": lambda n, g, t: f"eddy_group_spawn(&groups[{g}], &tasks[{t}], t{t}, NULL, EDDY_TASK(.name = \"t{t}\"))",
    "cancel": lambda n, r: f"eddy_cancel({c_future(r)})",
    "uncancel": lambda n: "(int)eddy_task_uncancel(eddy_current_task())",
    "cancelling": lambda n, r: f"(int)eddy_task_cancelling(tasks[{r}])" if r < 100 else "0",
    "reschedule": lambda n, t: f"eddy_timeout_reschedule(AT({t}, {n}))",
    "soon": lambda n, c: f"eddy_call_soon(NULL, c{c}, NULL, &handles[{n}])",
    "later": lambda n, c, t: f"eddy_call_later(NULL, AT({t}, {n}), c{c}, NULL, &handles[{n}])",
    "unhandle": lambda n, h: f"(eddy_handle_cancel(handles[{h}]), 0)",
    "on_done": lambda n, r, c: f"eddy_future_add_callback({c_future(r)}, done{c}, NULL)",
    "off_done": lambda n, r, c: f"eddy_future_remove_callback({c_future(r)}, done{c}, NULL)",
    "set": lambda n, r, v: f"eddy_future_set({c_future(r)}, EDDY_I64({v}))",
    "failf": lambda n, r, v: f"eddy_future_fail({c_future(r)}, -{6000 + v}, NULL)",
    "event_set": lambda n, e: f"(eddy_event_set(events[{e}]), 0)",
    "event_clear": lambda n, e: f"(eddy_event_clear(events[{e}]), 0)",
    "try_get": lambda n, q: f"eddy_queue_try_get(queues[{q}], &value)",
    "try_put": lambda n, q, v: f"eddy_queue_try_put(queues[{q}], EDDY_I64({v}))",
    "close": lambda n, q: f"(eddy_queue_close(queues[{q}]), 0)",
    "look": lambda n, r: f"eddy_future_result({c_future(r)}, NULL)",
    "as_completed": lambda n, t, *r: f"completed({c_futures(r) if r else 'NULL, 0'}, AT({t}, {n}))",
    "join": lambda n, q: f"eddy_queue_join(queues[{q}])",
    "cond_wait": lambda n, c: f"eddy_condition_wait(conds[{c}])",
    "cond_wait_for": lambda n, c, k: f"eddy_condition_wait_for(conds[{c}], reached, (int[]){{{c}, {k}}})",
    "barrier": lambda n, b: f"eddy_barrier_wait(barriers[{b}])",
    "eager": lambda n, t: f"eddy_spawn(&tasks[{t}], t{t}, NULL, EDDY_TASK(.name = \"t{t}\", .eager = true))",
    "close_now": lambda n, q: f"(eddy_queue_close_now(queues[{q}]), 0)",
    "task_done": lambda n, q: f"eddy_queue_task_done(queues[{q}])",
    "sem_post": lambda n, s: f"eddy_semaphore_post(sems[{s}])",
    "notify": lambda n, c, k: f"(levels[{c}]++, eddy_condition_notify(conds[{c}], {k}))",
    "barrier_reset": lambda n, b: f"(eddy_barrier_reset(barriers[{b}]), 0)",
    "barrier_abort": lambda n, b: f"(eddy_barrier_abort(barriers[{b}]), 0)",
}


def c_guard(args, name):
    """Tasks that the op names must have been spawned."""
    if name in ("await", "wait_for", "shield", "cancel", "cancelling", "on_done", "off_done", "look"):
        named = args[:1]
    else:
        named = args[1:] if name in ("gather", "as_completed") else args[2:] if name == "wait" else []
    tests = [f"tasks[{reference}] != NULL" for reference in named if reference < 100]
    if name == "unhandle":
        tests.append(f"handles[{args[0]}] != NULL")
    return f"if ({' && '.join(tests)}) " if tests else ""


def c_block(block, leave, depth, out):
    """`leave`: the label behind the block, to which failures and returns go."""
    pad = "    " * depth
    for name, number, args, blocks in block:
        go = f"{pad}if (status < 0 || returns) goto {leave};"
        end = f"end{number}"
        if name in C:
            out += [f"{pad}{c_guard(args, name)}status = {C[name](number, *args)};", f"{pad}LOG({number});"]
            out.append(f"{pad}if (status < 0) goto {leave};" if name in RAISES else f"{pad}status = 0;")
            continue
        if name == "return":
            out += [f"{pad}out->i64 = {args[0]};", f"{pad}returns = 1;", f"{pad}goto {leave};"]
            continue
        if name == "fail":
            status = ("EDDY_ECANCELED", "EDDY_ETIMEDOUT")[args[0]] if args[0] < 2 else f"-{6000 + args[0]}"
            out += [f"{pad}status = {status};", f"{pad}goto {leave};"]
            continue
        if name in ("lock", "sem", "cond"):
            what, give = ("semaphore", "post") if name == "sem" else ("lock", "unlock")
            held = f"{'cond_lock' if name == 'cond' else name}s[{args[0]}]"
            out += [f"{pad}status = eddy_{what}_acquire({held});", f"{pad}LOG({number});",
                    f"{pad}if (status < 0) goto {leave};"]
            c_block(blocks[0], end, depth + 1, out)
            out += [f"{pad}{end}:", f"{pad}eddy_{what}_{give}({held});"]
        elif name == "group":
            out.append(f"{pad}eddy_group_enter(&groups[{args[0]}]);")
            c_block(blocks[0], end, depth + 1, out)
            out += [f"{pad}{end}:", f"{pad}status = eddy_group_exit(&groups[{args[0]}], status);", f"{pad}LOG({number});"]
        elif name == "timeout":
            out.append(f"{pad}eddy_timeout_push(AT({args[0]}, {number}));")
            c_block(blocks[0], end, depth + 1, out)
            out += [f"{pad}{end}:", f"{pad}status = eddy_timeout_pop(status);", f"{pad}LOG({number});"]
        elif name == "finally":
            c_block(blocks[0], end, depth + 1, out)
            out += [f"{pad}{end}:;", f"{pad}int status{number} = status, returns{number} = returns;",
                    f"{pad}status = returns = 0;"]
            c_block(blocks[1], f"cleaned{number}", depth + 1, out)
            out += [f"{pad}cleaned{number}:", f"{pad}if (status >= 0 && !returns) {{",
                    f"{pad}    status = status{number};", f"{pad}    returns = returns{number};", f"{pad}}}"]
        else:
            c_block(blocks[0], end, depth + 1, out)
            test = "status == EDDY_ECANCELED" if name == "swallow" else "status < 0 && status != EDDY_ECANCELED"
            out += [f"{pad}{end}:", f"{pad}if ({test}) {{", f"{pad}    LOG({number});", f"{pad}    status = 0;"]
            c_block(blocks[1], f"handled{number}", depth + 1, out)
            out += [f"{pad}    handled{number}:;", f"{pad}}}"]
        out += [f"{pad}if (status < 0) returns = 0;", go]


def as_c(program):
    out = []
    for index in program.tasks:
        out.append(f"static int t{index}(void *arg, eddy_value *out);")
    for index in program.calls:
        out.append(f"static int c{index}(void *arg);")
        out.append(f"static int done{index}(eddy_future *future, void *arg);")
    out.append("")
    variables = "    int status = 0, returns = 0;\n    eddy_value value;\n    eddy_future *outer;\n" \
                "    (void)arg, (void)value, (void)outer, (void)returns;"
    for index, body in program.tasks.items():
        out += [f"static int t{index}(void *arg, eddy_value *out) {{", variables, "    (void)out;"]
        c_block(body, "done", 1, out)
        out += ["done:", f"    printf(\"t{index} ends: %s\\n\", status < 0 ? eddy_status_name(status) : \"0\");",
                "    return status;", "}", ""]
    for index, body in program.calls.items():
        out += [f"static int c{index}(void *arg) {{", variables]
        c_block(body, "done", 1, out)
        out += ["done:", "    return status;", "}",
                f"static int done{index}(eddy_future *future, void *arg) {{ return (void)future, c{index}(arg); }}", ""]
    made = [f"    futures[{i}] = eddy_future_create();" for i in range(program.futures)]
    made += [f"    events[{i}] = eddy_event_create();" for i in range(program.events)]
    made += [f"    locks[{i}] = eddy_lock_create();" for i in range(program.locks)]
    made += [f"    cond_locks[{i}] = eddy_lock_create();\n    conds[{i}] = eddy_condition_create(cond_locks[{i}]);"
             for i in range(program.conds)]
    made += [f"    barriers[{i}] = eddy_barrier_create({parties});" for i, parties in enumerate(program.barriers)]
    made += [f"    sems[{i}] = eddy_semaphore_create{'_bounded' if bounded else ''}({slots});"
             for i, (slots, bounded) in enumerate(program.sems)]
    made += [f"    queues[{i}] = eddy_queue_create{('', '_lifo', '_priority')[kind]}"
             f"({capacity}, {'by_value, ' if kind == 2 else ''}NULL);" for i, (capacity, kind) in enumerate(program.queues)]
    return C_HEAD + "\n".join(out) + C_TAIL.format(objects="\n".join(made))
