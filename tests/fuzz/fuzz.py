#!/usr/bin/env python3
"""Random programs on eddy and on CPython's asyncio: their logs must be equal.

    zig build fuzz -- --programs 100000 --seed 1     any number of programs, live, with the newest CPython that is found
    zig build fuzz -- --recorded                     the programs of recorded.xz, against the logs kept there
    zig build fuzz -- --show 1234                    one program as text, as Python and as C, with both logs

Live needs CPython 3.12 or newer: this one, one on PATH, or one that pyenv keeps (EDDY_PYTHON names another). A program
that fails is made smaller as long as its logs differ, and printed as Python and as C. See README.md.
"""
import argparse
import collections
import concurrent.futures
import difflib
import gc
import lzma
import os
import pathlib
import shutil
import subprocess
import sys
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
import generate  # noqa: E402
import show  # noqa: E402

OLDEST = (3, 12)
RECORDED = FOLDER / "recorded.xz"
FOUND = FOLDER / "found.txt"  # programs on which eddy once differed, or a planted fault does
BATCH = 500
# Each must be reached in at least 1 % of programs.
CORNERS = ("a cancel lands in cleanup", "nested timeouts both expire", "a group fails and is cancelled from outside",
           "a condition's wait is cancelled", "a barrier fills", "a barrier is broken", "as_completed times out",
           "a join waits for its items", "something is given back once too often", "an eager body ends at once",
           "an eager body waits")


def pythons():
    """Commands and environments that may be a CPython that is new enough, likely ones first."""
    if "EDDY_PYTHON" in os.environ:
        if shutil.which(os.environ["EDDY_PYTHON"]):
            yield [os.environ["EDDY_PYTHON"]], {}
        return
    for name in ("python3.15", "python3.14", "python3.13", "python3.12", "python3"):
        if shutil.which(name):
            yield [name], {}
    if shutil.which("pyenv"):
        listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True).stdout.split()
        numbers = (version.split(".") for version in listed)
        known = [tuple(map(int, number)) for number in numbers if all(part.isdigit() for part in number)]
        for version in sorted(known, reverse=True):
            if version >= OLDEST:
                yield ["pyenv", "exec", "python3"], {"PYENV_VERSION": ".".join(map(str, version))}


def find_python():
    """The newest of them; None."""
    best = None
    ask = "import sys; print(*sys.version_info[:3]) if sys.implementation.name == 'cpython' else None"
    for command, extra in pythons():
        answer = subprocess.run([*command, "-c", ask], env={**os.environ, **extra}, capture_output=True, text=True)
        version = tuple(map(int, answer.stdout.split())) if answer.returncode == 0 else ()
        if version >= OLDEST and (best is None or version > best[0]):
            best = version, command, extra
    return best


def in_new_python():
    """Goes on in a CPython that is new enough; False if there is none."""
    if "EDDY_FUZZ_HERE" in os.environ:
        return sys.version_info >= OLDEST
    found = find_python()
    if found is None:
        return False
    _, command, extra = found
    os.execvpe(command[0], [*command, "-B", *sys.argv], {**os.environ, **extra, "EDDY_FUZZ_HERE": "1"})


# ---- running

def run_eddy(interpreter, programs):
    """The log of each program that came to its end, by id, and what was said on standard error."""
    text = "".join(program.text() for program in programs)
    try:
        done = subprocess.run([interpreter], input=text, capture_output=True, text=True, timeout=300)
        out, said = done.stdout, done.stderr + (f"ended with {done.returncode}\n" if done.returncode else "")
    except subprocess.TimeoutExpired as late:
        out, said = (late.stdout or b"").decode(), "hung\n"
    logs, name, lines = {}, None, []
    for line in out.splitlines(keepends=True):
        if line.startswith("program "):
            name, lines = line.split()[1], []
        elif line == f"end {name}\n":
            logs[name] = "".join(lines)
        else:
            lines.append(line)
    return logs, said


def compare(interpreter, programs, expected):
    """Ids of programs whose logs differ. A program on which the interpreter dies hides those behind it: they run again."""
    bad = []
    rest = list(programs)
    while rest:
        logs, _ = run_eddy(interpreter, rest)
        at = next((i for i, program in enumerate(rest) if program.id not in logs), len(rest))
        bad += [program.id for program in rest[:at] if logs[program.id] != expected[program.id]]
        bad += [program.id for program in rest[at:at + 1]]
        rest = rest[at + 1:]
    return bad


def batch(interpreter, first, count):
    """Programs `first` ... on both sides: ids of those that differ, how many were left out and why, corners."""
    import reference
    programs, expected = [], {}
    corners, reasons = collections.Counter(), collections.Counter()
    with reference.machine() as loop:
        for seed in range(first, first + count):
            program = generate.make(seed)
            log, reached, reason = reference.run(loop, program)
            corners.update(reached)
            if reason:
                reasons[reason] += 1
            else:
                programs.append(program)
                expected[program.id] = log
    gc.collect()
    return compare(interpreter, programs, expected), reasons, corners, count


def log_of_asyncio(program):
    """None: the program is one to leave out."""
    import reference
    try:
        with reference.machine() as loop:
            log, _, reason = reference.run(loop, program)
    except reference.Stuck:
        return None
    finally:
        gc.collect()
    return None if reason else log


# ---- making a failing program smaller

def smaller(program):
    """Programs with a little less, large pieces first."""
    for bodies in ("tasks", "calls"):
        for index, body in getattr(program, bodies).items():
            for change in ([None] if index > 0 or bodies == "calls" else []) + list(smaller_blocks(body)):
                made = generate.Program(program.id)
                for name in generate.Program.__slots__[1:]:
                    setattr(made, name, getattr(program, name))
                setattr(made, bodies, {**getattr(program, bodies), index: change})
                if change is None:
                    if index in used(program, bodies):
                        continue
                    del getattr(made, bodies)[index]
                yield made


def used(program, bodies):
    """Which tasks are spawned, or which callbacks are named."""
    where = {"spawn": 0, "eager": 0, "gspawn": 1} if bodies == "tasks" else {"soon": 0, "later": 0, "on_done": 1, "off_done": 1}
    return {op[2][where[op[0]]] for op in program.ops() if op[0] in where}


def smaller_blocks(block):
    if len(block) > 1:
        yield []
        yield block[:len(block) // 2]
        yield block[len(block) // 2:]
    for i, (name, number, args, blocks) in enumerate(block):
        yield block[:i] + block[i + 1:]
        for inner in blocks:
            yield block[:i] + inner + block[i + 1:]
        for j, inner in enumerate(blocks):
            for change in smaller_blocks(inner):
                yield block[:i] + [(name, number, args, [*blocks[:j], change, *blocks[j + 1:]])] + block[i + 1:]


def shrink(interpreter, program, limit_s=30):
    """The smallest that was found to differ still."""
    def differs(candidate):
        log = log_of_asyncio(candidate)
        return log is not None and bool(compare(interpreter, [candidate], {candidate.id: log}))

    until = time.monotonic() + limit_s
    again = True
    while again and time.monotonic() < until:
        again = False
        for candidate in smaller(program):
            if time.monotonic() >= until:
                break
            if differs(candidate):
                program, again = candidate, True
                break
    return program


def print_failure(interpreter, program, expected=None):
    """Everything a person needs: the program three times, and how the logs differ."""
    logs, said = run_eddy(interpreter, [program])
    expected = log_of_asyncio(program) if expected is None else expected
    print(f"\n---- program {program.id}, as text\n{program.text()}\n---- as Python\n{show.as_python(program)}")
    print(f"---- as C\n{show.as_c(program)}\n---- logs")
    if expected is None:
        print("asyncio: this program is one to leave out")
    diff = difflib.unified_diff((expected or "").splitlines(), logs.get(program.id, "").splitlines(), "asyncio", "eddy",
                                n=1000, lineterm="")
    print("\n".join(diff) or expected)
    if said:
        print(f"---- eddy said\n{said}")


# ---- the two ways

def live(options):
    import reference
    print(f"CPython {sys.version.split()[0]}, programs from {options.seed} on", flush=True)
    start, count, left = time.monotonic(), 0, options.programs
    bad, reasons, corners = [], collections.Counter(), collections.Counter()
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        running, seed = set(), options.seed
        while running or left > 0:
            late = options.seconds and time.monotonic() - start > options.seconds
            while left > 0 and not late and len(running) < options.jobs + 1:
                running.add(pool.submit(batch, options.interpreter, seed, min(BATCH, left)))
                seed, left = seed + BATCH, left - BATCH
            if late:
                left = 0
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for one in done:
                ids, why, reached, made = one.result()
                bad += ids
                reasons += why
                corners += reached
                count += made
            if len(bad) >= options.failures:
                left = 0
    took = time.monotonic() - start
    print(f"{count} programs in {took:.1f} s, {count / took:.0f} a second: {count - len(bad) - sum(reasons.values())} agree, "
          f"{len(bad)} differ")
    for reason, times in reasons.most_common():
        print(f"  {times} left out: {reason}")
    rare = []
    for corner, times in corners.most_common():
        print(f"  {100 * times / count:5.1f} % reach: {corner}")
    if count >= 2000 and not reference.NEW_IN_3_13:
        rare = [corner for corner in CORNERS if corners[corner] < count / 100]
        for corner in rare:
            print(f"too rare, under 1 %: {corner}")
    for name in sorted(bad, key=int)[:options.failures]:
        program = generate.make(int(name))
        print_failure(options.interpreter, shrink(options.interpreter, program) if options.shrink else program)
    return 1 if bad or rare else 0


def recorded(options):
    text = lzma.open(RECORDED, "rt").read()
    head, *parts = text.split("\f")
    programs = [next(generate.parse(part.split("\v")[0])) for part in parts]
    expected = {program.id: part.split("\v")[1] for program, part in zip(programs, parts)}
    bad = compare(options.interpreter, programs, expected)
    print(f"{len(programs)} programs recorded from {head.strip()}: {len(programs) - len(bad)} agree, {len(bad)} differ")
    if not options.quiet:
        for program in [program for program in programs if program.id in bad][:options.failures]:
            print_failure(options.interpreter, program, expected[program.id])
    return 1 if bad else 0


def record(options):
    """Keeps what asyncio does with the programs of found.txt, and with random ones."""
    import reference
    parts = [f"CPython {sys.version.split()[0]}\n"]
    programs = [*generate.parse(FOUND.read_text()), *map(generate.make, range(options.seed, options.seed + options.programs))]
    with reference.machine() as loop:
        for program in programs:
            log, _, reason = reference.run(loop, program)
            if not reason:
                parts.append(f"{program.text()}\v{log}")
    RECORDED.write_bytes(lzma.compress("\f".join(parts).encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(parts) - 1} programs, {RECORDED.stat().st_size} bytes: {RECORDED}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interpreter", required=True, help="eddy-fuzz")
    parser.add_argument("--programs", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--failures", type=int, default=3, help="stop after so many, print so many")
    parser.add_argument("--no-shrink", dest="shrink", action="store_false")
    parser.add_argument("--recorded", action="store_true", help="compare with the logs of recorded.xz")
    parser.add_argument("--record", action="store_true", help="write recorded.xz")
    parser.add_argument("--show", type=int, help="print one program and its logs")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    if options.recorded:
        return recorded(options)
    if not in_new_python():
        if options.record or options.show is not None:
            print("there is no CPython 3.12 or newer here", file=sys.stderr)
            return 1
        print("there is no CPython 3.12 or newer here: comparing with what was recorded", flush=True)
        return recorded(options)
    if options.record:
        return record(options)
    if options.show is not None:
        print_failure(options.interpreter, generate.make(options.show))
        return 0
    return live(options)


if __name__ == "__main__":
    sys.exit(main())
