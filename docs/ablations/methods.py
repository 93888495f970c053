#!/usr/bin/env python3
"""Compares ways to train a joint energy-based model, with equal work and several seeds: docs/ablations.md, (e).

    python3 docs/ablations/methods.py prepare --work DIR --fashion DIR [--mnist FILE]   # once: the images
    python3 docs/ablations/methods.py run --work DIR --jempp target/release/jempp       # hours; stop and repeat at will
    python3 docs/ablations/methods.py table --work DIR                                  # what there is so far

DIR of --fashion holds the four official files of Fashion-MNIST; --mnist is MNIST's t10k-images-idx3-ubyte, for the AUROC.
`run` first tries the candidates of each method on held-out training images and chooses (`choose`), then trains all
methods, seeds in the outer loop, and measures them on the test images. After each run it writes methods.json and
methods.md to DIR. One process works at a time. A run whose record is there, or beside this script, is not done again; one that was interrupted
(Ctrl-C, SIGTERM) is resumed exactly. What is measured may change later: then the models are measured again, not trained.
Needs only Python's standard library.
"""

import argparse
import fcntl
import gzip
import hashlib
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

# ---- Equal work ----------------------------------------------------------------------------------------------------
# One pass is one gradient on one batch, by the images or by the weights. Every method may use NUM_PASSES. Methods that use
# more passes for an update make fewer updates. The length is rounded to whole epochs, so it is within 5 % of NUM_PASSES.
NUM_PASSES = 12_000
NUM_TRAIN, NUM_HELD_OUT, BATCH = 5_000, 10_000, 50
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
JEM = {"sampler.kind": "sgld", "sampler.num_steps": 20, "sampler.step_size": 1, "sampler.noise_std": 0.01,
       "sampler.start": "uniform"}
# Chains and data with the same noise, SGLD at one temperature, as docs/showcase.md has it for the built-in models. The noise is so
# small that the classifier need not see it. Chains are judged without it, after the step that removes it.
def sampling(data_noise, step_size, noise):
    return {"sampler.kind": "sgld", "sampler.num_steps": 5, "sampler.step_size": step_size, "sampler.noise_std": noise,
            "sampler.denoise_step": round(step_size / (1 - math.sqrt(1 - (noise / data_noise) ** 2)), 3),
            "data.input_noise_std": data_noise, "data.classify_noisy": "false",
            "objective.gap_loss": "softplus", "objective.energy_l2_weight": 0.01,
            "replay_buffer.replay_buffer_size": 1000, "replay_buffer.reinit_prob": 0.01}


SHOWCASE = {"objective.p_x_weight": 0.2, "objective.gap_loss": "softplus", "objective.energy_l2_weight": 0.01,
            "sampler.step_schedule": "cosine"}
NO_NOISE = {"data.input_noise_std": 0}
LOGISTIC = {"objective.gap_loss": "logistic"}
NORMALIZED = {"sampler.kind": "normalized-gradient", "sampler.num_steps": 5, "sampler.step_size": 0.5}
NO_CHAINS = {"objective.p_x_weight": 0}
# DAT's radius. Seven steps as in Madry et al.; they make the number of updates come out even.
ADVERSARIAL = {"objective.adversarial_norm": "l2", "objective.adversarial_radius": 0.5, "objective.adversarial_steps": 7}

# Each method has candidates, of which the held-out images choose one, and each candidate has stages: a later stage resumes
# the run with other settings, so it names every setting that the one before has changed. `share` is the share of the passes
# that a stage may use.
METHODS = {
    # The same network without chains, at twice as many updates as JEM++ and a quarter of the passes. Not part of the
    # comparison: it shows what accuracy costs.
    "classifier": {"": [JEMPP | NO_CHAINS | {"share": 1 / 4}]},
    # The official setting: SGLD with K = 20, no clamp of any kind, starts from uniform noise. Its learning rate is 1e-4.
    "JEM": {"learning rate 1e-3": [JEM], "learning rate 1e-4": [JEM | {"optimizer.learning_rate": 1e-4}]},
    "JEM++": {"": [JEMPP]},
    "JEM++, no data noise": {"": [JEMPP | NO_NOISE]},
    "softplus gap": {"": [JEMPP | {"objective.gap_loss": "softplus"}]},
    # Softplus, no data noise, a fifth of the weight, energies near 0, step sizes that fall: docs/showcase.md.
    "showcase recipe": {"": [JEMPP | NO_NOISE | SHOWCASE]},
    "noise of one temperature": {
        "data noise 0.06": [sampling(0.06, 0.2, 0.036)],
        "data noise 0.1": [sampling(0.1, 0.15, 0.042)],
    },
    "logistic": {"": [JEMPP | LOGISTIC]},
    # DAT's step is 0.1 in pixels from 0 to 1, so 0.2 in x, but with up to 50 steps. These chains have 5 and a buffer.
    "logistic, normalised steps": {
        "steps of 0.2": [NORMALIZED | LOGISTIC | {"sampler.step_size": 0.2}],
        "steps of 0.5": [NORMALIZED | LOGISTIC],
        "steps of 1": [NORMALIZED | LOGISTIC | {"sampler.step_size": 1}],
        # Passes are counted as if chains had 8 steps from the start.
        "steps of 0.5, from 2 to 8": [NORMALIZED | LOGISTIC | {"sampler.num_steps": 2, "training.max_chain_steps": 8}],
    },
    # The usual radius is 0.05.
    "SAM": {f"ρ = {rho}": [JEMPP | {"optimizer.sam_radius": rho}] for rho in (0.02, 0.05)},
    # SADA-JEM's released radius is 2, for a WideResNet.
    "adaptive SAM": {
        f"ρ = {rho}": [JEMPP | {"optimizer.sam_kind": "adaptive", "optimizer.sam_radius": rho}] for rho in (0.2, 0.5, 2)
    },
    "AT": {"": [JEMPP | NO_CHAINS | NO_NOISE | ADVERSARIAL]},
    # First adversarial training alone, then with chains. Chains persist: five fresh steps would not leave their starts.
    "DAT": {"": [NORMALIZED | NO_CHAINS | NO_NOISE | ADVERSARIAL | {"share": 1 / 3, "optimizer.schedule": "steps"},
                 NORMALIZED | LOGISTIC | NO_NOISE | ADVERSARIAL | {"share": 2 / 3, "objective.p_x_weight": 1}]},
    "EB-JDAT": {
        f"weight {weight}": [JEMPP | ADVERSARIAL | {"objective.adversarial_gap_weight": weight}] for weight in (0.1, 1)
    },
    "R1": {f"γ = {gamma}": [JEMPP | {"objective.gradient_penalty_weight": gamma}] for gamma in (0.1, 1)},
}


def passes(settings):
    """Passes of one update, each a gradient on one batch."""
    s = COMMON | settings
    weight = lambda key: float(s.get(f"objective.{key}", 0))
    has_chains = float(s.get("objective.p_x_weight", 1)) > 0
    attacked, penalty = weight("adversarial_radius") > 0, weight("gradient_penalty_weight") > 0
    gap = attacked and weight("adversarial_gap_weight") > 0
    # By the images: the chains, the attacks, the direction of the penalty's probes.
    chain_steps = max(int(s.get("sampler.num_steps", 0)), int(s.get("training.max_chain_steps", 0)))
    attacks = (attacked + gap) * int(s.get("objective.adversarial_steps", 0))
    by_images = has_chains * chain_steps + attacks + penalty
    # By the weights: the images of the cross entropy, those of the energy, the chains, images of high energy, two probes.
    by_weights = 1 + (has_chains or penalty) + has_chains + gap + 2 * penalty
    return by_images + by_weights * (2 if float(s.get("optimizer.sam_radius", 0)) > 0 else 1)


def split(stages, length=1.0):
    """Stages as (settings, epochs), for a run of `length` times the usual work."""
    found = []
    for stage in stages:
        settings = dict(stage)
        work = settings.pop("share", 1) * length * NUM_PASSES
        found.append((settings, max(1, round(work / passes(settings) / UPDATES_PER_EPOCH))))
    return found


# ---- What is measured ----------------------------------------------------------------------------------------------
# The attacks know the whole model, which has no defence besides its training: PGD, then APGD-CE and APGD-DLR on what is
# left. Long chains are most of the work, so there are fewer of them.
MEASURE = {
    "eval.num_ood": 1000, "eval.num_attacked": 500, "eval.linf_radii": "[8]", "eval.l2_radii": "[0.5]",
    "eval.attack": "all", "eval.attack_steps": 20, "eval.attack_restarts": 2, "eval.refine_steps": 0, "eval.num_samples": 500,
}
LONG_CHAIN, NUM_LONG_CHAINS = 2000, 100
# Where the records of each stage are together.
RECORDS = {"run": "methods.json", "pilot": "pilots.json"}
PILOT_LENGTH = 0.5
MEASURED = {"pilot": ["accuracy", "calibration", "attack", "samples"]}
MEASURED["run"] = [*MEASURED["pilot"], "ood"]
# A run ran away if the program's own check ended it (`divergence` in `jempp config`, default bounds), or if over its last
# LAST updates the gap |d| or the gradient norm r along the chains is above this on average: chains are no images then.
LAST, MAX_GAP, MAX_GRADIENT = 100, 3.0, 3.0

# The columns of the table: the number, its title, and the factor to show it with.
COLUMNS = [
    ("accuracy", "accuracy, %", 100), ("ece", "ECE, %", 100), ("ece_scaled", "ECE after temperature, %", 100),
    ("frechet_100", "Fréchet, 100 steps", 1), (f"frechet_{LONG_CHAIN}", f"Fréchet, {LONG_CHAIN:,} steps", 1),
    ("frechet_buffer", "Fréchet, buffer", 1), ("linf_8", "L∞ 8/255, %", 100), ("l2_0.5", "L2 0.5, %", 100),
    ("auroc", "AUROC, %", 100),
]


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
        verdict = run / "verdict.json"
        if verdict.exists():
            return json.loads(verdict.read_text())
        total = sum(epochs for _, epochs in stages)
        epochs, reason = 0, None
        for settings, more in stages:
            epochs += more
            # The accuracy is measured once, at the end.
            sets = COMMON | settings | {"training.eval_every_epochs": total, "data.dir": images}
            sets = [f"--set={key}={value}" for key, value in sets.items()]
            if (run / f"trained-{epochs}").exists():
                continue
            if (run / "checkpoint.safetensors").exists():
                # These keys belong to a run and stay as they are.
                fixed = ("--set=data.", "--set=model.", "--set=class_centers.", "--set=replay_buffer.")
                start = ["--resume", run, *(one for one in sets if not one.startswith(fixed))]
            else:
                shutil.rmtree(run, ignore_errors=True)
                start = ["--preset", "fashion-quick", "--seed", seed, "--out", run, *sets]
            status, out, err = self.call("train", *start, "--epochs", epochs, "--device", "cpu")
            diverged = re.search(r"training diverged: (.*?)\. Gave up", err)
            if diverged:
                reason = diverged.group(1)
                break
            if status != 0 or "Trained" not in out:
                raise SystemExit(f"{run.name} did not end: {err or out}")
            (run / f"trained-{epochs}").touch()
        verdict.write_text(json.dumps(reason))
        return reason

    def evaluate(self, run, name, parts, steps):
        """Measures parts of a model, unless that was done with the same settings."""
        out, done = run / name, run / f"{name}-done.json"
        settings = MEASURE | {"eval.sample_steps": steps}
        if steps == LONG_CHAIN:
            settings["eval.num_samples"] = NUM_LONG_CHAINS
        sets = [f"--set={key}={value}" for key, value in settings.items() if uses(key, parts)]
        mnist = self.folder / "mnist-t10k-images-idx3-ubyte"
        wanted = [*parts, *(["--ood", str(mnist)] if "ood" in parts and mnist.exists() else []), *sets]
        if not done.exists() or json.loads(done.read_text()) != wanted:
            checkpoint = run / "checkpoint.safetensors"
            more = ["--checkpoint", checkpoint, "--out", out, "--force", "--device", "cpu"]
            status, said, err = self.call("eval", *wanted, *more)
            if status != 0:
                raise SystemExit(f"{run.name} was not measured: {err or said}")
            done.write_text(json.dumps(wanted))
        return json.loads((out / "results.json").read_text())

    def record(self, stage, method, candidate, seed):
        """The file of a run's record."""
        words = re.sub(r"[^a-z0-9.+]+", "-", f"{method} {candidate}".lower()).strip("-")
        return self.folder / stage / f"{words}-{seed}.json"

    def restore(self):
        """Takes over the records beside this script, of runs that were done elsewhere."""
        for stage, name in RECORDS.items():
            kept = Path(__file__).with_name(name)
            for found in json.loads(kept.read_text()) if kept.exists() else []:
                record = self.record(stage, found["method"], found["candidate"], found["seed"])
                if not record.exists():
                    record.parent.mkdir(parents=True, exist_ok=True)
                    record.write_text(json.dumps(found, indent=1))

    def one(self, stage, method, candidate, seed):
        """Does a run unless its record is there; gives the record. The stage `pilot` measures on held-out images."""
        stages, key = plan(stage, method, candidate)
        record = self.record(stage, method, candidate, seed)
        words = record.stem.removesuffix(f"-{seed}")
        if record.exists() and (found := json.loads(record.read_text()))["key"] == key:
            return found
        run = self.folder / stage / f"{words}-{seed}-{digest([COMMON, stages])}"
        run.parent.mkdir(parents=True, exist_ok=True)
        start = time.time()
        reason = self.train(run, self.folder / {"pilot": "held-out", "run": "images"}[stage], stages, seed)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        steps = [line for line in lines if "loss" in line]
        mean = lambda what: statistics.fmean(line[what] for line in steps[-LAST:])
        updates = [epochs * UPDATES_PER_EPOCH for _, epochs in stages]
        found = {
            "method": method, "candidate": candidate, "seed": seed, "key": key,
            "work": [[passes(settings), count] for (settings, _), count in zip(stages, updates)],
            "updates": len(steps), "reason": reason, "gap": mean("gap"), "gradient_norm": mean("gradient_norm"),
            "train_secs": steps[-1]["elapsed_secs"],
        }
        found["ran_away"] = reason is not None or abs(found["gap"]) > MAX_GAP or found["gradient_norm"] > MAX_GRADIENT
        if reason is None:
            found |= numbers(self.evaluate(run, "eval", MEASURED[stage], 100), 100)
            if stage == "run":
                found |= numbers(self.evaluate(run, "eval-long", ["samples"], LONG_CHAIN), LONG_CHAIN)
        record.write_text(json.dumps(found, indent=1))
        names = ("accuracy", "ece", "frechet_100", f"frechet_{LONG_CHAIN}", "linf_8")
        shown = [f"{name} {found[name]:.3f}" for name in names if name in found]
        end = f"ran away after {len(steps)} updates ({reason or 'chains lost'})" if found["ran_away"] else "done"
        shown = [f"d {found['gap']:.2f}", f"r {found['gradient_norm']:.2f}", *shown, f"{time.time() - start:.0f} s"]
        what = f"{stage}: {', '.join(filter(None, [method, candidate]))}, seed {seed}: {end},"
        print(time.strftime("%H:%M:%S"), what, ", ".join(shown), flush=True)
        return found


def plan(stage, method, candidate):
    """The stages of a run as (settings, epochs), and a key that changes when anything about the run changes."""
    stages = split(METHODS[method][candidate], {"pilot": PILOT_LENGTH, "run": 1}[stage])
    long = [LONG_CHAIN, NUM_LONG_CHAINS] if stage == "run" else LONG_CHAIN
    return stages, digest([COMMON, MEASURE, MEASURED[stage], long, stages])


def digest(what):
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def choose(pilots):
    """The candidate with the smallest Fréchet distance of those that did not run away and have an accuracy within 1.5 points of
    the best; if all ran away, the one that lasted longest."""
    good = [pilot for pilot in pilots if not pilot["ran_away"]]
    if not good:
        return max(pilots, key=lambda pilot: pilot["updates"])["candidate"]
    best = max(pilot["accuracy"] for pilot in good)
    near = [pilot for pilot in good if pilot["accuracy"] > best - 0.015]
    return min(near, key=lambda pilot: pilot["frechet_100"])["candidate"]


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
        log_p_x = lambda scores: next(one["auroc"]["value"] for one in scores if one["score"] == "log_p_x")
        sets = {one["name"]: log_p_x(one["scores"]) for one in results["ood"]["sets"]}
        found |= {"auroc": statistics.fmean(sets.values()), "auroc_by_set": sets}
    for curve in results["attack"]["curves"] if results["attack"] else []:
        if curve["defence"] == "none":
            found |= {f"{curve['norm']}_{e:g}": point["value"] for e, point in curve["points"] if e > 0}
    for group in results["samples"]["sets"] if results["samples"] else []:
        value = group["frechet"]["value"]
        if group["name"] == "fresh chains":
            found |= {f"frechet_{steps}": value, f"class_agreement_{steps}": group["class_agreement"]["value"]}
        else:
            name = {"test images": "frechet_floor", "replay buffer": "frechet_buffer"}[group["name"]]
            found[name if steps != LONG_CHAIN else f"{name}_{steps}"] = value
    return found


def table(records):
    """The Markdown table: mean ± standard deviation over the seeds that did not run away."""
    rows = ["| method | passes × updates | ran away | " + " | ".join(title for _, title, _ in COLUMNS) + " |",
            "|---|---:|---:|" + "---:|" * len(COLUMNS)]
    for name in dict.fromkeys((record["method"], record["candidate"]) for record in records):
        runs = [record for record in records if (record["method"], record["candidate"]) == name]
        good = [run for run in runs if not run["ran_away"]]
        work = " + ".join(f"{each} × {count:,}" for each, count in runs[0]["work"])
        cells = []
        for key, _, factor in COLUMNS:
            values = [factor * run[key] for run in good if key in run]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):.1f}{spread}" if values else "")
        start = [", ".join(filter(None, name)), work, f"{len(runs) - len(good)} of {len(runs)}"]
        rows.append(f"| {' | '.join(start + cells)} |")
    counts = {"frechet_floor": MEASURE["eval.num_samples"], f"frechet_floor_{LONG_CHAIN}": NUM_LONG_CHAINS}
    for key, count in counts.items():
        floors = [record[key] for record in records if key in record]
        if floors:
            rows += ["", f"{count} real test images have a Fréchet distance of {statistics.fmean(floors):.1f}."]
    return "\n".join(rows) + "\n"


def prepare(work, fashion, mnist):
    """Writes the first NUM_TRAIN training images twice: with the test images, and with the last NUM_HELD_OUT of training."""
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
    parser.add_argument("what", choices=["prepare", "run", "table"])
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--jempp")
    parser.add_argument("--fashion", type=Path)
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], metavar="METHOD", help="these methods alone")
    arguments = parser.parse_args()
    work = Work(arguments.work, arguments.jempp)
    if arguments.what == "prepare":
        return prepare(work, arguments.fashion, arguments.mnist)
    if arguments.what == "run":
        unknown = set(arguments.only) - set(METHODS)
        if unknown or not work.jempp:
            parser.error(f"no method {', '.join(unknown)}; there are {', '.join(METHODS)}" if unknown else "--jempp is missing")
        # A signal ends the script as Ctrl-C does, so that jempp saves.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        lock = open(work.folder / "pid", "a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another process works in {work.folder}")
        lock.truncate(0)
        print(os.getpid(), file=lock, flush=True)
        work.restore()
        names = [name for name in METHODS if not arguments.only or name in arguments.only]
        chosen = {}
        for name in names:
            candidates = list(METHODS[name])
            chosen[name] = candidates[0]
            if len(candidates) > 1:
                chosen[name] = choose([work.one("pilot", name, candidate, 0) for candidate in candidates])
            save(work)
        for seed in range(arguments.seeds):
            for name in names:
                work.one("run", name, chosen[name], seed)
                save(work)
    save(work)
    print((work.folder / "methods.md").read_text())


def save(work):
    """Writes all records of the present settings, and the tables of the runs and of the pilots."""
    order = [(name, candidate) for name, candidates in METHODS.items() for candidate in candidates]
    place = lambda record: order.index((record["method"], record["candidate"]))
    is_present = lambda record: (record["method"], record["candidate"]) in order and record["key"] == plan(
        stage, record["method"], record["candidate"])[1]
    text = ""
    for stage, title in (("run", "Test images"), ("pilot", "Candidates on held-out images, half the work, one seed")):
        records = [json.loads(path.read_text()) for path in (work.folder / stage).glob("*.json")]
        records = sorted(filter(is_present, records), key=lambda record: (place(record), record["seed"]))
        (work.folder / RECORDS[stage]).write_text(json.dumps(records, indent=1) + "\n")
        text += f"## {title}\n\n{table(records)}\n"
    (work.folder / "methods.md").write_text(text)


if __name__ == "__main__":
    main()
