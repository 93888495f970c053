"""Compares jempp with PyTorch, both ways, on random networks under the official code's names.

    python3 tests/pytorch/check.py            # builds, imports, exports and compares
    python3 tests/pytorch/check.py --golden   # writes the small committed cases of tests/program/interop anew

Needs torch and safetensors. PyTorch to jempp: `tests/program/interop` imports every `<case>.pt` of a folder
and compares logits and input gradients with those in `<case>.safetensors`; it leaves what it exports
there. jempp to PyTorch: those exports, and what the program's own `import` and `export` make of a case,
are loaded here with strict=True and compared.
"""

import argparse
import copy
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from wrn import Cnn, Mlp, WideResNet

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOLERANCE = 1e-4
NUM_IMAGES = 2
# A gradient jumps where an activation passes 0, so that rounding decides which of two right answers a
# program gives. Inputs are drawn until no activation is that close to it, in units of their deviation.
MARGIN = 1e-5
# name: depth, width, norm, classes, image side, chains, yopo's second names, zip or legacy file
CASES = {
    "wrn-10-1-none": (10, 1, "none", 10, 32, 20, False, True),
    "wrn-10-1-batch": (10, 1, "batch", 10, 32, 20, True, False),
    "wrn-16-2-none": (16, 2, "none", 10, 16, 30, True, True),
    "wrn-16-2-batch": (16, 2, "batch", 10, 16, 30, True, True),
    "wrn-16-2-hundred": (16, 2, "batch", 100, 16, 200, False, True),
}
GOLDEN = {
    "none": (10, 1, "none", 5, 8, 10, False, False),
    "batch": (10, 1, "batch", 3, 8, 9, True, True),
}


def random_network(depth, width, norm, num_classes, has_aliases):
    """Weights that keep activations at a size of about 1, statistics and affine maps of norms random."""
    net = WideResNet(depth, width, norm, num_classes, has_aliases)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, 0.2)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.3)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 2)
            module.num_batches_tracked.fill_(123)
    return net


def answers(net, x):
    """Logits and the gradient of the energy, -log_sum_exp, summed over the batch."""
    x = x.clone().requires_grad_(True)
    logits = net(x)
    (gradient,) = torch.autograd.grad(-logits.logsumexp(1).sum(), x)
    return logits.detach(), gradient


def nearest_kink(net, x):
    """The smallest activation at LeakyReLU's entrance, which is where norms end, in either mode."""
    found = []
    look = lambda module, inputs, z: found.append((z.abs().min() / z.std()).item())
    norms = [module for name, module in net.named_modules() if name.endswith(("bn1", "bn2"))]
    hooks = [module.register_forward_hook(look) for module in norms]
    for is_training in (False, True):
        copy.deepcopy(net).train(is_training)(x)
    for hook in hooks:
        hook.remove()
    return min(found)


def inputs_for(net, side):
    while True:
        x = torch.rand(NUM_IMAGES, 3, side, side) * 2 - 1
        if nearest_kink(net, x) > MARGIN:
            return x


def write_case(folder, name, case, shrink=False):
    """`<name>.pt` in JEMPP's layout, and `<name>.safetensors` with inputs and what PyTorch makes of them."""
    depth, width, norm, num_classes, side, num_chains, has_aliases, is_zip = case
    net = random_network(depth, width, norm, num_classes, has_aliases)
    if shrink:
        # Half precision for the largest tensors, which are most of the file.
        net.f.layer3.half().float()
    x = inputs_for(net, side)
    expected = {"x": x}
    for mode in ("eval", "train"):
        logits, gradient = answers(net.train(mode == "train"), x)
        expected |= {f"{mode}.logits": logits, f"{mode}.gradient": gradient}
        if mode == "eval":
            state = copy.deepcopy(net.state_dict())
    if shrink:
        halves = {}  # by address, so that a second name stays one
        for key, value in state.items():
            if ".layer3." in key or "other_layers.2." in key:
                if value.is_floating_point():
                    state[key] = halves.setdefault(value.data_ptr(), value.half())
    chains = torch.rand(num_chains, 3, side, side) * 2 - 1
    save_file(expected, folder / f"{name}.safetensors")
    torch.save(
        {"model_state_dict": state, "replay_buffer": chains},
        folder / f"{name}.pt",
        _use_new_zipfile_serialization=is_zip,
    )


def compare(what, found, expected):
    """Relative to the largest value."""
    error = ((found - expected).abs().max() / expected.abs().max()).item()
    print(f"  {what}: off by {error:.1e}")
    if not error <= TOLERANCE:
        sys.exit(f"error: {what} is off by {error}, allowed {TOLERANCE}")


def cargo(*command, **env):
    subprocess.run(["cargo", *command], cwd=ROOT, env=os.environ | env, check=True)


def jempp(*arguments):
    cargo("run", "--release", "--quiet", "--", *map(str, arguments))


def check_state(name, exported, original):
    """Every tensor that the classifier uses came back bit for bit; the rest are second names."""
    for key, value in original.items():
        if any(part in key for part in ("energy_output", "num_batches", "layer_one", "other_layers")):
            continue
        if not torch.equal(exported[key], value.float()):
            sys.exit(f"error: {name}: tensor {key} changed on its way through jempp")


def check_wrn(folder, name, case, file):
    """A file of the original tensors under the names of the plain variant."""
    depth, width, norm, num_classes, side, num_chains, _, _ = case
    tensors = load_file(file)
    chains = tensors.pop("replay_buffer")
    assert chains.shape == (num_chains, 3, side, side), chains.shape
    original = torch.load(folder / f"{name}.pt", weights_only=True)
    if not torch.equal(chains, original["replay_buffer"]):
        sys.exit(f"error: {name}: the replay buffer changed on its way through jempp")
    state = original["model_state_dict"]
    check_state(name, tensors, state)
    net = WideResNet(depth, width, norm, num_classes)
    net.load_state_dict(tensors, strict=True)
    expected = load_file(folder / f"{name}.safetensors")
    for mode in ("eval", "train"):
        logits, gradient = answers(net.train(mode == "train"), expected["x"])
        compare(f"{name}, exported, {mode}, logits", logits, expected[f"{mode}.logits"])
        compare(f"{name}, exported, {mode}, gradient", gradient, expected[f"{mode}.gradient"])


def check_small(folder, name, make):
    """A network that began in jempp, with the logits and gradients that jempp gave."""
    net = make()
    net.load_state_dict(load_file(folder / f"{name}.export.safetensors"), strict=True)
    given = load_file(folder / f"{name}.answers.safetensors")
    logits, gradient = answers(net, given["x"])
    compare(f"{name}, exported, logits", logits, given["logits"])
    compare(f"{name}, exported, gradient", gradient, given["gradient"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--golden", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(0)
    if args.golden:
        for name, case in GOLDEN.items():
            write_case(HERE / "golden", name, case, shrink=True)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, case in CASES.items():
            write_case(folder, name, case)
        test = ["test", "--release", "--quiet", "--test", "program", "a_folder_from_pytorch"]
        cargo(*test, JEMPP_PYTORCH_DIR=temporary)
        for name, case in CASES.items():
            check_wrn(folder, name, case, folder / f"{name}.export.safetensors")
        check_small(folder, "cnn-small", lambda: Cnn("cnn-small", 1, 49, 10))
        check_small(folder, "cnn-base", lambda: Cnn("cnn-base", 3, 1, 4))
        check_small(folder, "cnn-tiny", lambda: Cnn("cnn-tiny", 2, 1, 3))
        check_small(folder, "mlp", lambda: Mlp(2, 2))

        name = "wrn-16-2-batch"
        ours, theirs = folder / "run" / "checkpoint.safetensors", folder / "theirs.safetensors"
        jempp("import", folder / f"{name}.pt", "--out", ours, "--arch", "wrn-16-2", "--device", "cpu")
        jempp("export", "--safetensors", "--checkpoint", ours, "--out", theirs)
        check_wrn(folder, name, CASES[name], theirs)
        with safe_open(theirs, "pt") as file:
            assert file.metadata()["arch"] == "wrn-16-2", file.metadata()
    print("jempp and PyTorch agree")


if __name__ == "__main__":
    main()
