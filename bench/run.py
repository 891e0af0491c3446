#!/usr/bin/env python3
"""run.py: asks each question of eddy and of its peers, in turn, in one run, and prints who is how much faster.

Method     A pair is one process of eddy's and one of a peer's, one right after the other; who is first alternates. Each
           process does the work twice: the first repetition is cold, the second is the figure. A ratio is peer / eddy
           within one pair, so what slows the machine for a while slows both. What is printed is the median of the
           pairs' ratios with its 95 % interval: the order statistics that hold the median with that probability,
           whatever the distribution (4th and 12th of 15). Fewer than 6 pairs have none: the range is shown as such.
           eddy against itself is one of the pairs: its interval is the noise of this run.
Checks     The checksum of every repetition must be right (questions.py). A wrong one leaves its question without a
           figure, and the run ends with code 1.
Time       Wall time, and CPU time of the whole process beside it: where others use the machine too, CPU time is the
           more honest of the two for questions that compute. Of a server the CPU time counts (serve.py).

Started by `zig build bench -- ARGS`; --help lists them."""
import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time

from questions import GROWTHS, QUESTIONS
from runtimes import Runtimes

PAIRS = {"full": 15, "quick": 3, "small": 1}
PROCESS_LIMIT_S = 180


class Wrong(Exception):
    """A benchmark gave no answer, or the wrong one."""


class Cell:
    """What one runtime measured for one part of a question, a value for each process."""

    def __init__(self):
        self.unit = "ns"
        self.cold, self.values, self.cpu = [], [], []
        self.resident_bytes = 0
        self.checksum = None


class Progress:
    """One line on a terminal, rewritten; in a file a line for each question."""

    def __init__(self):
        self.live = sys.stderr.isatty()

    def show(self, text):
        if self.live:
            sys.stderr.write("\r\033[K" + text[:110])
            sys.stderr.flush()

    def note(self, text):
        self.show("")
        print(text, file=sys.stderr, flush=True)


def measure(command, question, runtime, size):
    """One process: {cell: {repetition: line}}."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROCESS_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise Wrong(f"{question.name}, {runtime}: no end after {PROCESS_LIMIT_S} s: {' '.join(command)}") from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise Wrong(f"{question.name}, {runtime}: ended with {done.returncode}: {' '.join(command)}\n" + "\n".join(words))
    lines = {}
    for text in done.stdout.splitlines():
        line = json.loads(text)
        if not question.right(runtime.partition(":")[0], size, line["checksum"]):
            raise Wrong(f"{question.name}, {runtime}: wrong answer {line['checksum']}, not {question.answer(size)}: "
                        + " ".join(command))
        lines.setdefault(line["cell"], {})[line["repetition"]] = line
    if not lines:
        raise Wrong(f"{question.name}, {runtime}: no answer: {' '.join(command)}")
    return lines


def value_of(line):
    return line["wall_ns"] / line["operations"] if "wall_ns" in line else line["amount"]


def interval(values):
    """The median's 95 % interval by order statistics, or None when there are too few values."""
    ordered, count = sorted(values), len(values)
    best, tail = 0, 0.0
    for below in range(count // 2):
        tail += math.comb(count, below) / 2 ** count
        if tail > 0.025:
            break
        best = below + 1
    return (ordered[best - 1], ordered[count - best]) if best else None


class Ratio:
    """Peer / eddy, pair by pair."""

    def __init__(self, values):
        self.values = values
        self.median = statistics.median(values)
        self.interval = interval(values)
        self.low, self.high = self.interval or (min(values), max(values))

    def text(self):
        brackets = "[]" if self.interval else "()"
        return f"{self.median:.2f} {brackets[0]}{self.low:.2f}, {self.high:.2f}{brackets[1]}"


class Asked:
    """One question on one number of workers: the measurements of all runtimes and the ratios."""

    def __init__(self, question, workers):
        self.question, self.workers = question, workers
        self.cells = {}  # (runtime, cell) -> Cell
        self.pairs = {}  # (runtime, cell) -> [(wall ratio, CPU ratio or None)]
        self.sizes = {}

    def add(self, runtime, size, lines):
        self.sizes[runtime] = size
        for name, by_repetition in lines.items():
            cell = self.cells.setdefault((runtime, name), Cell())
            last = by_repetition[max(by_repetition)]
            cell.unit = last.get("unit", "ns")
            cell.cold.append(value_of(by_repetition[1]))
            cell.values.append(value_of(last))
            if "cpu_ns" in last:
                cell.cpu.append(last["cpu_ns"] / last["operations"])
            cell.resident_bytes = max(cell.resident_bytes, last["resident_bytes"])
            cell.checksum = last["checksum"]

    def add_pair(self, runtime, own, theirs):
        for name in own:
            if name not in theirs:
                continue
            a, b = own[name][max(own[name])], theirs[name][max(theirs[name])]
            if value_of(a) <= 0:
                continue
            cpu = None
            if a.get("cpu_ns") and b.get("cpu_ns"):
                cpu = b["cpu_ns"] / b["operations"] / (a["cpu_ns"] / a["operations"])
            self.pairs.setdefault((runtime, name), []).append((value_of(b) / value_of(a), cpu))

    def ratio(self, runtime, cell, which=0):
        values = [pair[which] for pair in self.pairs.get((runtime, cell), []) if pair[which] is not None]
        return Ratio(values) if values else None

    def verdicts(self):
        """(target, text, reached) of each target that could be looked at."""
        for target in self.question.targets:
            name = f".{target.cell}" if target.cell else ""
            if self.workers != (target.workers or self.question.workers[0]):
                continue
            if target.peer:
                ratio = self.ratio(target.peer, target.cell, 1 if target.by_cpu else 0)
                if ratio is None:
                    continue
                reached = "not decided" if ratio.low < target.at_least <= ratio.high or not ratio.interval else \
                    "reached" if ratio.low >= target.at_least else "missed"
                cpu = None if target.by_cpu else self.ratio(target.peer, target.cell, 1)
                yield (f"{target.peer} / eddy{name} {ratio.text()}" + (" by CPU" if target.by_cpu else "")
                       + (f", CPU {cpu.text()}" if cpu else "") + f", asked {target.at_least:.2f}", reached)
            elif ("eddy", target.cell) in self.cells:
                cell = self.cells["eddy", target.cell]
                median = statistics.median(cell.values)
                yield (f"eddy{name} {number(median)} {cell.unit}, asked {target.at_most:g} or less",
                       "reached" if median <= target.at_most else "missed")


def ask(question, workers, peers, runtimes, options, progress):
    asked = Asked(question, workers)
    begun = time.monotonic()

    def one(runtime):
        size = question.size_for(runtime.partition(":")[0], options.scale)
        command = runtimes.command(runtime, question, size, workers, 2)
        lines = measure(command, question, runtime, size)
        asked.add(runtime, size, lines)
        return lines

    pairs = min(options.pairs, question.pairs_most or options.pairs)
    for pair in range(pairs):
        for peer in ["eddy", *peers]:
            progress.show(f"{question.name}, {workers} workers: pair {pair + 1} of {pairs}, {peer}")
            if peer == "eddy":
                asked.add_pair(peer, one("eddy"), one("eddy"))
            elif pair % 2 == 0:
                own = one("eddy")
                asked.add_pair(peer, own, one(peer))
            else:
                theirs = one(peer)
                asked.add_pair(peer, one("eddy"), theirs)
    progress.note(f"{question.name}, {workers} workers: {pairs} pairs with each of {len(peers)} "
                  f"in {time.monotonic() - begun:.0f} s")
    return asked


def grow(growth, runtimes, options, progress):
    """One line of JSON for each value and cell; the figures are printed as they come."""
    question, measured = growth.find(), []
    unit = f"{growth.variable}: " if growth.variable != "size" else f"{question.unit}s: "
    print(f"\n{question.name}, by {growth.variable}: {question.text}")
    for value in growth.small if options.scale == "small" else growth.values:
        size = value if growth.variable == "size" else question.size_for("eddy", "small" if options.small else "quick")
        workers = value if growth.variable == "workers" else question.workers[0]
        connections = value if growth.variable == "connections" else 0
        size = max(size, connections)
        asked = Asked(question, workers)
        for turn in range(min(options.pairs, 5)):
            progress.show(f"{question.name}, {growth.variable} {value}: {turn + 1}")
            command = runtimes.command("eddy", question, size, workers, 2, connections)
            asked.add("eddy", size, measure(command, question, "eddy", size))
        for line in json_lines(asked, {"eddy": runtimes.get("eddy")[1]}, options):
            cpu = f", CPU {number(line['cpu_median'])}" if "cpu_median" in line else ""
            print(f"  {unit}{value:<9,} {line['question']:18} {number(line['median'])} {line['unit']} "
                  f"({number(line['min'])} to {number(line['max'])}){cpu}", flush=True)
            measured.append({**line, "variable": growth.variable, "value": value})
    for cell in dict.fromkeys(line["question"] for line in measured):
        judge([line for line in measured if line["question"] == cell], growth)
    return measured


FROM = 1000  # below that the cost of beginning counts


def judge(lines, growth):
    """Whether the cost of one operation grows faster than log n; of workers: whether too many are worse than one."""
    if lines[0]["unit"] != "ns":
        return
    lines = [line for line in lines if growth.variable == "workers" or line["value"] >= FROM]
    if len(lines) < 2:
        return
    first, last = lines[0], lines[-1]
    which = "cpu_median" if all("cpu_median" in line for line in lines) else "median"
    grown = last[which] / first[which]
    if growth.variable == "workers":
        print(f"  {first['question']}: {last['value']} workers take {grown:.2f} times the CPU time of one")
        return
    allowed = math.log(last["value"]) / math.log(first["value"])
    print(f"  {first['question']}: from {first['value']:,} to {last['value']:,} one costs {grown:.2f} times as much; "
          f"n log n allows {allowed:.2f}" + ("" if grown <= allowed else ": MORE THAN N LOG N"))


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1 or value == 0 else f"{value:.3g}"


def report(asked):
    question = asked.question
    shown = ", ".join(f"{name} {size:,}" for name, size in asked.sizes.items() if size != asked.sizes["eddy"])
    print(f"\n{question.name}: {question.text}; {asked.workers} worker{'s' if asked.workers > 1 else ''}, "
          f"size {asked.sizes['eddy']:,}" + (f" ({shown})" if shown else ""))
    print(f"  {'':24}{'median':>11}{'min':>11}{'max':>11}{'cold':>11}{'CPU':>11}   {'peer / eddy':29} CPU time's ratio")
    for name in dict.fromkeys(cell for _, cell in asked.cells):
        for runtime in dict.fromkeys(runtime for runtime, _ in asked.cells):
            cell = asked.cells.get((runtime, name))
            if cell is None:
                continue
            label = runtime + (f" .{name}" if name else "")
            per = f"{cell.unit} a {question.unit}" if runtime == "eddy" and cell.unit == "ns" else cell.unit
            ratio, cpu = asked.ratio(runtime, name), asked.ratio(runtime, name, 1)
            cpu_ns = number(statistics.median(cell.cpu)) if cell.cpu else ""
            against = ratio.text() if ratio else ""
            if runtime == "eddy":
                against += " itself" if ratio else ""
            print(f"  {label:24}{number(statistics.median(cell.values)):>11}{number(min(cell.values)):>11}"
                  f"{number(max(cell.values)):>11}{number(statistics.median(cell.cold)):>11}{cpu_ns:>11}   "
                  f"{against:29} {cpu.text() if cpu else '':24} {per}")
    for text, reached in asked.verdicts():
        print(f"  {reached}: {text}")
    sys.stdout.flush()


def json_lines(asked, versions, options):
    """One measured cell each."""
    for (runtime, name), cell in asked.cells.items():
        ratio, cpu = asked.ratio(runtime, name), asked.ratio(runtime, name, 1)
        line = {
            "question": asked.question.name + (f".{name}" if name else ""), "runtime": runtime,
            "version": versions[runtime.partition(":")[0]], "workers": asked.workers, "unit": cell.unit,
            "median": statistics.median(cell.values), "min": min(cell.values), "max": max(cell.values),
            "repetitions": len(cell.values), "checksum": cell.checksum, "size": asked.sizes[runtime],
            "cold_median": statistics.median(cell.cold), "resident_bytes": cell.resident_bytes,
            "pairs": len(asked.pairs.get((runtime, name), ())), "scale": options.scale,
        }
        if cell.cpu:
            line.update(cpu_median=statistics.median(cell.cpu), cpu_min=min(cell.cpu), cpu_max=max(cell.cpu))
        if ratio:
            line["ratio"] = [ratio.median, ratio.low, ratio.high]
        if cpu:
            line["cpu_ratio"] = [cpu.median, cpu.low, cpu.high]
        yield line


def compare(lines, path):
    """Prints what became slower than the recorded run by more than the noise of both. How many did. CPU time is compared
    where both runs have it: wall time tells more about who else used the machine."""
    with open(path, encoding="utf-8") as file:
        recorded = [json.loads(text) for text in file]
    before = {(line["question"], line["workers"]): line for line in recorded if line["runtime"] == "eddy"}
    slower = compared = 0
    print(f"\nagainst {path}:")
    for line in (line for line in lines if line["runtime"] == "eddy"):
        old = before.get((line["question"], line["workers"]))
        if old is None or old["median"] <= 0:
            continue
        compared += 1
        which = "cpu_" if all(each.get("cpu_min", 0) > 0 for each in (old, line)) else ""
        median, low, high = ([each[which + word] for each in (old, line)] for word in ("median", "min", "max"))
        noise = high[0] / median[0] * (median[1] / low[1] if low[1] > 0 else 1)  # the worst of then, the best of now
        change = median[1] / median[0]
        word = "slower" if change > noise else "same or faster"
        slower += change > noise
        print(f"  {word:15} {line['question']:20} {line['workers']} workers: {number(median[0])} -> {number(median[1])} "
              f"{line['unit']}{' of CPU' if which else ''}, {change:.2f} times; noise {noise:.2f}")
    if compared == 0:
        print("  nothing: that run asked no question of this one")
    return slower + (compared == 0)


def names(text):
    return [name for name in text.split(",") if name]


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="zig build bench --", description="Measures eddy and its peers in turn.")
    parser.add_argument("--only", type=names, default=[], metavar="NAMES", help="questions: fork_join,yield,...")
    parser.add_argument("--peers", type=names, default=None, metavar="NAMES", help="go,tokio,...; none: eddy alone")
    parser.add_argument("--workers", type=names, default=["1", "2"], metavar="1,2",
                        help="numbers of workers, for the questions that can vary")
    parser.add_argument("--pairs", type=int, default=0, help=f"pairs with each peer, default {PAIRS['full']}")
    parser.add_argument("--quick", action="store_true", help=f"{PAIRS['quick']} pairs, less work: claims nothing")
    parser.add_argument("--small", action="store_true", help="as the tests run it: no figures worth reading")
    parser.add_argument("--json", metavar="FILE", help="one line for each measured cell")
    parser.add_argument("--compare", metavar="FILE", help="fail if slower than that run of --json, beyond the noise")
    parser.add_argument("--grow", action="store_true", help="instead: eddy alone, as tasks, workers, connections grow")
    parser.add_argument("--list", action="store_true", help="print the questions and who is asked")
    parser.add_argument("--bin", default="zig-out/bin", help=argparse.SUPPRESS)
    parser.add_argument("--work", default="zig-out/peers", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.scale = "small" if options.small else "quick" if options.quick else "full"
    options.pairs = options.pairs or PAIRS[options.scale]
    options.workers = [int(text) for text in options.workers]
    unknown = set(options.only) - {question.name for question in QUESTIONS}
    if unknown:
        parser.error("no such question: " + ", ".join(sorted(unknown)))
    return options


def machine():
    model = "?"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    load = os.getloadavg()[0]
    return (f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}, {time.strftime('%Y-%m-%d %H:%M')}, "
            f"load {load:.1f} at the beginning")


def main(arguments):
    options = options_of(arguments)
    asked_for = [question for question in QUESTIONS if not options.only or question.name in options.only]
    if options.list:
        for question in asked_for:
            print(f"{question.name:20}{question.text}: {', '.join(question.peers)}")
        return 0
    runtimes, progress = Runtimes(os.path.abspath(options.bin), os.path.abspath(options.work)), Progress()
    print(machine())
    if options.scale != "full":
        print(f"{options.scale}: less work, {options.pairs} pairs"
              + ("" if options.pairs >= PAIRS["full"] else "; these figures claim nothing"))
    lines, absent, versions, verdicts = [], {}, {}, []

    def is_wanted(peer):
        runtime = peer.partition(":")[0]
        if options.peers is not None and runtime not in options.peers:
            return False
        progress.show(f"building {runtime}")
        found = runtimes.get(runtime)
        if isinstance(found, str):
            absent[runtime] = found
            return False
        versions[runtime] = found[1]
        return True

    is_wanted("eddy")
    versions["eddy"] = runtimes.get("eddy")[1]
    failed = 0
    for growth in GROWTHS if options.grow else ():
        if options.only and growth.question not in options.only:
            continue
        try:
            lines.extend(grow(growth, runtimes, options, progress))
        except Wrong as wrong:
            progress.note(f"FAILED {wrong}")
            failed += 1
    for question in () if options.grow else asked_for:
        if question.tool and shutil.which(question.tool) is None:
            absent[question.name] = f"it needs {question.tool}, which is not installed"
            continue
        for workers in [count for count in question.workers if count in options.workers]:
            peers = [peer for peer in question.peers + (question.peers_of_two if workers == 2 else ())
                     if is_wanted(peer)]
            try:
                asked = ask(question, workers, peers, runtimes, options, progress)
            except Wrong as wrong:
                progress.note(f"FAILED {wrong}")
                failed += 1
                continue
            report(asked)
            lines += json_lines(asked, versions, options)
            verdicts += [(reached, question.name, workers, text) for text, reached in asked.verdicts()]
    print("\nversions: " + "; ".join(f"{name} {version}" for name, version in versions.items()))
    for name, reason in absent.items():
        print(f"absent: {name} ({reason})")
    if verdicts and options.pairs >= PAIRS["full"]:
        for word in ("reached", "not decided", "missed"):
            print(f"{sum(reached == word for reached, *_ in verdicts)} {word}", end="\n" if word == "missed" else ", ")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        print(f"written: {options.json}")
    slower = compare(lines, options.compare) if options.compare else 0
    if failed:
        print(f"{failed} questions failed: see above")
    return 1 if failed or slower else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
