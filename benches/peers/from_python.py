"""Energies and gradients of one batch, called from Python: the wheel of jempp and PyTorch in turn.

    pip install torch safetensors python/dist/jempp-*.whl
    cargo build --release
    python3 benches/peers/from_python.py target/release/jempp

Both start and end with NumPy arrays, so that every copy on the way is counted. The networks are a bundled model and
`cnn-base`, W1's, of a run of three steps. Weights are frozen in both. First both must find the same numbers.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jempp
import numpy as np
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "pytorch"))
from wrn import Cnn  # noqa: E402

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
TOLERANCE = 1e-4


def networks(program, folder):
    """The names of the networks, with each as a model of jempp and as a module of PyTorch."""
    run = folder / "w1"
    train = [program, "train", "--preset", "fashion-quick", "--set", "model.arch=cnn-base"]
    train += ["--device", "cpu", "--max-steps", "3", "--out", str(run)]
    subprocess.run(train, check=True, capture_output=True)
    for name, path in [("fashion", ROOT / "assets" / "fashion.safetensors"), ("W1", run)]:
        file = folder / f"{name}.safetensors"
        export = [program, "export", "--checkpoint", str(path), "--out", str(file), "--no-buffer"]
        subprocess.run(export, check=True, capture_output=True)
        model = jempp.load(path, device="cpu")
        positions = 49 if name == "fashion" else 1
        net = Cnn(model.config["model"]["arch"], 1, positions, model.num_classes)
        net.load_state_dict(load_file(file))
        yield name, model, net.requires_grad_(False)


def of_pytorch(net, layout):
    """The two calls, with what a person writes who wants NumPy's arrays."""
    net = net.to(memory_format=layout)

    def energy(x):
        with torch.inference_mode():
            x = torch.from_numpy(x).to(memory_format=layout)
            return -net(x).logsumexp(1).numpy()

    def gradient(x):
        x = torch.from_numpy(x).to(memory_format=layout).detach().requires_grad_(True)
        energy = -net(x).logsumexp(1)
        (gradient,) = torch.autograd.grad(energy.sum(), x)
        return energy.detach().numpy(), np.ascontiguousarray(gradient.numpy())

    return {"energy": energy, "energy and gradient": gradient}


def as_list(found):
    return list(found) if isinstance(found, tuple) else [found]


def check(found, expected):
    for ours, theirs in zip(as_list(found), as_list(expected), strict=True):
        errors = np.abs(ours - theirs) / np.abs(theirs).max()
        # Where an activation is next to LeakyReLU's kink, rounding decides which side its slope is of.
        assert np.quantile(errors, 0.99) < TOLERANCE, errors.max()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="the program jempp, which makes and exports W1")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    random = np.random.default_rng(0)
    print(f"jempp {jempp.__version__}, PyTorch {torch.__version__}, {args.batch} images, {args.rounds} rounds")
    with tempfile.TemporaryDirectory() as temporary:
        for name, model, net in networks(args.program, Path(temporary)):
            ours = {"energy": model.energy, "energy and gradient": model.energy_and_gradient}
            for layout, memory_format in LAYOUTS.items():
                theirs = of_pytorch(net, memory_format)
                for call in ours:
                    x = random.uniform(-1, 1, (args.batch, *model.shape)).astype(np.float32)
                    check(ours[call](x), theirs[call](x))
                    ratios = []
                    for _ in range(args.rounds):
                        times = []
                        for work in ours[call], theirs[call]:
                            begin = time.perf_counter()
                            work(x)
                            times.append(time.perf_counter() - begin)
                        ratios.append(times[0] / times[1])
                    low, middle, high = statistics.quantiles(ratios, n=4)
                    print(f"{name}, {call}, PyTorch {layout}: {middle:.2f} of its time ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
