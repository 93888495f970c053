#!/usr/bin/env python3
"""Runs the ablations of docs/ablations.md and writes one CSV each beside this file.

    cargo build --release
    python3 docs/ablations/run.py --jempp target/release/jempp --work runs/ablations [a b c d]

Runs that are already in the work folder are not done again. Needs numpy and safetensors.
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
# Every run: the quick preset's network on the 5,000 embedded images, batch 32, 156 steps an epoch. A run that
# diverges ends there.
COMMON = {"divergence.max_recoveries": 0, "optimizer.decay_epochs": "[3]", "training.epochs": 4}
NAMED = 0.9  # confidence from which the judge is said to name a sample


class Runs:
    def __init__(self, jempp, work):
        self.jempp, self.work = Path(jempp).resolve(), Path(work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)

    def call(self, *arguments):
        command = [str(self.jempp), *map(str, arguments)]
        return subprocess.run(command, cwd=self.work, capture_output=True, text=True)

    def train(self, name, seed, settings):
        """Trains (or finds) a run; gives its folder and what stopped it, if anything did."""
        folder, verdict = self.work / name, self.work / f"{name}.json"
        if not verdict.exists():
            if folder.exists():
                subprocess.run(["rm", "-r", str(folder)], check=True)
            sets = [f"--set={key}={value}" for key, value in (COMMON | settings).items()]
            done = self.call("train", "--preset", "fashion-quick", "--seed", seed, "--out", name,
                             "--device", "cpu", *sets)
            diverged = re.search(r"training diverged: (.*?)\. Gave up", done.stderr)
            if "Trained" not in done.stdout and not diverged:
                raise SystemExit(f"{name} did not end: {done.stderr}")
            verdict.write_text(json.dumps({"diverged": diverged and diverged.group(1)}))
            print(name, "diverged" if diverged else "done", flush=True)
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return Run(folder, lines, json.loads(verdict.read_text())["diverged"])

    def judge(self):
        """A plain classifier of the same data, which never sees a sample while it learns."""
        settings = {"objective.p_x_weight": 0, "data.crop_padding": 2, "data.horizontal_flip": "true",
                    "training.epochs": 13, "optimizer.decay_epochs": "[8, 11]"}
        return self.train("judge", 100, settings)

    def sample(self, run, judge, seed, *more):
        """Traces of fresh chains of a run, ten per class, a row per step and chain."""
        out = run.folder / "samples-fresh"
        if not (out / "traces.csv").exists():
            done = self.call("sample", "--checkpoint", run.checkpoint, "--judge", judge.checkpoint, "--out",
                             out, "--steps", 100, "--seed", seed, "--device", "cpu", *more)
            if done.returncode != 0:
                raise SystemExit(done.stderr)
        with open(out / "traces.csv") as file:
            return list(csv.DictReader(file))


class Run:
    def __init__(self, folder, lines, diverged):
        self.folder, self.diverged = folder, diverged
        self.checkpoint = folder / "checkpoint.safetensors"
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


def step_sizes(runs):
    """(a) SGLD against Proximal SGLD over step sizes: how many runs diverge."""
    rows = []
    for step_size in [1, 10, 30, 100]:
        for sampler in ["sgld", "proximal-sgld"]:
            for seed in range(3):
                settings = {"sampler.kind": sampler, "sampler.step_size": step_size, "training.epochs": 2,
                            "sampler.noise_std": 0.01, "sampler.num_steps": 10, "training.eval_every_epochs": 2}
                run = runs.train(f"a-{sampler}-{step_size}-{seed}", seed, settings)
                rows.append({"sampler": sampler, "step_size": step_size, "seed": seed,
                             "diverged": int(bool(run.diverged)), "steps": len(run.steps),
                             "reason": run.diverged or "", "accuracy": run.last("test_accuracy"),
                             "gap": run.mean("gap"), "saturation": run.mean("saturation")})
    write("a", rows)


def starts(runs):
    """(b) Uniform noise against class centres: energy gap, steps until a fixed classifier names the sample."""
    judge, rows = runs.judge(), []
    for start in ["uniform", "class-centers"]:
        for seed in range(3):
            run = runs.train(f"b-{start}-{seed}", seed, {"sampler.start": start, "sampler.num_steps": 10})
            traces = [] if run.diverged else runs.sample(run, judge, seed, "--start", start)
            chains = {}
            for row in traces:
                chains.setdefault(row["chain"], []).append(row)
            for step in range(101) if traces else []:
                at = [chain[step] for chain in chains.values()]
                named = [float(row["judged_confidence"]) >= NAMED for row in at]
                own = [named and row["judged_class"] == row["class"] for row, named in zip(at, named)]
                energies = [float(row["energy"]) for row in at]
                rows.append({"start": start, "seed": seed, "step": step, "diverged": 0,
                             "named": statistics.fmean(named), "named_as_start": statistics.fmean(own),
                             "energy_gap": run.last("test_energy") - statistics.fmean(energies),
                             "training_gap": run.mean("gap"), "accuracy": run.last("test_accuracy")})
            if not traces:
                rows.append({"start": start, "seed": seed, "step": "", "diverged": 1})
    write("b", rows)


SAMPLERS = {
    "SGLD-20": {"sampler.kind": "sgld", "sampler.num_steps": 20, "sampler.noise_std": 0.01},
    "PYLD-10-5": {"sampler.num_steps": 10},
    "PYLD-5-5": {"sampler.num_steps": 5},
    "PYLD-5-5 split 2": {"sampler.num_steps": 5, "model.split": 2},
    "PYLD-5-5 split 3": {"sampler.num_steps": 5, "model.split": 3},
}


def samplers(runs):
    """(c) PYLD M×N with affine and other splits against SGLD-K: time, accuracy, distance of the samples."""
    rows = []
    distance = Distance()
    for name, settings in SAMPLERS.items():
        for seed in range(2):
            run = runs.train(f"c-{name.replace(' ', '-')}-{seed}", seed, settings)
            rows.append({"sampler": name, "seed": seed, "diverged": int(bool(run.diverged)),
                         "millis_per_step": run.millis_per_step(), "accuracy": run.last("test_accuracy"),
                         "distance": "" if run.diverged else distance.of(run.checkpoint),
                         "gap": run.mean("gap"), "distance_floor": distance.floor})
    write("c", rows)


def norms(runs):
    """(d) Batch norm with and without informative starts."""
    rows = []
    distance = Distance()
    for norm in ["batch", "none"]:
        for start in ["class-centers", "uniform"]:
            for seed in range(2):
                settings = {"model.arch": "wrn-10-1", "model.norm": norm, "sampler.start": start,
                            "training.epochs": 2, "optimizer.decay_epochs": "[]"}
                run = runs.train(f"d-{norm}-{start}-{seed}", seed, settings)
                rows.append({"norm": norm, "start": start, "seed": seed, "diverged": int(bool(run.diverged)),
                             "steps": len(run.steps), "reason": run.diverged or "",
                             "accuracy": run.last("test_accuracy"), "gap": run.mean("gap"),
                             "distance": "" if run.diverged else distance.of(run.checkpoint)})
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
    parser.add_argument("--jempp", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("which", nargs="*", default=["a", "b", "c", "d"], metavar="a b c d")
    arguments = parser.parse_args()
    all_runs = Runs(arguments.jempp, arguments.work)
    for which in arguments.which:
        {"a": step_sizes, "b": starts, "c": samplers, "d": norms}[which](all_runs)
