#!/usr/bin/env python3
"""Compares ways to train a joint energy-based model, with equal work and several seeds: docs/ablations.md, (e).

    python3 docs/ablations/methods.py prepare --work DIR --fashion DIR [--mnist FILE]   # once: the images
    python3 docs/ablations/methods.py pilot --work DIR --jempp target/release/jempp     # settings, on held-out images
    python3 docs/ablations/methods.py run --work DIR --jempp target/release/jempp       # all methods, on the test set
    python3 docs/ablations/methods.py table --work DIR                                  # methods.json and methods.md

DIR of --fashion holds the four official files of Fashion-MNIST; --mnist is MNIST's t10k-images-idx3-ubyte, for the AUROC.
`pilot` and `run` do one run after another, seeds in the outer loop, so that every table has all methods. A run whose record
is there is not done again; one that was interrupted (Ctrl-C, SIGTERM) is resumed exactly. A method whose settings change
is run anew. Needs only Python's standard library.
"""

import argparse
import fcntl
import gzip
import hashlib
import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent

# ---- Equal work ----------------------------------------------------------------------------------------------------
# One pass is one gradient on one batch, by the images or by the weights. Every method may use NUM_PASSES. Methods that use
# more passes for an update make fewer updates. The length is rounded to whole epochs, so it is within 5 % of NUM_PASSES.
NUM_PASSES = 24_000
NUM_TRAIN, NUM_HELD_OUT, BATCH = 10_000, 10_000, 50
UPDATES_PER_EPOCH = NUM_TRAIN // BATCH

# ---- What all methods share ----------------------------------------------------------------------------------------
COMMON = {
    "data.dataset": "fashion-mnist",
    "data.batch_size": BATCH,
    # As in the showcase. Only the cross entropy sees the crops and mirror images (SADA-JEM).
    "data.crop_padding": 1,
    "data.horizontal_flip": "true",
    "data.augment_energy": "false",
    # JEM and JEM++ train with this noise on the data. It is what makes small networks without norm run away
    # (docs/showcase.md), so it shows which method prevents that.
    "data.input_noise_std": 0.03,
    "model.arch": "cnn-small",
    "class_centers.max_components": 64,
    "replay_buffer.replay_buffer_size": 2000,
    "replay_buffer.reinit_prob": 0.05,
    "optimizer.learning_rate": 1e-3,
    "optimizer.warmup_steps": 100,
    "optimizer.schedule": "cosine",
    # A run that diverges ends there.
    "divergence.max_recoveries": 0,
}
JEMPP = {"sampler.kind": "pyld", "sampler.num_steps": 5, "sampler.num_inner_steps": 5, "sampler.inner_step_size": 0.2}
NO_NOISE = {"data.input_noise_std": 0}
LOGISTIC = {"objective.gap_loss": "logistic"}
NORMALIZED = {"sampler.kind": "normalized-gradient", "sampler.num_steps": 5, "sampler.step_size": 0.5}
NO_CHAINS = {"objective.p_x_weight": 0}
# DAT's radius. Seven steps as in Madry et al.; they make the number of updates come out even.
ADVERSARIAL = {"objective.adversarial_norm": "l2", "objective.adversarial_radius": 0.5, "objective.adversarial_steps": 7}

# Each method is a list of stages; a later stage resumes the run with other settings. `share` is its share of the passes.
METHODS = {
    # The same network without chains, at as many updates as JEM++: an eighth of its passes. Not part of the comparison.
    "classifier": [JEMPP | NO_CHAINS | {"share": 1 / 4}],
    # The official setting: SGLD with K = 20, no clamp of any kind, starts from uniform noise.
    "JEM": [{"sampler.kind": "sgld", "sampler.num_steps": 20, "sampler.step_size": 1, "sampler.noise_std": 0.01,
             "sampler.start": "uniform"}],
    "JEM++": [JEMPP],
    "JEM++, no data noise": [JEMPP | NO_NOISE],
    "softplus gap": [JEMPP | {"objective.gap_loss": "softplus"}],
    "logistic": [JEMPP | LOGISTIC],
    "logistic, normalised steps": [NORMALIZED | LOGISTIC],
    "SAM": [JEMPP | {"optimizer.sam_radius": 0.05}],
    "adaptive SAM": [JEMPP | {"optimizer.sam_kind": "adaptive", "optimizer.sam_radius": 2}],
    "AT": [JEMPP | NO_CHAINS | NO_NOISE | ADVERSARIAL],
    # First adversarial training alone, then with chains.
    "DAT": [NORMALIZED | NO_CHAINS | NO_NOISE | ADVERSARIAL | {"share": 1 / 3, "optimizer.schedule": "steps"},
            NORMALIZED | LOGISTIC | NO_NOISE | ADVERSARIAL | {"share": 2 / 3}],
    "EB-JDAT": [JEMPP | ADVERSARIAL | {"objective.adversarial_gap_weight": 1}],
    "R1": [JEMPP | {"objective.gradient_penalty_weight": 1}],
}

# Settings to choose from: one seed, half the length, measured on the held-out images.
HALF = {"share": 1 / 2}
PILOTS = {
    "logistic, normalised steps of 0.5": [NORMALIZED | LOGISTIC | HALF],
    "adaptive SAM, 2": [JEMPP | {"optimizer.sam_kind": "adaptive", "optimizer.sam_radius": 2} | HALF],
    "R1, 1": [JEMPP | {"objective.gradient_penalty_weight": 1} | HALF],
    "EB-JDAT, 1": [JEMPP | ADVERSARIAL | {"objective.adversarial_gap_weight": 1} | HALF],
    "SAM, 0.05": [JEMPP | {"optimizer.sam_radius": 0.05} | HALF],
    "logistic, normalised steps of 0.2": [NORMALIZED | LOGISTIC | {"sampler.step_size": 0.2} | HALF],
    "logistic, normalised steps of 1": [NORMALIZED | LOGISTIC | {"sampler.step_size": 1} | HALF],
    "adaptive SAM, 0.5": [JEMPP | {"optimizer.sam_kind": "adaptive", "optimizer.sam_radius": 0.5} | HALF],
    "R1, 0.1": [JEMPP | {"objective.gradient_penalty_weight": 0.1} | HALF],
    "EB-JDAT, 0.1": [JEMPP | ADVERSARIAL | {"objective.adversarial_gap_weight": 0.1} | HALF],
    "curriculum of 2 to 8": [NORMALIZED | LOGISTIC | {"sampler.num_steps": 2, "training.max_chain_steps": 8} | HALF],
    "JEM, 1e-4": [METHODS["JEM"][0] | {"optimizer.learning_rate": 1e-4}],
}


def passes(settings):
    """Passes of one update, each a gradient on one batch."""
    s = COMMON | settings
    weight = lambda key: float(s.get(f"objective.{key}", 0))
    has_chains = float(s.get("objective.p_x_weight", 1)) > 0
    attacked, gap, penalty = weight("adversarial_radius") > 0, weight("adversarial_gap_weight") > 0, weight("gradient_penalty_weight") > 0
    # By the images: the chains, the attacks, the direction of the penalty's probes.
    chain_steps = max(int(s.get("sampler.num_steps", 0)), int(s.get("training.max_chain_steps", 0)))
    by_images = has_chains * chain_steps + (attacked + (attacked and gap)) * int(s.get("objective.adversarial_steps", 0)) + penalty
    # By the weights: the images of the cross entropy, those of the energy, the chains, images of high energy, two probes.
    by_weights = 1 + (has_chains or penalty) + has_chains + (attacked and gap) + 2 * penalty
    return by_images + by_weights * (2 if float(s.get("optimizer.sam_radius", 0)) > 0 else 1)


def split(stages):
    """Stages as (settings, epochs)."""
    found = []
    for stage in stages:
        settings = dict(stage)
        work = settings.pop("share", 1) * NUM_PASSES
        found.append((settings, max(1, round(work / passes(settings) / UPDATES_PER_EPOCH))))
    return found


# ---- What is measured ----------------------------------------------------------------------------------------------
# The attack knows the whole model: it has no defence besides its training. 500 chains, because those of 2,000 steps
# are most of the work.
MEASURE = {
    "eval.num_ood": 1000, "eval.num_attacked": 500, "eval.linf_radii": "[8]", "eval.l2_radii": "[0.5]",
    "eval.attack_steps": 20, "eval.attack_restarts": 2, "eval.refine_steps": 0, "eval.num_samples": 500,
}
LONG_CHAIN = 2000
MEASURED = {"pilot": ["accuracy", "calibration", "attack", "samples"], "run": ["accuracy", "calibration", "ood", "attack", "samples"]}
# A run ran away if the program's own check ended it (`divergence` in `jempp config`, default bounds), or if over its last
# LAST updates the gap |d| or the gradient norm r along the chains is above this on average: chains are no images then.
LAST, MAX_GAP, MAX_GRADIENT = 100, 3.0, 3.0

COLUMNS = [("accuracy", "accuracy, %", 100, 1), ("ece", "ECE, %", 100, 1), ("ece_scaled", "ECE after temperature, %", 100, 1),
           ("frechet_100", "Fréchet, 100 steps", 1, 1), (f"frechet_{LONG_CHAIN}", f"Fréchet, {LONG_CHAIN:,} steps", 1, 1),
           ("frechet_buffer", "Fréchet, buffer", 1, 1), ("linf_8", "L∞ 8/255, %", 100, 1), ("l2_0.5", "L2 0.5, %", 100, 1),
           ("auroc", "AUROC, %", 100, 1)]


class Work:
    def __init__(self, folder, jempp=None):
        self.folder = Path(folder).resolve()
        self.jempp = Path(jempp).resolve() if jempp else None

    def call(self, *arguments):
        """Runs jempp; when this script is told to stop, jempp saves first."""
        command = [str(self.jempp), *map(str, arguments)]
        child = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = child.communicate()
        except BaseException:
            child.terminate()
            child.wait()
            raise
        return child.returncode, out, err

    def train(self, run, images, stages, seed):
        """Trains a run to its end, or goes on with it; gives what stopped it early, if anything did."""
        epochs = 0
        for settings, more in split(stages):
            epochs += more
            sets = COMMON | settings | {"training.eval_every_epochs": epochs, "data.dir": images}
            sets = [f"--set={key}={value}" for key, value in sets.items()]
            if (run / "checkpoint.safetensors").exists():
                kept = ("--set=data.", "--set=model.", "--set=class_centers.", "--set=replay_buffer.")
                changes = [one for one in sets if not one.startswith(kept)]
                arguments = ["--resume", run, "--epochs", epochs, *changes]
                done = int(json.loads((run / "stages.json").read_text())) if (run / "stages.json").exists() else 0
                if done >= epochs:
                    continue
            else:
                shutil.rmtree(run, ignore_errors=True)
                arguments = ["--preset", "fashion-quick", "--seed", seed, "--out", run, "--epochs", epochs, *sets]
            status, out, err = self.call("train", *arguments, "--device", "cpu")
            diverged = re.search(r"training diverged: (.*?)\. Gave up", err)
            if diverged:
                return diverged.group(1)
            if status != 0 or "Trained" not in out:
                raise SystemExit(f"{run.name} did not end: {err or out}")
            (run / "stages.json").write_text(json.dumps(epochs))
        return None

    def evaluate(self, run, name, parts, steps):
        out = run / name
        if not json.loads((out / "made-by.json").read_text()).get("finished") if (out / "made-by.json").exists() else True:
            sets = [f"--set={key}={value}" for key, value in (MEASURE | {"eval.sample_steps": steps}).items()
                    if uses(key, parts)]
            mnist = self.folder / "mnist-t10k-images-idx3-ubyte"
            ood = ["--ood", mnist] if "ood" in parts and mnist.exists() else []
            status, out_text, err = self.call("eval", *parts, "--checkpoint", run / "checkpoint.safetensors", *ood, *sets,
                                              "--out", out, "--force", "--device", "cpu")
            if status != 0:
                raise SystemExit(f"{run.name} was not measured: {err or out_text}")
        return json.loads((out / "results.json").read_text())

    def one(self, stage, name, stages, seed, long):
        """Does a run unless its record is there; gives the record."""
        plain = re.sub(r"[^a-z0-9.+]+", "-", name.lower())
        record = self.folder / stage / f"{plain}-{seed}.json"
        key = hashlib.sha256(json.dumps([COMMON, MEASURE, split(stages)], sort_keys=True).encode()).hexdigest()[:12]
        if record.exists():
            found = json.loads(record.read_text())
            if found["key"] == key:
                return found
        run = self.folder / stage / f"{plain}-{seed}-{key}"
        run.parent.mkdir(parents=True, exist_ok=True)
        images, start = self.folder / ("images" if stage == "run" else "held-out"), time.time()
        reason = self.train(run, images, stages, seed)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        steps = [line for line in lines if "loss" in line]
        mean = lambda what: statistics.fmean(line[what] for line in steps[-LAST:]) if steps else None
        planned = sum(epochs * UPDATES_PER_EPOCH for _, epochs in split(stages))
        found = {"method": name, "seed": seed, "key": key, "stages": split(stages), "planned": planned, "updates": len(steps),
                 "passes": sum(epochs * UPDATES_PER_EPOCH * passes(settings) for settings, epochs in split(stages)),
                 "reason": reason, "gap": mean("gap"), "gradient_norm": mean("gradient_norm"),
                 "max_gradient_norm": max((line["gradient_norm"] for line in steps), default=None),
                 "train_secs": round(time.time() - start, 1)}
        found["ran_away"] = reason is not None or abs(found["gap"]) > MAX_GAP or found["gradient_norm"] > MAX_GRADIENT
        if reason is None:
            found |= numbers(self.evaluate(run, "eval", MEASURED[stage], 100), 100)
            if long:
                found |= numbers(self.evaluate(run, "eval-long", ["samples"], LONG_CHAIN), LONG_CHAIN)
        found["secs"] = round(time.time() - start, 1)
        record.write_text(json.dumps(found, indent=1))
        shown = [f"{key} {found[key]:.3f}" for key in ("accuracy", "ece", "frechet_100", f"frechet_{LONG_CHAIN}", "linf_8") if key in found]
        print(time.strftime("%H:%M:%S"), name, f"seed {seed}:", f"ran away ({reason or 'chains lost'})" if found["ran_away"] else "done",
              f"d {found['gap']:.2f} r {found['gradient_norm']:.2f}", *shown, f"{found['secs']:.0f} s", flush=True)
        return found


def uses(key, parts):
    """Whether one of the parts of an evaluation uses a key; jempp refuses keys that nothing uses."""
    users = {"num_ood": "ood", "num_samples": "samples", "sample_steps": "samples"}
    return users.get(key.removeprefix("eval."), "attack") in parts


def numbers(results, steps):
    """The numbers of the table from a results.json."""
    found = {}
    if results["accuracy"]:
        found["accuracy"] = results["accuracy"]["accuracy"]["value"]
    if results["calibration"]:
        found["ece"] = results["calibration"]["plain"]["expected"]["value"]
        found["ece_scaled"] = results["calibration"]["scaled"]["expected"]["value"]
        found["temperature"] = statistics.fmean(results["calibration"]["temperatures"])
    if results["ood"]:
        sets = {s["name"]: next(x["auroc"]["value"] for x in s["scores"] if x["score"] == "log_p_x") for s in results["ood"]["sets"]}
        found |= {"auroc": statistics.fmean(sets.values()), "auroc_by_set": sets}
    for curve in results["attack"]["curves"] if results["attack"] else []:
        if curve["defence"] == "none":
            found |= {f"{curve['norm']}_{e:g}": point["value"] for e, point in curve["points"] if e > 0}
    for group in results["samples"]["sets"] if results["samples"] else []:
        value = group["frechet"]["value"]
        if group["name"] == "fresh chains":
            found |= {f"frechet_{steps}": value, f"class_agreement_{steps}": group["class_agreement"]["value"]}
        else:
            found[{"test images": "frechet_floor", "replay buffer": "frechet_buffer"}[group["name"]]] = value
    return found


def table(records):
    """The Markdown table: mean ± standard deviation over the seeds that did not run away."""
    rows = ["| method | passes × updates | ran away | " + " | ".join(title for _, title, _, _ in COLUMNS) + " |",
            "|---|---:|---:|" + "---:|" * len(COLUMNS)]
    for name in dict.fromkeys(record["method"] for record in records):
        runs = [record for record in records if record["method"] == name]
        good = [run for run in runs if not run["ran_away"]]
        work = " + ".join(f"{passes(settings)} × {epochs * UPDATES_PER_EPOCH:,}" for settings, epochs in runs[0]["stages"])
        cells = []
        for key, _, factor, digits in COLUMNS:
            values = [factor * run[key] for run in good if key in run]
            spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):.{digits}f}{spread}" if values else "")
        rows.append(f"| {name} | {work} | {len(runs) - len(good)} of {len(runs)} | " + " | ".join(cells) + " |")
    floors = [record["frechet_floor"] for record in records if "frechet_floor" in record]
    if floors:
        rows += ["", f"As many real test images have a Fréchet distance of {statistics.fmean(floors):.1f}."]
    return "\n".join(rows) + "\n"


def prepare(work, fashion, mnist):
    """Writes the first NUM_TRAIN training images twice: with the test images, and with the last NUM_HELD_OUT training images."""
    kinds = [("images-idx3-ubyte", 16, 784), ("labels-idx1-ubyte", 8, 1)]
    official = {(part, kind): read(fashion, f"{part}-{kind}") for part in ("train", "t10k") for kind, _, _ in kinds}
    held_out = ("train", 60_000 - NUM_HELD_OUT, 60_000)
    for name, test in (("images", ("t10k", 0, 10_000)), ("held-out", held_out)):
        folder = work.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        for part, (source, first, end) in (("train", ("train", 0, NUM_TRAIN)), ("t10k", test)):
            for kind, header, size in kinds:
                body = official[source, kind]
                items = body[header + size * first: header + size * end]
                count = (end - first).to_bytes(4, "big")
                (folder / f"{part}-{kind}").write_bytes(body[:4] + count + body[8:header] + items)
    if mnist:
        shutil.copyfile(mnist, work.folder / "mnist-t10k-images-idx3-ubyte")


def read(folder, name):
    """The content of an official file, plain or gzipped."""
    plain = folder / name
    return plain.read_bytes() if plain.exists() else gzip.open(folder / f"{name}.gz").read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["prepare", "pilot", "run", "table"])
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--jempp")
    parser.add_argument("--fashion", type=Path)
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="methods, by a part of their names")
    arguments = parser.parse_args()
    work = Work(arguments.work, arguments.jempp)
    if arguments.what == "prepare":
        return prepare(work, arguments.fashion, arguments.mnist)
    # A signal ends the script as Ctrl-C does, so that jempp saves.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    stage = "pilot" if arguments.what == "pilot" else "run"
    if arguments.what != "table":
        work.folder.mkdir(parents=True, exist_ok=True)
        lock = open(work.folder / f"{stage}.lock", "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another {stage} works in {work.folder}")
        chosen = PILOTS if stage == "pilot" else METHODS
        for seed in range(1 if stage == "pilot" else arguments.seeds):
            for name, stages in chosen.items():
                if not arguments.only or any(part in name for part in arguments.only):
                    work.one(stage, name, stages, seed, long=stage == "run")
                    save(work, stage)
    save(work, stage)
    print((work.folder / f"{stage}.md").read_text())


def save(work, stage):
    """Writes all records of a stage and their table, in the order of the methods."""
    order = list(PILOTS if stage == "pilot" else METHODS)
    records = [json.loads(path.read_text()) for path in (work.folder / stage).glob("*.json")]
    records = sorted((r for r in records if r["method"] in order), key=lambda r: (order.index(r["method"]), r["seed"]))
    (work.folder / f"{stage}.json").write_text(json.dumps(records, indent=1) + "\n")
    (work.folder / f"{stage}.md").write_text(table(records))


if __name__ == "__main__":
    main()
