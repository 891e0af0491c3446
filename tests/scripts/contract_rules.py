#!/usr/bin/env python3
# limit: 600 s
"""Each clause of tests/contract/rules.txt has a test, and each test that a rule names has a clause; a rule without a test
and a test without a clause are found when they are planted."""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(os.environ.get("EDDY_ROOT", "."))
TEST = re.compile(r"^(RULE|RULE_OF_ORDER|UNIT)\((?:contract, )?((?:L|F|T|W|G|TG|S|ST|R|D|E)\d+_\w+)", re.M)
OTHER = re.compile(r"^\w*(?:UNIT|TEST)\((\w+), (\w+)", re.M)


def tests():
    """Kind of each test that a rule names."""
    found = {}
    for file in sorted((ROOT / "tests").glob("**/*_test.c")):
        found.update((name, kind) for kind, name in TEST.findall(file.read_text()))
    return found


def others():
    """Names of all tests, with their suites: a clause may name one that stands elsewhere."""
    return {f"{suite}.{name}" for file in (ROOT / "tests").glob("**/*_test.c") for suite, name in OTHER.findall(file.read_text())}


def clauses(text):
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield [part.strip() for part in line.split("|")]


def wrong(text, found):
    said, claimed, elsewhere = [], set(), others()
    for rule, clause, shown in clauses(text):
        if shown.startswith("- "):
            continue
        for start in shown.split():
            names = [name for name in found if name.startswith(start)]
            claimed.update(names)
            if "." in start:
                names = [name for name in elsewhere if name.startswith(start)]
            elif not start.startswith(rule + "_"):
                names = []
            if not names:
                said.append(f"{rule}, {clause}: no test is called {start}...")
    return said + [f"{name}: rules.txt has no clause for it" for name in found if name not in claimed]


text = (ROOT / "tests/contract/rules.txt").read_text()
found = tests()
said = wrong(text, found)
if not wrong(text + "T99 | planted | T99_\n", found):
    said.append("a rule without a test was not found")
if not wrong(text, {**found, "T99_planted": "RULE"}):
    said.append("a test without a clause was not found")
print("\n".join(said))
rules = {rule for rule, _, _ in clauses(text)}
kinds = list(found.values())
print(f"{len(rules)} rules, {len(list(clauses(text)))} clauses, {len(found)} tests: {kinds.count('RULE')} in a domain and on "
      f"any workers, {kinds.count('RULE_OF_ORDER')} of order in a domain, {kinds.count('UNIT')} of whole runs")
sys.exit(1 if said else 0)
