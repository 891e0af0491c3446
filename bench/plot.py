#!/usr/bin/env python3
"""plot.py: draws what `zig build bench -- --json FILE` wrote: FILE FOLDER.

ratios.png     every question: how many times eddy's CPU time a peer takes (wall time where that is all there is, and says
               so), with the 95 % interval of the pairs' median
QUESTION.png   one question: the median of each runtime, from its least to its most
growth_*.png   from a run with --grow: the cost of one operation by the number of tasks, workers or connections
overload.png   from what `overload_sim --json` printed (examples/): latency and answers in time by load

The scale is logarithmic: the field lies between 2 and 20,000 ns."""
import collections
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (after the backend is chosen)

COLOURS = {
    "eddy": "#0b5fa5", "tokio": "#c4572b", "go": "#2f9c95", "tbb": "#7a5195", "boost.fiber": "#8a8d3b",
    "boost.context": "#444444", "libuv": "#d6a419", "epoll": "#777777", "asyncio": "#5b8c3a", "uvloop": "#9bbf65",
}


def colour(runtime):
    return COLOURS.get(runtime.partition(":")[0], "#999999")


def load(path):
    """({(question, workers): [line]}, {(question, variable): [line]}, [overload line]), in the order of the file."""
    cells, growths, overload = collections.OrderedDict(), collections.OrderedDict(), []
    with open(path, encoding="utf-8") as file:
        for line in map(json.loads, file):
            if "overload" in line:
                overload.append(line)
                continue
            if "variable" in line:
                growths.setdefault((line["question"].partition(".")[0], line["variable"]), []).append(line)
                continue
            cells.setdefault((line["question"], line["workers"]), []).append(line)
    return cells, growths, overload


def title(question, workers):
    return question.replace("_", " ") + (f", {workers} workers" if workers > 1 else "")


def finish(figure, path):
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)
    print(path)


def plain(axis):
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(left=False)
    axis.grid(axis="x", which="major", color="#dddddd", linewidth=0.8)
    axis.set_axisbelow(True)


def draw_ratios(cells, path):
    """A dot for each peer of each question, left of the line where it is faster than eddy."""
    def which(lines):
        return "cpu_ratio" if all("cpu_ratio" in line for line in lines) else "ratio"

    rows = [(key, [line for line in lines if "ratio" in line and line["runtime"].partition(":")[0] != "eddy"
                   and line["unit"] == "ns"]) for key, lines in cells.items()]
    rows = [(key, lines) for key, lines in rows if lines]
    figure, axis = plt.subplots(figsize=(9, 0.42 * len(rows) + 1.6))
    seen = {}
    for row, (key, lines) in enumerate(reversed(rows)):
        axis.axhline(row, color="#eeeeee", linewidth=6, zorder=0)
        for line in lines:
            median, low, high = line[which(lines)]
            seen[line["runtime"]] = axis.errorbar(
                median, row, xerr=[[max(median - low, 0)], [max(high - median, 0)]], fmt="o", markersize=6,
                capsize=2.5, elinewidth=1.2, color=colour(line["runtime"]))
    axis.set_xscale("log")
    axis.axvline(1, color=COLOURS["eddy"], linewidth=1.5)
    axis.text(1, len(rows) - 0.35, "eddy", color=COLOURS["eddy"], ha="center", va="bottom", fontweight="bold")
    axis.set_yticks(range(len(rows)))
    axis.set_yticklabels([title(*key) + ("" if which(lines) == "cpu_ratio" else " (wall)")
                          for key, lines in reversed(rows)])
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.set_xlabel("CPU time of the peer / of eddy; right of the line eddy is cheaper")
    axis.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    plain(axis)
    axis.legend(seen.values(), seen.keys(), loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    finish(figure, path)


def draw_question(question, workers, lines, path):
    lines = sorted(lines, key=lambda line: line["median"], reverse=True)
    figure, axis = plt.subplots(figsize=(7.5, 0.45 * len(lines) + 1.2))
    unit = lines[0]["unit"]
    for row, line in enumerate(lines):
        low, high = line["median"] - line["min"], line["max"] - line["median"]
        axis.barh(row, line["median"], height=0.62, color=colour(line["runtime"]),
                  alpha=0.55 if ":" in line["runtime"] else 1, xerr=[[low], [high]],
                  error_kw={"elinewidth": 1.2, "capsize": 3, "ecolor": "#222222"})
        axis.annotate(f"{line['median']:,.3g}" if line["median"] < 100 else f"{line['median']:,.0f}",
                      (line["max"], row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)
    medians = [line["median"] for line in lines]
    if min(medians) > 0 and max(medians) > 20 * min(medians):
        axis.set_xscale("log")
        axis.set_xlim(left=min(line["min"] for line in lines) / 3)
    axis.set_yticks(range(len(lines)))
    axis.set_yticklabels([line["runtime"].replace(":", ", ") for line in lines])
    axis.set_xlabel(f"{unit} for one" if unit == "ns" else f"{unit}")
    axis.set_title(title(question, workers), loc="left", fontweight="bold")
    axis.margins(x=0.18)
    axis.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    plain(axis)
    finish(figure, path)


def draw_growth(question, variable, lines, path):
    """One panel for each unit: times and bytes do not share a scale."""
    units = list(dict.fromkeys(line["unit"] for line in lines))
    figure, axes = plt.subplots(len(units), 1, figsize=(7.5, 3.2 * len(units)), sharex=True, squeeze=False)
    for axis, unit in zip(axes[:, 0], units):
        mine = [line for line in lines if line["unit"] == unit]
        for name in dict.fromkeys(line["question"] for line in mine):
            row = [line for line in mine if line["question"] == name]
            medians = [line["median"] for line in row]
            spread = [[line["median"] - line["min"] for line in row], [line["max"] - line["median"] for line in row]]
            axis.errorbar([line["value"] for line in row], medians, yerr=spread, marker="o", capsize=3,
                          label=name.replace("_", " "))
            if all("cpu_median" in line for line in row):
                axis.plot([line["value"] for line in row], [line["cpu_median"] for line in row], linestyle=":",
                          color=axis.lines[-1].get_color() if axis.lines else None, label=name + ", CPU time")
        axis.set_ylabel(f"{unit} for one" if unit == "ns" else unit)
        most = max(max(line["max"], line.get("cpu_median", 0)) for line in mine)
        least = min(min(line["min"], line.get("cpu_median", line["min"])) for line in mine)
        if unit == "ns" and most > 20 * least > 0:
            axis.set_yscale("log")
            axis.set_ylim(least / 2, 2 * most)
        else:
            axis.set_ylim(0, 1.15 * most)
        axis.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        axis.grid(color="#dddddd", linewidth=0.8)
        axis.legend(frameon=False)
    axis = axes[-1, 0]
    if variable == "workers":
        axis.set_xlabel("workers")
        axis.xaxis.get_major_locator().set_params(integer=True)
    else:
        axis.set_xscale("log")
        axis.set_xlabel(variable if variable != "size" else "how many at once")
    axes[0, 0].set_title(title(question, 1), loc="left", fontweight="bold")
    finish(figure, path)


def draw_overload(lines, path):
    """What a client waits, and what share of all requests is answered in time, by how much is asked."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(7.5, 6.4), sharex=True)
    for name, label, shade in (("line", "all stand in line", "#c4572b"), ("gate", "a gate refuses some", "#0b5fa5")):
        mine = [line for line in lines if line["overload"] == name]
        load = [line["load"] for line in mine]
        top.plot(load, [line["p99_ms"] for line in mine], color=shade, label=f"{label}, 99 of 100")
        top.plot(load, [line["p50_ms"] for line in mine], color=shade, linestyle=":", label=f"{label}, every other one")
        bottom.plot(load, [line["in_time"] for line in mine], color=shade, label=f"answered within 1 s: {label}")
        if name == "gate":
            bottom.plot(load, [line["refused"] for line in mine], color=shade, linestyle=":", label="refused at once")
    bottom.plot(load, [min(100, 100 / value) for value in load], color="#999999", linewidth=0.8, label="what can be done")
    top.set_yscale("log")
    top.set_ylabel("ms until an answer")
    bottom.set_ylabel("% of requests")
    bottom.set_ylim(0, 105)
    bottom.set_xlabel("load: 1 is as much as the server can do")
    for axis in (top, bottom):
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        axis.grid(color="#dddddd", linewidth=0.8)
        axis.legend(frameon=False, fontsize=8, loc="center right" if axis is top else "upper right")
    top.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    top.set_title("overload", loc="left", fontweight="bold")
    finish(figure, path)


def main(arguments):
    if len(arguments) != 2:
        print("zig build plots -- FILE FOLDER", file=sys.stderr)
        return 2
    cells, growths, overload = load(arguments[0])
    if not cells and not growths and not overload:
        print(f"{arguments[0]} holds no measured cell", file=sys.stderr)
        return 1
    folder = arguments[1]
    os.makedirs(folder, exist_ok=True)
    if overload:
        draw_overload(overload, os.path.join(folder, "overload.png"))
    if cells:
        draw_ratios(cells, os.path.join(folder, "ratios.png"))
    for (question, variable), lines in growths.items():
        draw_growth(question, variable, lines, os.path.join(folder, f"growth_{question}.png"))
    for (question, workers), lines in cells.items():
        if len({line["runtime"] for line in lines}) > 1:
            name = question + (f"_{workers}" if workers > 1 else "")
            draw_question(question, workers, lines, os.path.join(folder, name + ".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
