#!/usr/bin/env python3
"""Makes metrics.csv (means over 50 steps) of a run's metrics.jsonl, and curves.png of that. Needs matplotlib.

    python3 docs/showcase/curves.py runs/showcase docs/showcase/fashion
"""

import csv
import json
import sys
from pathlib import Path
from statistics import fmean

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
EVERY = 50
KEYS = ["loss", "cross_entropy", "train_accuracy", "energy_data", "energy_model", "gap", "gradient_norm",
        "clamp_rate", "saturation", "learning_rate"]
EVALUATED = ["test_accuracy", "test_calibration_error", "test_energy"]
plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
                     "figure.dpi": 150, "axes.grid": True, "grid.alpha": 0.3})


def thin(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    rows = [{"step": part[-1]["step"], "epoch": part[-1]["epoch"]}
            | {key: fmean(line[key] for line in part) for key in KEYS}
            for part in (steps[at:at + EVERY] for at in range(0, len(steps), EVERY))]
    return rows + [{key: line[key] for key in ["step", "epoch", *EVALUATED]}
                   for line in lines if "test_accuracy" in line]


def draw(rows, path):
    steps = [row for row in rows if row.get("loss") not in (None, "")]
    tests = [row for row in rows if row.get("test_accuracy") not in (None, "")]
    at = [float(row["step"]) / 1000 for row in steps]
    column = lambda key: [float(row[key]) for row in steps]
    figure, panels = plt.subplots(2, 2, figsize=(9, 5.2), sharex=True)
    (accuracy, energy), (gap, health) = panels
    accuracy.plot(at, [100 * v for v in column("train_accuracy")], color=ORANGE, linewidth=0.8, label="training batches, augmented")
    tested = [float(row["step"]) / 1000 for row in tests]
    accuracy.plot(tested, [100 * float(row["test_accuracy"]) for row in tests], "o-", color=BLUE, label="test, averaged weights")
    accuracy.set(ylabel="accuracy, %")
    energy.plot(at, column("energy_data"), color=BLUE, linewidth=0.8, label="data")
    energy.plot(at, column("energy_model"), color=ORANGE, linewidth=0.8, label="chains")
    energy.set(ylabel="mean energy")
    gap.plot(at, column("gap"), color=BLUE, linewidth=0.8)
    gap.axhline(0, color="black", linewidth=0.8)
    gap.set(ylabel="gap d = E(data) - E(chains)", xlabel="training step, thousands")
    health.plot(at, column("gradient_norm"), color=BLUE, linewidth=0.8, label="gradient norm r of chains")
    health.plot(at, column("saturation"), color=GREEN, linewidth=0.8, label="share of pixels at ±1")
    health.set(xlabel="training step, thousands", ylim=(0, None))
    for axes in (accuracy, energy, health):
        axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    run, out = map(Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    rows = thin(run)
    with open(out / "metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "epoch", *KEYS, *EVALUATED], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
    draw(rows, out / "curves.png")
