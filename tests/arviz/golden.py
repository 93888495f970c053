"""Writes what ArviZ says about some chains to golden.json, for `tests/pure/diagnostics.rs`.

    python3 tests/arviz/golden.py

Needs arviz 0.23. The chains are made of integers and of sums, products and quotients of doubles in a
fixed order, so that the test makes the same bits.
"""

import json
from pathlib import Path

import arviz
import numpy as np

# phi: of the AR(1) process; shift: from each chain to the next; stretch: chain c is (1 + stretch c) times
# as wide; drift: per draw; grid: values are rounded to its multiples, 0 for none.
PLAIN = dict(
    chains=4, draws=100, phi=0.0, shift=0.0, stretch=0.0, drift=0.0, grid=0.0, heavy=False
)
CASES = {
    "independent": dict(),
    "autocorrelated": dict(phi=0.9, draws=400),
    "antithetic": dict(phi=-0.5),
    "mildly antithetic": dict(phi=-0.2, draws=300),
    "odd": dict(phi=0.5, draws=101),
    "shifted": dict(phi=0.3, shift=3.0),
    "stretched": dict(stretch=1.0, draws=250),
    "drifting": dict(drift=0.02, draws=200),
    "heavy": dict(phi=0.2, heavy=True, draws=301),
    "grid": dict(phi=0.6, grid=0.5, draws=120),
    "coarse": dict(grid=4.0, draws=60),
    "two chains": dict(chains=2, draws=50, phi=0.7),
    "one chain": dict(chains=1, draws=200, phi=0.4),
    "many": dict(chains=32, draws=30, phi=0.8),
    "slow": dict(phi=0.995, draws=500),
    "four": dict(draws=4),
    "five": dict(draws=5, phi=0.5),
    "seven": dict(chains=3, draws=7),
    "ten": dict(chains=1, draws=10),
}
MAX_LAG = 5


def uniforms(seed):
    """Numbers in (0, 1) from Knuth's 64-bit linear congruential generator."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield ((state >> 11) + 0.5) / 2**53


def draws_of(case):
    """Array of (chains, draws)."""
    random = uniforms(case["seed"])
    rows = []
    for chain in range(case["chains"]):
        x, row = 0.0, []
        for draw in range(case["draws"]):
            if case["heavy"]:
                u = next(random)
                noise = (2.0 * u - 1.0) / (u * (1.0 - u))
            else:
                noise = -6.0
                for _ in range(12):
                    noise += next(random)
            x = case["phi"] * x + noise
            value = x * (1.0 + case["stretch"] * chain) + case["shift"] * chain
            value += case["drift"] * draw
            if case["grid"] > 0.0:
                value = float(np.floor(value / case["grid"])) * case["grid"]
            row.append(value)
        rows.append(row)
    return np.array(rows)


def golden(name, seed, settings):
    case = dict(name=name, seed=seed) | PLAIN | settings
    draws = draws_of(case)
    several = case["chains"] > 1
    return case | dict(
        last=float(draws[-1, -1]),
        r_hat=float(arviz.rhat(draws, method="rank")) if several else None,
        ess_bulk=float(arviz.ess(draws, method="bulk")),
        ess_tail=float(arviz.ess(draws, method="tail")),
        ess_identity=float(arviz.ess(draws, method="identity")),
        autocorrelation=[float(rho) for rho in arviz.autocorr(draws[0])[: MAX_LAG + 1]],
    )


def main():
    cases = [golden(name, seed, case) for seed, (name, case) in enumerate(CASES.items(), start=1)]
    lines = ",\n".join(json.dumps(case) for case in cases)
    path = Path(__file__).with_name("golden.json")
    path.write_text(f'{{"arviz": "{arviz.__version__}", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
