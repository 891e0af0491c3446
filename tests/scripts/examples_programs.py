#!/usr/bin/env python3
# limit: 600 s
"""Each program of examples/ prints what it promises, in the time it promises, and ends with 0.

A template stands for one line; <a..b> in it for a number of at least a and below b. Lines in a tuple may
come in any order: their tasks run on any worker. The servers have a script of their own. Planted output
that is early, short or out of order must be refused. Seconds beyond their bound, and what a program says then (InTime, Late),
may be the machine's doing: such a program runs again, and fails if it is late each time.
"""
import os
import re
import subprocess
import sys
import time

FOLDER = os.environ["EDDY_BUILD_DIR"]
VARIANT = os.environ.get("EDDY_VARIANT", "plain")
# Servers, and what other scripts run.
SERVERS = {"await_graph", "chat", "copy_file", "crawler", "embedded", "executor_failures", "fan_out", "hello_server", "overload",
           "scheduler", "ticket_shop", "tls_client", "tls_server", "pitfalls"}
BLOCKING = os.path.getsize(os.path.join(FOLDER, "blocking_file"))


class InTime(str):
    """A line that is missing when the machine stood still in between."""


class Late(str):
    """A line that comes only then."""


# Program: at least so many seconds, its lines.
PROGRAMS = {
    "interleave": (1.0, ["slow begins", "quick begins", "quick ends", "slow ends", "both: <1.0..1.5> s"]),
    "sequential_tasks_gather": (1.7, [
        "one after the other  <0.9..1.8> s  orders users prefs",
        "as tasks             <0.4..0.9> s  orders users prefs",
        "gathered             <0.4..0.9> s  orders users prefs"]),
    "sleeps": (1.0, [
        ("first falls asleep on worker <0..999>", "second falls asleep on worker <0..999>",
         "third falls asleep on worker <0..999>"),
        ("first wakes up", "second wakes up", "third wakes up"),
        "three sleeps of 1 s: <1.0..2.0> s"]),
    "coroutine_object": (0.05, [
        "made: <coroutine answer fn=* created>",
        "the body has run 0 times",
        "awaited: 42, the body has run 1 time",
        "as a task: 42, the body has run 2 times",
        "report: coroutine 'forgotten' was never awaited"]),
    "custom_future": (0.5, [
        "done before: no", "it says ring after <0.5..10> s", "setting it again: ESTATE"]),
    "background_task": (0.5, [
        "page 1", "page 2", "page 3", InTime("the report is still being made"), Late("the report is done"),
        "the report says 1234 after <0.5..0.8> s"]),
    "timeout": (0.4, [
        "slow call: ETIMEDOUT after <0.2..5> s; inside: ECANCELED",
        "quick call: 7",
        "slow task: ETIMEDOUT after <0.2..5> s; cancelled: yes"]),
    "cancel_cleanup": (0.3, [
        "connect", "lock", "roll back", "unlock", "disconnect", "the task is cancelled after <0.3..10> s"]),
    "held_worker": (0.3, [
        InTime("worker 0 has been held for <0.1..0.3> s: image, made at held_worker.c:<1..99> (resize)"),
        Late("worker 0 has been held for <0.1..5> s: heart, made at held_worker.c:<1..99> (heartbeat)"),
        Late("worker 0 was held for <0.1..5> s: heart, made at held_worker.c:<1..99> (heartbeat)"),
        InTime("worker 0 was held for <0.2..5> s: image, made at held_worker.c:<1..99> (resize)"),
        Late("worker 0 was held for <0.1..5> s: image, made at held_worker.c:<1..99> (resize)"),  # it was seen late
        "the heart has beaten too rarely"]),
    "failure_log": (0.1, [
        "request 1 served", "request 2 served", "request 3 served",
        "log: refresh-cache failed: ECONNREFUSED: cache-7 does not answer"]),
    "run_child": (0.05, [
        "sort ended with 0 and said:", "brook", "eddy", "stream", "the square of 2 is 4", "the square of 3 is 9",
        "the square of 4 is 16", "stopped by signal 15"]),
    "udp_clock": (0.6, [kind for i in (1, 2, 3) for kind in (
        InTime(f"question {i}: answered at try <2..11>, later than before"),
        Late(f"question {i}: answered at try 1, later than before"))]),  # an answer came after its time: another is lost
    "overload_sim": (0.0, [  # on a virtual clock
        "  load  in line: in time   p50 ms   p99 ms    gate: in time  refused   p50 ms   p99 ms",
        "   0.5          100.0 %     14.3     90.8       100.0 %    0.0 %     14.3     90.8",
        "   0.9          100.0 %     32.0    115.7        <90..100> %    <0..10> %     <14..25>     <90..110>",
        "   1.0          100.0 %     76.7    269.1        <85..100> %   <0..15> %     <14..25>    <90..110>",
        "   1.1           68.4 %    758.5   1437.4        <75..91> %   <9..25> %     <14..25>     <90..110>",
        "   1.2           43.0 %   1143.7   2177.1        <70..84> %   <16..30> %     <14..25>    <90..110>",
        "   1.6           17.0 %   2918.9   5812.1        <55..63> %   <37..45> %     <14..25>     <90..110>",
        "   2.0           10.6 %   5016.5   9823.6        <45..55> %   <45..55> %     <14..25>     <90..110>"]),
    "blocking_file": (0.5, None),  # as many ticks as there was time for: see below
    "process_calls": (0.05, [
        "the last report came from row 399; the last pixel is 150",
        InTime("the slow one: ETIMEDOUT, and 0 processes were killed"),
        Late("the slow one: *, and 0 processes were killed"),
        "19 + 23 = 42",
        "9592 primes below 100000"]),
    "register_handler": (0.02, [
        "ada: <201..410>", "grace: 201", "ada: <201..410>", "alan: 201", "edsger: 201",
        "4 created, 1 taken, 4 users in the database"]),
    "counter": (0.0, [
        "in parallel  <1..8000> of 8000, <1..8000> lost",
        "in a domain  8000 of 8000, 0 lost",
        "with a lock  8000 of 8000, 0 lost"]),
}


RUNS = 10  # of a program that is late


def line_fits(template, line, late):
    """Does the line say what the template says? `*` stands for one word. `late`: or later."""
    numbers = re.findall(r"<([0-9.]+)\.\.([0-9.]+)>( s\b)?", template)
    pattern = re.sub(r"<[0-9.]+\.\.[0-9.]+>", "\0", template)
    pattern = re.sub(r"(?:\\ ){2,}\0", " +\0", re.escape(pattern))  # a column's number may be wider
    pattern = pattern.replace("\0", "([0-9.]+)").replace(r"\*", r"\S+")
    match = re.fullmatch(pattern, line)
    if match is None:
        return False
    return all(float(low) <= float(number) and (float(number) < float(high) or (late and seconds))
               for number, (low, high, seconds) in zip(match.groups(), numbers))


def wrong_line(templates, lines, late=False):
    """None, or what is wrong with the lines."""
    late_ones = [template for template in templates if isinstance(template, Late)]
    left = [line for line in lines if not late or not any(line_fits(template, line, late) for template in late_ones)]
    for template in templates:
        if isinstance(template, Late):
            continue
        group = template if isinstance(template, tuple) else (template,)
        here = left[:len(group)]
        if late and isinstance(template, InTime) and not (here and line_fits(template, here[0], late)):
            continue
        left = left[len(group):]
        for wanted in group:
            fitting = [line for line in here if line_fits(wanted, line, late)]
            if not fitting:
                return f"no line like {wanted!r}"
            here.remove(fitting[0])
    return f"a line too many: {left[0]!r}" if left else None


def wrong_blocking_file(lines):
    ticks = [line for line in lines if line.startswith("tick ")]
    size = f"{re.escape(os.path.join(FOLDER, 'blocking_file'))}: {BLOCKING} bytes read"
    if ticks != [f"tick {i + 1}" for i in range(len(ticks))] or len(ticks) < 2:
        return "the ticks do not count from 1 to 2 or more"
    if len(lines) != len(ticks) + 1 or not re.match(size + f", {len(ticks)} ticks meanwhile$", lines[-1]):
        return f"the last line does not tell {BLOCKING} bytes and {len(ticks)} ticks"
    return None


def wrong_race(errors):
    """Under ThreadSanitizer the counter's planted race is found, where it is, and no other."""
    reports = errors.split("WARNING: ThreadSanitizer:")[1:]
    if not reports:
        return "ThreadSanitizer did not find the race"
    for report in reports:
        if not report.startswith(" data race") or "add_one" not in report or "add_locked" in report:
            return "ThreadSanitizer found something else"
    return None


def wrong(name, least_s, templates):
    """Runs a program: None, or what is wrong with it; and whether that is only its being late."""
    start_s = time.monotonic()
    done = subprocess.run([os.path.join(FOLDER, name)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120, check=False)
    took_s = time.monotonic() - start_s
    lines = done.stdout.splitlines()
    print(f"---- {name}: exit {done.returncode} after {took_s:.2f} s\n{done.stdout}{done.stderr}", end="")
    if name == "counter" and VARIANT == "thread":
        found = wrong_race(done.stderr)
    elif done.returncode != 0:
        found = f"exit {done.returncode}"
    else:
        found = "it wrote to standard error" if done.stderr else None
    if found is None and took_s < least_s:
        found = f"took {took_s:.3f} s: it cannot have waited {least_s} s"
    while name == "counter" and lines[:1] == ["in parallel  8000 of 8000, 0 lost"]:
        del lines[0]  # it tries again until the race shows
    if templates is None:
        return found or wrong_blocking_file(lines), False
    line = wrong_line(templates, lines)
    # One that is late may end with 1 for it, and say so.
    late = line is not None and wrong_line(templates, lines, late=True) is None and took_s >= least_s
    return found or line, late and done.returncode in (0, 1)


def planted():
    """Output that breaks a promise is refused."""
    good = ["a", "b", "took 0.40 s"]
    claim = [("b", "a"), "took <0.4..0.9> s"]
    assert wrong_line(claim, good) is None
    assert wrong_line(claim, ["a", "b", "took 0.39 s"]), "an early end was not found"
    assert wrong_line(claim, ["a", "b", "took 0.90 s"]), "a late end was not found"
    assert wrong_line(claim, ["a", "took 0.40 s", "b"]), "a wrong order was not found"
    assert wrong_line(claim, good[:2]), "a missing line was not found"
    assert wrong_line(claim, good + ["c"]), "a line too many was not found"
    assert wrong_line(claim, ["a", "b", "took 0.90 s"], late=True) is None, "late is not the only thing that is wrong"
    assert wrong_line(claim, ["a", "b", "took 0.39 s"], late=True), "an early end was taken for a late one"
    assert wrong_line(["<1..3> users"], ["3 users"], late=True), "a count was taken for a time"
    assert wrong_line(claim, ["a", "a", "took 0.40 s"]), "a line that came twice was not found"
    claim = ["a", InTime("soon"), Late("after <1..5> s"), "z"]
    assert wrong_line(claim, ["a", "soon", "z"]) is None
    assert wrong_line(claim, ["a", "z"]) and wrong_line(claim, ["a", "after 1 s", "z"]), "a late line was not found"
    assert wrong_line(claim, ["a", "after 1 s", "z"], late=True) is None, "late is not the only thing that is wrong"
    assert wrong_line(claim, ["a", "after 0 s", "z"], late=True), "an early end was taken for a late one"
    assert wrong_line(claim, ["a", "soon"], late=True), "a missing line was taken for a late one"


def main():
    planted()
    folder = os.path.join(os.environ["EDDY_ROOT"], "examples")
    there = {name[:-2] for name in os.listdir(folder) if name.endswith(".c")}
    failed = [f"{name}: not tested" for name in sorted(there - set(PROGRAMS) - SERVERS)]
    failed += [f"{name}: not there" for name in sorted((set(PROGRAMS) | SERVERS) - there)]
    for name, (least_s, templates) in PROGRAMS.items():
        if name == "overload_sim" and VARIANT == "thread":
            print("overload_sim: left out, ThreadSanitizer takes minutes for its thousands of parked tasks")
            continue
        for _ in range(RUNS):
            found, late = wrong(name, least_s, templates)
            if not late:
                break
        if found:
            failed.append(f"{name}: {found}")

    missing = subprocess.run([os.path.join(FOLDER, "blocking_file"), "/not/there"], capture_output=True,
                             text=True, timeout=120, check=False)
    if missing.returncode != 1 or "ENOENT: cannot open /not/there" not in missing.stderr:
        failed.append(f"blocking_file /not/there: exit {missing.returncode}, {missing.stderr!r}")
    print("\n".join(failed))
    return 1 if failed else 0


sys.exit(main())
