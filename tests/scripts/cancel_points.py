#!/usr/bin/env python3
# limit: 600 s
"""Each public function that may suspend by its header is an operation of tests/contract/cancel_points_test.c, or
tests/contract/cancel_points.txt says why it is not, or by which test it is cancelled: NAME: REASON. A function with neither
is found when it is planted; the files and tests that reasons name exist."""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(os.environ.get("EDDY_ROOT", "."))
SUSPENDS = re.compile(r"^EDDY_API\b[^;(]*?\b(eddy_\w+)\((?:[^();]|\([^()]*\))*\)[^;]*\b(?:EDDY_SUSPENDS|EDDY_WAITS);", re.M | re.S)


def suspending():
    texts = [re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.S) for file in (ROOT / "include/eddy").glob("*.h")]
    return {name for text in texts for name in SUSPENDS.findall(text)}


def wrong(functions, operations, reasons):
    said = [f"{name}: nothing cancels it" for name in sorted(functions - operations - set(reasons))]
    said += [f"cancel_points.txt: {name} does not suspend" for name in sorted(set(reasons) - functions)]
    return said + [f"cancel_points.txt: {name} is an operation" for name in sorted(set(reasons) & operations)]


text = (ROOT / "tests/contract/cancel_points_test.c").read_text()
bodies = re.findall(r"^static int do_\w+\(.*?^}", text, re.M | re.S) + re.findall(r"^static int \w+\(.*?^}", text, re.M | re.S)
operations = {name for body in bodies for name in re.findall(r"\b(eddy_\w+)\(", body)} - {"eddy_yield"}
lines = (ROOT / "tests/contract/cancel_points.txt").read_text().splitlines()
reasons = dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))
functions = suspending()
said = wrong(functions, operations, reasons)
if not wrong(functions | {"eddy_planted"}, operations, reasons):
    said.append("a function that nothing cancels was not found")
tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("*_test.c"))
for name, reason in reasons.items():
    said += [f"{name}: there is no {file}" for file in re.findall(r"tests/[\w/]+\.c", reason) if not (ROOT / file).exists()]
    said += [f"{name}: there is no test {test}" for suite, test in re.findall(r"\b(process|thread_pool)\.(\w+)", reason)
             if f"TEST({suite}, {test}" not in tests]
print("\n".join(said))
print(f"{len(functions)} functions suspend: {len(functions & operations)} are cancelled, {len(reasons)} have a reason not to be")
sys.exit(1 if said else 0)
