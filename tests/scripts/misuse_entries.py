#!/usr/bin/env python3
# limit: 30 s
"""Each public function is called wrongly in tests/misuse/, or tests/misuse/without.txt says why it cannot be, or by which
test it is: NAME: REASON. A function with neither is found when it is planted."""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(os.environ.get("EDDY_ROOT", "."))
FUNCTION = re.compile(r"^EDDY_API\b[^;(]*?\b(eddy_\w+)\(", re.M)


def public():
    return {name for file in (ROOT / "include/eddy").glob("*.h") for name in FUNCTION.findall(file.read_text())}


def called():
    return {name for file in (ROOT / "tests/misuse").glob("*.c") for name in re.findall(r"\b(eddy_\w+)\(", file.read_text())}


def wrong(functions, entries, reasons):
    said = [f"{name}: nothing calls it wrongly" for name in sorted(functions - entries - set(reasons))]
    said += [f"without.txt: there is no {name}" for name in sorted(set(reasons) - functions)]
    return said + [f"without.txt: {name} has an entry" for name in sorted(set(reasons) & entries)]


lines = (ROOT / "tests/misuse/without.txt").read_text().splitlines()
reasons = dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))
functions, entries = public(), called()
said = wrong(functions, entries, reasons)
if not wrong(functions | {"eddy_planted"}, entries, reasons):
    said.append("a function without an entry was not found")
print("\n".join(said))
print(f"{len(functions)} functions: {len(functions & entries)} are called wrongly, {len(reasons)} have a reason not to be")
sys.exit(1 if said else 0)
