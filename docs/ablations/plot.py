#!/usr/bin/env python3
"""Draws the figures of docs/ablations.md from the CSV files beside this script. Needs matplotlib."""

import csv
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
# Okabe and Ito's colours, told apart by colour-blind people too.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
                     "figure.dpi": 150, "axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True})
# A legend that covers nothing.
ABOVE = {"frameon": False, "ncols": 2, "loc": "lower left", "bbox_to_anchor": (0, 1)}


def rows(name):
    with open(HERE / f"{name}.csv") as file:
        return list(csv.DictReader(file))


def grouped(table, *keys):
    groups = defaultdict(list)
    for row in table:
        groups[tuple(row[key] for key in keys)].append(row)
    return groups


def numbers(table, key):
    return [float(row[key]) for row in table if row[key] != ""]


def save(figure, name):
    figure.tight_layout()
    figure.savefig(HERE / f"{name}.png", metadata={"Software": None})
    plt.close(figure)


def step_sizes():
    table = rows("a")
    sizes = sorted({float(row["step_size"]) for row in table})
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    for offset, (sampler, label, colour) in zip([-0.19, 0.19], [("sgld", "SGLD", ORANGE),
                                                               ("proximal-sgld", "Proximal SGLD", BLUE)]):
        of = [[r for r in table if r["sampler"] == sampler and float(r["step_size"]) == s] for s in sizes]
        places = [index + offset for index in range(len(sizes))]
        left.bar(places, [sum(int(r["diverged"]) for r in runs) for runs in of], 0.36, label=label, color=colour)
        for place, runs in zip(places, of):
            values = numbers(runs, "accuracy")
            right.plot([place] * len(values), [100 * v for v in values], "o", color=colour, alpha=0.8,
                       label=label if place == places[0] else None)
    for axes in (left, right):
        axes.set_xticks(range(len(sizes)), [f"{size:g}" for size in sizes])
        axes.set_xlabel("step size α")
    count = len({row["seed"] for row in table})
    left.set(ylabel=f"diverged runs of {count}", ylim=(0, count + 0.2), yticks=range(count + 1))
    right.set(ylabel="test accuracy, %\n(runs that did not diverge)")
    right.set_xlim(left.get_xlim())
    left.legend(**ABOVE)
    save(figure, "a")


def starts():
    table = [row for row in rows("b") if row["step"] != ""]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    for start, label, colour in [("class-centers", "class centres", BLUE), ("uniform", "uniform noise", ORANGE)]:
        for (seed,), run in grouped([r for r in table if r["start"] == start], "seed").items():
            first = label if seed == "0" else None
            steps = numbers(run, "step")
            left.plot(steps, [100 * v for v in numbers(run, "named")], color=colour, label=first)
            right.plot(steps, numbers(run, "energy_gap"), color=colour, label=first)
    left.set(xlabel="chain step", ylabel="samples a fixed classifier\nnames with confidence ≥ 0.9, %", ylim=(0, 100))
    right.set(xlabel="chain step", ylabel="mean E(test images) - mean E(chains)")
    right.axhline(0, color="black", linewidth=0.8)
    left.legend(**ABOVE)
    save(figure, "b")


def samplers():
    table = rows("c")
    names = list(dict.fromkeys(row["sampler"] for row in table))[::-1]
    groups = grouped(table, "sampler")
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True)
    columns = [("millis_per_step", "time per iteration,\nms", 1), ("accuracy", "test accuracy, %", 100),
               ("distance", "distance of buffer\nfrom test images", 1)]
    for axes, (key, label, scale) in zip(panels, columns):
        for place, name in enumerate(names):
            values = [scale * v for v in numbers(groups[(name,)], key)]
            colour = GREEN if "split" in name else BLUE if "PYLD" in name else ORANGE
            axes.plot(values, [place] * len(values), "o", color=colour, alpha=0.7)
            if values:
                axes.plot(fmean(values), place, "|", color="black", markersize=14)
            elif key == "accuracy":
                axes.text(0.5, place, "diverged", transform=axes.get_yaxis_transform(), ha="center", va="center")
        axes.set_xlabel(label)
    panels[0].set_xlim(left=0)
    panels[2].set_xlim(left=0)
    panels[2].axvline(float(table[0]["distance_floor"]), color="black", linestyle=":", linewidth=1)
    panels[0].set_yticks(range(len(names)), names)
    save(figure, "c")


def norms():
    table = rows("d")
    kinds = [("batch", "class-centers"), ("batch", "uniform"), ("none", "class-centers"), ("none", "uniform")]
    labels = ["batch norm,\ncentres", "batch norm,\nnoise", "no norm,\ncentres", "no norm,\nnoise"]
    colours = [BLUE, ORANGE, GREEN, PURPLE]
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.6))
    for place, (kind, colour) in enumerate(zip(kinds, colours)):
        runs = [row for row in table if (row["norm"], row["start"]) == kind]
        panels[0].bar(place, sum(int(row["diverged"]) for row in runs), 0.6, color=colour)
        for axes, key, scale in [(panels[1], "accuracy", 100), (panels[2], "distance", 1)]:
            values = [scale * v for v in numbers(runs, key)]
            axes.plot([place] * len(values), values, "o", color=colour, alpha=0.8)
    count = len({row["seed"] for row in table})
    panels[0].set(ylabel=f"diverged runs of {count}", ylim=(0, count + 0.1), yticks=range(count + 1))
    panels[1].set(ylabel="test accuracy, %")
    panels[2].set(ylabel="distance of buffer from test images", yscale="log", ylim=(1, 1000))
    for axes in panels:
        axes.set_xticks(range(4), labels, fontsize=8)
        axes.set_xlim(-0.6, 3.6)
    save(figure, "d")


if __name__ == "__main__":
    for draw in (step_sizes, starts, samplers, norms):
        draw()
