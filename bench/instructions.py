#!/usr/bin/env python3
"""instructions.py: where a program's instructions go, by the function of the source that they were written in.

    python3 -B bench/instructions.py [--lines] [--load BENCH-LOAD] -- PROGRAM ... --size N

Callgrind runs the program twice, with a tenth of the size and with all of it, and the counts of the one are taken off those
of the other, instruction by instruction: what is left is what the work itself costs, and no start or end. An instruction counts
for the innermost inlined function that it comes from, as the debug information says. With --load the program is a server, and
--size are the requests that it gets on 100 connections. Figures are for one operation: one of --size, or what the program
says. --lines tells of each function by its lines. Of a program that may run anywhere, as most are, and of the libraries only
the sums are told."""
import collections
import json
import os
import re
import subprocess
import sys
import tempfile

import serve

NOBODYS = "???"  # callgrind, of a few functions of a program that is linked to its place


def count(command, requests, load):
    """Of one run: instructions by (object, place in it), and the operations."""
    with tempfile.NamedTemporaryFile("r") as file:
        tool = ["valgrind", "--tool=callgrind", "--dump-instr=yes", "--callgrind-out-file=" + file.name]
        if load:
            with serve.Server([*tool, *command]) as server:
                with serve.Steps(load, server.port, 100) as steps:
                    steps.ask(requests)
                server.end()
            operations = requests
        else:
            done = subprocess.run([*tool, *command, "--size", str(requests), "--repetitions", "1"], capture_output=True,
                                  text=True, check=True)
            operations = json.loads(done.stdout.splitlines()[-1])["operations"]
        return parse(file), operations


def parse(file):
    """Callgrind's format: names are numbered when they first come, places are relative to the last one."""
    names, counts = {}, collections.Counter()
    program, at, is_call = "", 0, False
    for line in file:
        named = re.match(r"(c?)ob=(\(\d+\))(?: (.*))?", line)
        if named:
            names.setdefault(named[2], named[3])
            if not named[1]:
                program = names[named[2]]
        elif line.startswith("calls="):
            is_call = True  # the next line is what the call cost
        elif re.match(r"[0-9+*-]", line):
            place, *_, cost = line.split()
            if place != "*":
                at = int(place, 0) + (at if place[0] in "+-" else 0)
            if not is_call:
                counts[program, at] += int(cost)
            is_call = False
    return counts


def is_fixed(program):
    """Whether it is linked to the place where it runs, as eddy's programs are."""
    with open(program, "rb") as file:
        return file.read(18)[16] == 2


def written_in(program, places):
    """place -> (function, file:line), innermost."""
    asked = "\n".join(hex(place) for place in places)
    told = subprocess.run(["addr2line", "-f", "-e", program], input=asked, capture_output=True, text=True, check=True)
    lines = told.stdout.splitlines()
    return {place: (lines[2 * i], re.sub(r" \(.*", "", lines[2 * i + 1])) for i, place in enumerate(places)}


def main(arguments):
    middle = arguments.index("--")
    words, command = arguments[:middle], arguments[middle + 1:]
    at = command.index("--size")
    size = int(command[at + 1])
    command = command[:at] + command[at + 2:]
    load = serve.option(words, "--load", None)
    (few, few_done), (many, many_done) = (count(command, requests, load) for requests in (size // 10, size))
    program = os.path.realpath(command[0])
    own = {owner for owner, _ in many if is_fixed(program) and (os.path.realpath(owner) == program or owner == NOBODYS)}
    sources = written_in(program, sorted({place for owner, place in many if owner in own}))
    functions, lines = collections.Counter(), collections.Counter()
    for (owner, place), cost in many.items():
        each = (cost - few[owner, place]) / (many_done - few_done)
        if owner in own:
            name, line = sources[place]
            key = name, re.sub(r".*/(src|bench|peers)/", r"\1/", line.rsplit(":", 1)[0])
        else:
            name, line, key = "", "", ("", os.path.basename(owner))
        functions[key] += each
        lines[key, line.rsplit(":", 1)[-1]] += each
    print(f"{sum(functions.values()):8.1f} all")
    for key, cost in functions.most_common():
        if cost < 0.5:
            break
        print(f"{cost:8.1f} {key[0]} {key[1]}")
        for (other, line), part in lines.items():
            if "--lines" in words and other == key and part >= 0.05:
                print(f"{'':8}{part:8.1f} line {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
