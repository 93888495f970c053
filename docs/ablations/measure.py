#!/usr/bin/env python3
"""Measures the runs of the sweeps a.toml to d.toml for docs/ablations.md, and writes one CSV for each beside this file.

    for name in judge a b c d; do
        jempp sweep docs/ablations/$name.toml --out runs/ablations/$name --device cpu
    done
    python3 docs/ablations/measure.py --jempp target/release/jempp --work runs/ablations [a b c d]

A sweep says that runs failed: those are the ones that diverged. Needs numpy and safetensors.
"""

import argparse
import csv
import json
import re
import statistics
import subprocess
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

HERE = Path(__file__).parent
NAMED = 0.9  # confidence from which the judge is said to name a sample


class Sweep:
    """The runs of one sweep, in the order of its file."""

    def __init__(self, jempp, work, name):
        folder = work / name
        records = [json.loads(path.read_text()) | {"folder": path.with_suffix("")} for path in sorted(folder.glob("*.json"))]
        if not records:
            raise SystemExit(f"{folder} has no runs: jempp sweep docs/ablations/{name}.toml --out {folder} --device cpu")
        self.jempp, self.runs = jempp, [Run(record) for record in records]

    def sample(self, run, judge, *more):
        """Traces of fresh chains of a run, ten per class, a row per step and chain."""
        out = run.folder / "samples-fresh"
        if not (out / "traces.csv").exists():
            command = [self.jempp, "sample", "--checkpoint", run.checkpoint, "--judge", judge.checkpoint, "--out", out, "--steps", 100,
                       "--seed", run.seed, "--device", "cpu", *more]
            subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
        with open(out / "traces.csv") as file:
            return list(csv.DictReader(file))


class Run:
    def __init__(self, record):
        self.folder, self.seed = record["folder"], record["seed"]
        self.name = re.sub(r"-seed-\d+$", "", self.folder.name)
        self.settings = {key: value.strip('"') for key, value in record["settings"]}
        diverged = re.search(r"training diverged: (.*?)\. Gave up", record["failure"] or "")
        if not (record["is_done"] or diverged):
            raise SystemExit(f"{self.folder} is not at its end: {record['failure'] or 'continue the sweep'}")
        self.diverged = diverged and diverged.group(1)
        lines = [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]
        self.checkpoint = self.folder / "checkpoint.safetensors"
        self.steps = [line for line in lines if "loss" in line]
        self.evaluations = [line for line in lines if "test_accuracy" in line]

    def last(self, key):
        return self.evaluations[-1][key] if self.evaluations and not self.diverged else ""

    def mean(self, key, count=100):
        return statistics.fmean(line[key] for line in self.steps[-count:]) if self.steps else ""

    def millis_per_step(self):
        """The median over steps, which other work on the machine moves least."""
        clock = [line["elapsed_secs"] for line in self.steps]
        return 1000 * statistics.median(b - a for a, b in zip(clock, clock[1:]))


def write(name, rows):
    with open(HERE / f"{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
    print(f"{name}.csv: {len(rows)} rows", flush=True)


def step_sizes(sweep):
    """(a) SGLD against Proximal SGLD over step sizes: how many runs diverge."""
    rows = [{"sampler": run.settings["sampler.kind"], "step_size": run.settings["sampler.step_size"], "seed": run.seed,
             "diverged": int(bool(run.diverged)), "steps": len(run.steps), "reason": run.diverged or "",
             "accuracy": run.last("test_accuracy"), "gap": run.mean("gap"), "saturation": run.mean("saturation")}
            for run in sweep("a").runs]
    write("a", rows)


def starts(sweep):
    """(b) Uniform noise against class centres: energy gap, steps until a fixed classifier names the sample."""
    judge, rows, runs = sweep("judge").runs[0], [], sweep("b")
    for run in runs.runs:
        start = run.settings["sampler.start"]
        traces = [] if run.diverged else runs.sample(run, judge, "--start", start)
        chains = {}
        for row in traces:
            chains.setdefault(row["chain"], []).append(row)
        for step in range(101) if traces else []:
            at = [chain[step] for chain in chains.values()]
            named = [float(row["judged_confidence"]) >= NAMED for row in at]
            own = [named and row["judged_class"] == row["class"] for row, named in zip(at, named)]
            energies = [float(row["energy"]) for row in at]
            rows.append({"start": start, "seed": run.seed, "step": step, "diverged": 0,
                         "named": statistics.fmean(named), "named_as_start": statistics.fmean(own),
                         "energy_gap": run.last("test_energy") - statistics.fmean(energies),
                         "training_gap": run.mean("gap"), "accuracy": run.last("test_accuracy")})
        if not traces:
            rows.append({"start": start, "seed": run.seed, "step": "", "diverged": 1})
    write("b", rows)


def samplers(sweep):
    """(c) PYLD M×N with affine and other splits against SGLD-K: time, accuracy, distance of the samples."""
    distance = Distance()
    rows = [{"sampler": re.sub("^(sgld|pyld)", lambda found: found[0].upper(), run.name).replace("-split-", " split "), "seed": run.seed, "diverged": int(bool(run.diverged)),
             "millis_per_step": run.millis_per_step(), "accuracy": run.last("test_accuracy"),
             "distance": "" if run.diverged else distance.of(run.checkpoint), "gap": run.mean("gap"),
             "distance_floor": distance.floor} for run in sweep("c").runs]
    write("c", rows)


def norms(sweep):
    """(d) Batch norm with and without informative starts."""
    distance = Distance()
    rows = [{"norm": run.settings["model.norm"], "start": run.settings["sampler.start"], "seed": run.seed,
             "diverged": int(bool(run.diverged)), "steps": len(run.steps), "reason": run.diverged or "",
             "accuracy": run.last("test_accuracy"), "gap": run.mean("gap"),
             "distance": "" if run.diverged else distance.of(run.checkpoint)} for run in sweep("d").runs]
    write("d", rows)


class Distance:
    """Fréchet distance of Gaussians fitted to images in the 64 leading principal axes of the test images.

    It stands on pixels, not on a network's features: a coarse ruler for runs against each other, no FID.
    """

    def __init__(self):
        import gzip
        assets = HERE.parent.parent / "assets" / "fashion-mnist"
        read = lambda name: np.frombuffer(gzip.open(assets / name).read(), np.uint8, offset=16)
        scale = lambda bytes_: bytes_.reshape(-1, 784) / 127.5 - 1.0
        test, train = scale(read("t10k-images-idx3-ubyte.gz")), scale(read("train-images-idx3-ubyte.gz"))
        self.mean = test.mean(0)
        self.axes = np.linalg.svd(test - self.mean, full_matrices=False)[2][:64]
        self.test = self.moments(test)
        # As many as chains in a buffer.
        self.floor = self.between(self.moments(train[:: len(train) // 2000][:2000]), self.test)

    def moments(self, images):
        projected = (images - self.mean) @ self.axes.T
        return projected.mean(0), np.cov(projected, rowvar=False)

    @staticmethod
    def between(a, b):
        (mean_a, cov_a), (mean_b, cov_b) = a, b
        values, vectors = np.linalg.eigh(cov_a)
        root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        cross = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
        return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)

    def of(self, checkpoint):
        return self.between(self.moments(load_file(checkpoint)["replay_buffer"].astype(np.float64)), self.test)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jempp", required=True, type=lambda path: Path(path).resolve())
    parser.add_argument("--work", required=True, type=lambda path: Path(path).resolve())
    parser.add_argument("which", nargs="*", default=["a", "b", "c", "d"], metavar="a b c d")
    arguments = parser.parse_args()
    for which in arguments.which:
        measure = {"a": step_sizes, "b": starts, "c": samplers, "d": norms}[which]
        measure(lambda name: Sweep(arguments.jempp, arguments.work, name))
