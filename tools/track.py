#!/usr/bin/env python3
"""Sends the measurements of a run to W&B, MLflow or trackio: the first of them that is installed, or the one that is named.

    python3 tools/track.py runs/first [wandb|mlflow|trackio]

The project is "jempp", the run has the name of its folder, and all of metrics.jsonl is sent, so call it at the end of a run.
"""
import importlib
import json
import sys
import tomllib
from pathlib import Path

TRACKERS = ["wandb", "mlflow", "trackio"]


def found(names):
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    sys.exit(f"not installed: {', '.join(names)}; pip install {names[0]}, for example")


if len(sys.argv) not in (2, 3) or sys.argv[2:] and sys.argv[2] not in TRACKERS:
    sys.exit(__doc__)
run = Path(sys.argv[1])
for name in ["config.toml", "metrics.jsonl"]:
    if not (run / name).is_file():
        sys.exit(f"{run} has no {name}, so it is no run of jempp train")
tracker = found(sys.argv[2:] or TRACKERS)
config = tomllib.loads((run / "config.toml").read_text())
lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
steps = [(line["step"], {key: value for key, value in line.items() if key != "step" and isinstance(value, (int, float))})
         for line in lines if "step" in line]
if tracker.__name__ == "mlflow":
    tracker.set_experiment("jempp")
    with tracker.start_run(run_name=run.resolve().name):
        tracker.log_params({f"{section}.{key}": value for section, keys in config.items() if isinstance(keys, dict)
                            for key, value in keys.items()} | {"seed": config.get("seed", 0)})
        for step, values in steps:
            tracker.log_metrics(values, step=step)
else:
    tracker.init(project="jempp", name=run.resolve().name, config=config)
    for step, values in steps:
        tracker.log(values, step=step)
    tracker.finish()
print(f"{len(steps)} lines of {run} are in {tracker.__name__}.")
