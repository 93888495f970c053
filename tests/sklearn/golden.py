"""Makes golden.json: what scikit-learn and SciPy say of numbers that tests/pure/eval_metrics.rs makes again.

    pip install scikit-learn scipy numpy
    python3 tests/sklearn/golden.py
"""

import json
import pathlib

import numpy as np
import scipy
import sklearn
from scipy import linalg, optimize, special, stats
from sklearn import metrics
from sklearn.neighbors import NearestNeighbors


class Uniforms:
    """Numbers in (0, 1), as the tests draw them."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return ((self.state >> 11) + 0.5) / 2**53

    def normal(self):
        """A sum of 12, less 6: nearly normal."""
        return sum(self.next() for _ in range(12)) - 6.0


def logits_and_labels(case):
    """Logits whose label's is raised, as f32."""
    random = Uniforms(case["seed"])
    logits, labels = [], []
    for _ in range(case["count"]):
        label = int(random.next() * case["classes"])
        row = [case["scale"] * random.normal() for _ in range(case["classes"])]
        row[label] += case["scale"] * case["lift"]
        logits.append(row)
        labels.append(label)
    return np.array(logits, dtype=np.float32).astype(np.float64), np.array(labels)


def calibration(case):
    logits, labels = logits_and_labels(case)
    p = special.softmax(logits, axis=1)
    classes = np.arange(case["classes"])
    confidence, hits = p.max(axis=1), p.argmax(axis=1) == labels
    bins = np.minimum((confidence * 20).astype(int), 19)
    gaps = [
        (np.sum(bins == b), abs(confidence[bins == b].mean() - hits[bins == b].mean()))
        for b in range(20)
        if np.any(bins == b)
    ]

    def nll(temperature):
        return metrics.log_loss(labels, special.softmax(logits / temperature, axis=1), labels=classes)

    def slope(log_t):
        """Of the same by the logarithm of the temperature, times a positive number."""
        p = special.softmax(logits / np.exp(log_t), axis=1)
        return np.mean(logits[np.arange(len(labels)), labels] - np.sum(p * logits, axis=1))

    # A minimum is known to the root of the numbers' precision, where its slope is 0 to that precision.
    best = optimize.minimize_scalar(
        lambda log_t: nll(np.exp(log_t)), bounds=(np.log(0.01), np.log(100)), method="bounded"
    )
    log_t = optimize.brentq(slope, np.log(0.01), np.log(100), xtol=1e-14)
    assert abs(best.x - log_t) < 1e-4
    return {
        "accuracy": metrics.accuracy_score(labels, p.argmax(axis=1)),
        "expected": sum(n * gap for n, gap in gaps) / len(labels),
        "maximum": max(gap for _, gap in gaps),
        # scikit-learn's multi-class Brier score, unscaled, is Σ over classes.
        "brier": metrics.brier_score_loss(labels, p, labels=classes, scale_by_half=False),
        "nll": metrics.log_loss(labels, p, labels=classes),
        "temperature": float(np.exp(log_t)),
    }


def ranking(case):
    random = Uniforms(case["seed"])

    def scores(count, shift):
        values = np.array([random.normal() + shift for _ in range(count)])
        return np.floor(values / case["grid"]) * case["grid"] if case["grid"] else values

    inside, outside = scores(case["inside"], case["shift"]), scores(case["outside"], 0.0)
    truth = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
    values = np.r_[inside, outside]
    false, true, _ = metrics.roc_curve(truth, values, drop_intermediate=False)
    interval = stats.bootstrap(
        (inside, outside),
        lambda a, b: metrics.roc_auc_score(np.r_[np.ones(len(a)), np.zeros(len(b))], np.r_[a, b]),
        n_resamples=2000,
        vectorized=False,
        method="percentile",
        rng=0,
    ).confidence_interval
    return {
        "auroc": metrics.roc_auc_score(truth, values),
        "false_positives": false[np.argmax(true >= 0.95)],
        "low": interval.low,
        "high": interval.high,
    }


def features(random, count, dim, rank, stretch, shift):
    """Rows of a mixture of `rank` normals, as f32; summed in the order of the tests, so to the same bits."""
    mix = np.array([[random.normal() for _ in range(dim)] for _ in range(rank)])
    rows = np.array([[random.normal() for _ in range(rank)] for _ in range(count)])
    mixed = np.zeros((count, dim))
    for r in range(rank):
        mixed += stretch * rows[:, r : r + 1] * mix[r]
    return (mixed + shift).astype(np.float32).astype(np.float64)


def sets(case):
    random = Uniforms(case["seed"])
    dim, rank = case["dim"], case["rank"]
    a = features(random, case["count"], dim, rank, 1.0, 0.0)
    b = features(random, case["others"], dim, rank, case["stretch"], case["shift"])
    mean = a.mean(axis=0) - b.mean(axis=0)
    cov = [np.cov(rows, rowvar=False) for rows in (a, b)]
    # The trace of the root of the covariances' product is the sum of the singular values of X_a X_b'. Without full rank
    # sqrtm of that product is good for few digits, and only checks this.
    centred = [(rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1) for rows in (a, b)]
    shared = np.sum(linalg.svdvals(centred[0] @ centred[1].T))
    assert abs(shared - np.trace(linalg.sqrtm(cov[0] @ cov[1]).real)) < 1e-4 * shared
    k = case["neighbors"]

    def radii(rows):
        return NearestNeighbors(n_neighbors=k + 1).fit(rows).kneighbors(rows)[0][:, -1]

    def inside(rows, manifold):
        distances = metrics.pairwise_distances(rows, manifold)
        return float(np.mean(np.any(distances <= radii(manifold), axis=1)))

    distances, indices = NearestNeighbors(n_neighbors=1).fit(a).kneighbors(b)
    return {
        "frechet": float(mean @ mean + np.trace(cov[0]) + np.trace(cov[1]) - 2 * shared),
        "precision": inside(b, a),
        "recall": inside(a, b),
        "nearest": distances[:, 0].tolist(),
        "nearest_index": indices[:, 0].tolist(),
        "last": float(b[-1, -1]),
    }


def inception(case):
    logits, _ = logits_and_labels(case)
    p = special.softmax(logits, axis=1)
    return {"score": float(np.exp(np.mean([stats.entropy(row, p.mean(axis=0)) for row in p])))}


def proportion(case):
    interval = stats.binomtest(case["hits"], case["count"]).proportion_ci(method="wilson")
    return {"low": interval.low, "high": interval.high}


CASES = {
    calibration: [
        {"seed": 1, "count": 400, "classes": 10, "scale": 1.0, "lift": 2.0},
        {"seed": 2, "count": 300, "classes": 3, "scale": 4.0, "lift": 0.7},
        {"seed": 3, "count": 500, "classes": 2, "scale": 0.3, "lift": 3.0},
        {"seed": 4, "count": 40, "classes": 100, "scale": 2.0, "lift": 1.0},
    ],
    ranking: [
        {"seed": 5, "inside": 200, "outside": 300, "shift": 1.0, "grid": 0.0},
        {"seed": 6, "inside": 150, "outside": 100, "shift": 0.5, "grid": 0.5},
        {"seed": 7, "inside": 60, "outside": 60, "shift": -0.7, "grid": 0.0},
        {"seed": 8, "inside": 50, "outside": 80, "shift": 20.0, "grid": 0.0},
    ],
    sets: [
        {"seed": 9, "count": 200, "others": 150, "dim": 8, "rank": 8, "stretch": 1.3, "shift": 0.5, "neighbors": 3},
        # Fewer rows than numbers in one: covariances without full rank.
        {"seed": 10, "count": 20, "others": 30, "dim": 40, "rank": 40, "stretch": 0.8, "shift": 0.1, "neighbors": 5},
        # Rows on a plane.
        {"seed": 11, "count": 300, "others": 300, "dim": 12, "rank": 2, "stretch": 1.0, "shift": 0.0, "neighbors": 1},
    ],
    inception: [
        {"seed": 12, "count": 300, "classes": 10, "scale": 2.0, "lift": 3.0},
        {"seed": 13, "count": 50, "classes": 3, "scale": 0.1, "lift": 1.0},
    ],
    proportion: [{"hits": h, "count": n} for h, n in [(0, 10), (10, 10), (911, 1000), (1, 3), (499, 10000)]],
}

golden = {
    "versions": {"numpy": np.__version__, "scipy": scipy.__version__, "sklearn": sklearn.__version__},
    **{made_by.__name__: [case | made_by(case) for case in cases] for made_by, cases in CASES.items()},
}
path = pathlib.Path(__file__).with_name("golden.json")
path.write_text(json.dumps(golden, indent=1, default=float) + "\n")
