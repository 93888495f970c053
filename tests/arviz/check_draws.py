"""Compares what `jempp sample --diagnose` says with ArviZ, and with NumPy and SciPy where ArviZ has no word.

    python3 tests/arviz/check_draws.py runs/samples

The folder holds draws.csv, diagnostics.json and traces.csv; several may be named. Needs arviz 0.23.
"""

import json
import sys
from pathlib import Path

import arviz
import numpy as np
import pandas
from scipy.stats import ks_2samp

TOLERANCE = 1e-6


def nested_r_hat(draws, superchains):
    """Of draws (chains, draws), arXiv:2110.13017, written down once more."""
    groups = [draws[superchains == group] for group in np.unique(superchains)]
    means = [group.mean() for group in groups]
    several = len(groups[0]) > 1
    spreads = [
        (group.mean(axis=1).var(ddof=1) if several else 0.0) + group.var(axis=1, ddof=1).mean()
        for group in groups
    ]
    return np.sqrt(1.0 + np.var(means, ddof=1) / np.mean(spreads))


def superchains_of(said, traces):
    """As the report names them."""
    name, chains = said["superchains"], np.arange(said["num_chains"])
    if name.endswith("chains of a start"):
        return chains // int(name.split()[1])
    if name == "the chains of a class":
        return traces.xs(0, level="step")["class"].to_numpy()
    return chains if name == "every chain by itself" else 0 * chains


class Checks:
    def __init__(self):
        self.count, self.wrong = 0, 0

    def __call__(self, what, found, expected):
        self.count += 1
        if abs(found - expected) > TOLERANCE * max(1.0, abs(expected)):
            self.wrong += 1
            print(f"{what}: {found} instead of {expected}")


def main(folder):
    said = json.loads((folder / "diagnostics.json").read_text())
    frame = pandas.read_csv(folder / "draws.csv")
    traces = pandas.read_csv(folder / "traces.csv").set_index(["step", "chain"])
    order = list(zip(frame["draw"], frame["chain"]))
    assert order == sorted(order), "rows are sorted by draw, then chain"
    data = arviz.convert_to_inference_data(frame.set_index(["chain", "draw"]).to_xarray())
    superchains, check = superchains_of(said, traces), Checks()

    assert set(data.posterior.data_vars) == set(said["summaries"])
    for name, report in said["summaries"].items():
        draws = data.posterior[name].transpose("chain", "draw").to_numpy()
        assert draws.shape == (said["num_chains"], said["num_draws"])
        numbers = {key: value for key, value in report.items() if isinstance(value, float)}
        expected = {
            "split_r_hat": lambda: arviz.rhat(draws, method="rank"),
            "nested_r_hat": lambda: nested_r_hat(draws, superchains),
            "ess_bulk": lambda: arviz.ess(draws, method="bulk"),
            "ess_tail": lambda: arviz.ess(draws, method="tail"),
            "ess_per_sec": lambda: arviz.ess(draws, method="bulk") / said["secs"],
            "integrated_time": lambda: (
                said["steps_per_draw"] * draws.size / arviz.ess(draws, method="identity")
            ),
        }
        for key, value in numbers.items():
            check(f"{key} of {name}", value, float(expected[key]()))
        end = said["short_run"].get("summaries", {}).get(name)
        if end and "mean" in end["long"]:
            check(f"mean of {name} at the end", end["long"]["mean"], draws[:, -1].mean())
            check(f"deviation of {name} at the end", end["long"]["std"], draws[:, -1].std(ddof=1))
        # Without a schedule the short run is the beginning of the long one.
        short_steps = said["short_run"].get("num_steps")
        if end and name in traces and not said["caveats"] and "ks" in end["short_long"]:
            short = traces.xs(short_steps, level="step")[name]
            distance = ks_2samp(short, draws[:, -1].astype(np.float32)).statistic
            check(f"mean of {name} after {short_steps} steps", end["short"]["mean"], short.mean())
            check(f"D of {name}", end["short_long"]["ks"], distance)
    accepted = traces["acceptance_probability"].dropna()
    if len(accepted):
        late = accepted[accepted.index.get_level_values("step") >= said["warmup"]]
        check("acceptance", said["acceptance"]["probability"], late.mean())
    print(f"{folder}: {check.count} numbers against ArviZ {arviz.__version__}, {check.wrong} differ")
    return check.wrong


if __name__ == "__main__":
    sys.exit(any([main(Path(folder)) for folder in sys.argv[1:]]))
