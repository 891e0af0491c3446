#!/usr/bin/env python3
# limit: 600 s
"""docs/asyncio.md names every public name of asyncio and of its classes in the first column of its tables.

The names are those of the newest CPython that is here, if it is 3.13 or newer, and always those that
tests/contract/asyncio_names.txt keeps, with the version that they were taken from. A name that is missing must be found.
`asyncio_names.py --record` writes that file anew."""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(os.environ.get("EDDY_ROOT", "."))
KEPT = ROOT / "tests/contract/asyncio_names.txt"
sys.path.insert(0, str(ROOT / "tests/fuzz"))
import fuzz  # noqa: E402

# Of submodules only what asyncio itself exports counts; of classes what they or asyncio's own bases define.
LIST = """
import asyncio, inspect, sys
print(*sys.version_info[:3], sep=".")
names = set()
for name in dir(asyncio):
    value = getattr(asyncio, name)
    if name.startswith("_") or inspect.ismodule(value):
        continue
    names.add(name)
    if inspect.isclass(value) and not issubclass(value, BaseException):
        for base in value.__mro__:
            if base.__module__.split(".")[0] in ("asyncio", "_asyncio"):
                names.update(f"{name}.{part}" for part in vars(base) if not part.startswith("_"))
print(*sorted(names), sep="\\n")
"""


def live():
    """Version and names; None if there is no CPython that is new enough."""
    found = fuzz.find_python()
    if found is None or found[0] < (3, 13):
        return None
    _, command, extra = found
    said = subprocess.run([*command, "-W", "ignore", "-c", LIST], env={**os.environ, **extra}, capture_output=True,
                          text=True, check=True).stdout.split()
    return said[0], said[1:]


def named(text):
    """The words in code in the first columns of tables."""
    words = set()
    for line in text.splitlines():
        if line.startswith("|"):
            for code in re.findall(r"`([^`]+)`", line.split("|")[1]):
                words.update(re.findall(r"[A-Za-z_]\w*", code))
    return words


def missing(names, words):
    """A method counts as named where its own name is: classes share most of theirs."""
    return [name for name in names if name.split(".")[-1] not in words]


def main():
    here = live()
    if sys.argv[1:] == ["--record"]:
        KEPT.write_text(f"# Public names of asyncio and of its classes, CPython {here[0]}.\n" + "\n".join(here[1]) + "\n")
        return 0
    kept = KEPT.read_text().split("\n", 1)[1].split()
    words = named((ROOT / "docs/asyncio.md").read_text())
    wrong = missing(kept, words)
    if here is not None:
        wrong += [name for name in missing(here[1], words) if name not in wrong]
    for name in wrong:
        print(f"docs/asyncio.md does not name {name}")
    if missing(["Task.planted"], words) != ["Task.planted"] or missing(kept[:1], set()) != kept[:1]:
        print("a name that is missing was not found")
        return 1
    print(f"{len(kept)} names kept, {'none here' if here is None else f'{len(here[1])} of CPython {here[0]}'}: {len(wrong)} missing")
    return 1 if wrong else 0


sys.exit(main())
