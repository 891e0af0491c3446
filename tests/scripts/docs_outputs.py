#!/usr/bin/env python3
# limit: 600 s
# without: thread address
"""What the documents show as a program's output is what it prints, to the letter: each block under a line
`<!-- output: PROGRAM ARGUMENTS -->`. A block that differs must be found."""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(os.environ["EDDY_ROOT"])
BLOCK = re.compile(r"^<!-- output: ([^\n]*) -->\n```text\n(.*?)^```$", re.M | re.S)


def said(command):
    """Both streams: a place by its file's name alone, addresses and milliseconds left out."""
    program, *arguments = command.split()
    done = subprocess.run([f"{os.environ['EDDY_BUILD_DIR']}/{program}", *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    text = re.sub(r"[^ ]*/([a-z_]+\.c:\d+)", r"\1", done.stdout)
    text = re.sub(r"\b0x[0-9a-f]+", "0x...", text)
    text = re.sub(r"\b\d+\.\d{3} s\b", "... s", text)
    return text if done.returncode == 0 else f"{text}ended with {done.returncode}\n"


def differ(text):
    return [f"{command}: it prints\n{said(command)}" for command, shown in BLOCK.findall(text) if said(command) != shown]


failed, count = [], 0
for document in sorted(ROOT.glob("docs/*.md")):
    text = document.read_text()
    marked = text.count("<!-- output: ")
    count += marked
    if len(BLOCK.findall(text)) != marked:
        failed.append(f"{document.name}: a marker without its block")
    failed += [f"{document.name}: {what}" for what in differ(text)]
if len(differ("<!-- output: pitfalls gather -->\n```text\nplanted\n```\n")) != 1:
    failed.append("a block that differs was not found")
print("\n".join(failed) if failed else f"{count} outputs are as shown")
sys.exit(1 if failed or count == 0 else 0)
