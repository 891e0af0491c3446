#!/usr/bin/env python3
# limit: 600 s
"""Each public function has its row in tests/misuse/matrix.def, in its header's order, and the row fits it: a word for each
pointer, statuses that its role asks for, reasons that hold. The functions are read from the headers. Planted: a function
without a row, a word too few, a word that is none, a suspending call that is said to be right on a plain thread, and reasons
that do not hold."""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(os.environ.get("EDDY_ROOT", "."))
COLUMNS = ["null", "twice", "other", "thread", "outside", "closed"]
HAPPENS = re.compile(r"ok|dies|waits|NULL|E[A-Z]+")


def pieces(text):
    """Splits at commas outside of brackets and strings."""
    depth, quoted, parts = 0, False, [""]
    for character in text:
        quoted ^= character == '"'
        depth += not quoted and (character in "({[") - (character in ")}]")
        if character == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


class Function:
    def __init__(self, header, name, parameters, role):
        self.header, self.name, self.role = header, name, role
        self.parameters = [] if parameters == "void" else pieces(parameters)
        # `arg` is handed on and never followed.
        self.pointers = sum(("*" in one or one.endswith("[]") or re.search(r"_fn \w+$", one) is not None)
                            and not re.search(r"\*arg$", one) for one in self.parameters)


def public():
    texts = {file.name: re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.S)
             for file in sorted((ROOT / "include/eddy").glob("*.h"))}
    functions = [Function(header, name, " ".join(parameters.split()), role)
                 for header, text in texts.items()
                 for name, parameters, role in
                 re.findall(r"^EDDY_API\b[^;(]*?\b(eddy_\w+)\(((?:[^();]|\([^()]*\))*)\)([^;]*);", text, re.M | re.S)]
    opaque = {name for text in texts.values() for name in re.findall(r"^typedef struct (eddy_\w+) \1;", text, re.M)}
    names = {function.name for function in functions}
    assert len(names) == len(re.findall(r"^EDDY_API\b", "".join(texts.values()), re.M)), "a declaration was not read"
    closable = {one for one in opaque if names & {one + "_close", one + "_stop"}} | {"eddy_group", "eddy_loop"}
    return functions, opaque | {"eddy_group", "eddy_local_token"}, closable


def rows():
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "tests/misuse/matrix.def").read_text(), flags=re.S)
    for chunk in text.split("ROW(")[1:]:
        fixture, result, name, arguments, *columns = pieces(chunk.strip().removesuffix(")"))
        yield name, fixture, arguments, dict(zip(COLUMNS, columns)), len(columns)


def objects(function, types):
    """Those of other people: what a call gives is not one."""
    return {kind for one in function.parameters for kind in re.findall(r"\b(eddy_\w+) \*(?!\*)", one) if kind in types}


def misfits(function, arguments, words, count, opaque, closable):
    if count != len(COLUMNS):
        yield f"has {count} columns"
        return
    null = words["null"].split()
    if null != ["none"] * (function.pointers == 0) and len(null) != function.pointers or function.pointers and "none" in null:
        yield f"has {function.pointers} pointers and the words {words['null']}"
    marks = re.findall(r"\bN(\d)\(", arguments)
    if marks != [str(i + 1) for i in range(function.pointers)]:
        yield f"its pointers are not marked N1 to N{function.pointers}"
    for column in COLUMNS[1:]:
        word = words[column]
        if not HAPPENS.fullmatch(word) and word not in ("no_object", "no_close", "taken"):
            yield f"{column}: {word} is no word"
        if word == "no_object" and objects(function, opaque) and function.name not in MAKES:
            yield f"{column}: it takes {', '.join(sorted(objects(function, opaque)))}"
        if word == "no_close" and objects(function, closable):
            yield f"{column}: {', '.join(sorted(objects(function, closable)))} can be closed"
        if word == "taken" and column not in ("twice", "closed"):
            yield f"{column}: taken by whom?"
    if words["twice"] == "taken" and "TAKE(" not in arguments:
        yield "twice: it takes nothing"
    if "EDDY_SUSPENDS" in function.role:
        for column in ("thread", "outside"):
            if words[column] == "ok" and function.name not in SUSPENDS_AT_TIMES:
                yield f"{column}: a call that suspends is said to be right there"
    if "EDDY_WAITS" in function.role and (words["thread"] == "EWRONGTHREAD" or words["outside"] != "EWRONGTHREAD"):
        yield "a call that waits is for tasks and plain threads"


# They suspend in a task if what they call does, and are plain calls elsewhere.
SUSPENDS_AT_TIMES = {"eddy_context_run", "eddy_file_close"}
# Into memory of the caller's.
MAKES = {"eddy_group_enter", "eddy_local_set"}


def wrong(functions, table, opaque, closable):
    known = {function.name: function for function in functions}
    named = [name for name, *_ in table]
    for name in sorted(set(known) - set(named)):
        yield f"{name} ({known[name].header}) has no row"
    for name in sorted(set(named) - set(known)):
        yield f"there is no {name}"
    for name, _, arguments, words, count in table:
        if named.count(name) > 1:
            yield f"{name} has two rows"
        if name in known:
            yield from (f"{name}: {said}" for said in misfits(known[name], arguments, words, count, opaque, closable))


functions, opaque, closable = public()
table = list(rows())
real = list(wrong(functions, table, opaque, closable))
said = list(real)


def planted(what, *more, **words):
    """Must be found: more functions, other words in a row."""
    changed = [(row[0], *row[1:3], {**row[3], **words.get(row[0], {})}, row[4]) for row in table]
    if len(list(wrong([*functions, *more], changed, opaque, closable))) == len(real):
        said.append(f"not found when it is planted: {what}")


planted("a function without a row", Function("planted.h", "eddy_planted", "void", ""))
planted("a word too few", eddy_await={"null": "dies"})
planted("a suspending call on a plain thread", eddy_sleep={"thread": "ok"})
planted("a stream that cannot be closed", eddy_stream_read={"closed": "no_close"})
planted("a lock that is no object", eddy_lock_acquire={"other": "no_object"})
planted("what takes nothing", eddy_lock_acquire={"twice": "taken"})
planted("a word that is none", eddy_yield={"outside": "EWrong"})
print("\n".join(said))
cells = [word for *_, words, _ in table for column in words for word in words[column].split()]
uses = sum(HAPPENS.fullmatch(word) is not None for word in cells)
print(f"{len(functions)} functions, {len(table)} rows: {uses} uses, {len(cells) - uses} reasons why there is none")
sys.exit(1 if said else 0)
