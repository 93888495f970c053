"""Makes golden.json: where the APGD of torchattacks goes on a small network, for src/eval/attack/apgd/tests.rs.

    pip install torch torchattacks
    python3 tests/autoattack/golden.py

The network is logits = tanh(x A) B with x = 2 p - 1 for pixels p in [0, 1]. The file has A, B, the images as x, and for
each norm and loss the start and every place that the attack visited.
"""

import json
import pathlib

import torch
import torchattacks

STEPS = 25
RADII = {"Linf": 0.03, "L2": 0.12}
NUM_IMAGES, SHAPE, HIDDEN, CLASSES = 5, (1, 3, 4), 10, 4

torch.set_default_dtype(torch.float64)
torch.manual_seed(8)
first = torch.randn(12, HIDDEN) * 0.6
second = torch.randn(HIDDEN, CLASSES) * 1.5
pixels = torch.rand(NUM_IMAGES, *SHAPE)


class Network(torch.nn.Module):
    """The network, which notes every batch of pixels that it sees."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, p):
        self.seen.append(p.detach().clone())
        return torch.tanh((2 * p - 1).flatten(1) @ first) @ second


class Attack(torchattacks.APGD):
    """The package's attack, but for one comparison: it compares the loss after the first step with 0 instead of that at
    the start."""

    def check_oscillation(self, losses, step, stretch, *args, **kwargs):
        if step + 1 == stretch:
            losses = losses.copy()
            losses[-1] = self.start_losses()
        return super().check_oscillation(losses, step, stretch, *args, **kwargs)

    def start_losses(self):
        logits = Network()(self.model.seen[0])
        if self.loss == "dlr":
            return self.dlr_loss(logits, labels)
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def rounded(values):
    return [float(f"{value:.7g}") for value in values.flatten().tolist()]


labels = Network()(pixels).argmax(1)
# One image is misclassified from the start.
labels[-1] = (labels[-1] + 1) % CLASSES
runs = []
for norm, radius in RADII.items():
    for loss in ["ce", "dlr"]:
        network = Network()
        attack = Attack(network, norm=norm, eps=radius, steps=STEPS, loss=loss)
        torch.manual_seed(3)
        best, is_right, _, _ = attack.attack_single_run(pixels, labels)
        places = torch.stack(network.seen)
        assert places.shape == (STEPS + 1, *pixels.shape)
        runs.append({
            "norm": norm,
            "loss": loss,
            "radius": radius,
            "places": rounded(2 * places - 1),
            "best": rounded(2 * best - 1),
            "withstands": is_right.bool().tolist(),
        })
found = {
    "torchattacks": torchattacks.__version__,
    "steps": STEPS,
    "shape": [NUM_IMAGES, *SHAPE],
    "first": rounded(first),
    "second": rounded(second),
    "hidden": HIDDEN,
    "classes": CLASSES,
    "images": rounded(2 * pixels - 1),
    "labels": labels.tolist(),
    "runs": runs,
}
pathlib.Path(__file__).with_name("golden.json").write_text(json.dumps(found) + "\n")
