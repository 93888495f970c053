"""W1 to W4 in PyTorch on the CPU: eager, in both memory layouts, weights frozen while sampling.

Prints one JSON object: {"version": ..., "times": {"W1": {"channels_last": [ms, ...], ...}, ...}}.
"""

import argparse
import json
import time

import torch
from torch import nn
from torch.nn import functional as F

SLOPE = 0.2
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


class Cnn(nn.Module):
    """3x3 convolutions with LeakyReLU, average pool, linear: `cnn-base` (W1, W4) and `cnn-tiny` (W2)."""

    def __init__(self, plan):
        super().__init__()
        inputs, convs = 1, []
        for outputs, stride in plan:
            convs.append(nn.Conv2d(inputs, outputs, 3, stride, 1))
            inputs = outputs
        self.convs = nn.ModuleList(convs)
        self.linear = nn.Linear(inputs, 10)

    def forward(self, x):
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE, inplace=True)
        return self.linear(x.mean((2, 3)))


class Block(nn.Module):
    """Pre-activation block of the WideResNet, the stride in its second convolution."""

    def __init__(self, inputs, outputs, stride, norm):
        super().__init__()
        self.norm1, self.norm2 = norm(inputs), norm(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, x):
        z = self.conv1(F.leaky_relu(self.norm1(x), SLOPE))
        z = self.conv2(F.leaky_relu(self.norm2(z), SLOPE))
        return z + self.shortcut(x)


class WideResNet(nn.Module):
    """`wrn-16-4` (W3)."""

    def __init__(self, norm):
        super().__init__()
        inputs, layers = 16, [nn.Conv2d(3, 16, 3, 1, 1)]
        for outputs, first_stride in [(64, 1), (128, 2), (256, 2)]:
            for stride in (first_stride, 1):
                layers.append(Block(inputs, outputs, stride, norm))
                inputs = outputs
        self.body = nn.Sequential(*layers, norm(inputs), nn.LeakyReLU(SLOPE))
        self.linear = nn.Linear(inputs, 10)

    def forward(self, x):
        return self.linear(self.body(x).mean((2, 3)))


BASE = [(32, 1), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1)]
STEPS = {
    "W1": (lambda: Cnn(BASE), (64, 1, 28, 28)),
    "W2": (lambda: Cnn([(32, 1), (32, 1)]), (64, 1, 8, 8)),
    "W3": (lambda: WideResNet(lambda _: nn.Identity()), (16, 3, 32, 32)),
    "W3-batch-norm": (lambda: WideResNet(nn.BatchNorm2d), (16, 3, 32, 32)),
}


def proximal_step(net, x, step_size=1.0, noise_std=0.01, radius=1.0):
    """One step of Proximal SGLD on energy = -log_sum_exp."""
    x = x.detach().requires_grad_(True)
    energy = -net(x).logsumexp(1).sum()
    (gradient,) = torch.autograd.grad(energy, x)
    with torch.no_grad():
        return x - step_size * gradient.clamp(-radius, radius) + noise_std * torch.randn_like(x)


def stepper(name, layout):
    """A function that does one step of W1, W2 or W3."""
    make, shape = STEPS[name]
    net = make().to(memory_format=layout).train().requires_grad_(False)
    state = [(torch.rand(shape) * 2 - 1).to(memory_format=layout)]

    def step():
        state[0] = proximal_step(net, state[0])

    return step


def trainer(layout):
    """A function that does one iteration of W4: ten proximal steps, then one update of the weights.

    The inner steps of PYLD are left out, to PyTorch's advantage, and the data is random numbers.
    """
    net = Cnn(BASE).to(memory_format=layout)
    optimizer = torch.optim.Adam(net.parameters(), 1e-5)
    buffer = torch.rand(1000, 1, 28, 28) * 2 - 1

    def iteration():
        x = (torch.rand(64, 1, 28, 28) * 2 - 1).to(memory_format=layout)
        y = torch.randint(10, (64,))
        index = torch.randint(1000, (64,))
        samples = buffer[index].to(memory_format=layout)
        net.requires_grad_(False)
        for _ in range(10):
            samples = proximal_step(net, samples)
        net.requires_grad_(True)
        buffer[index] = samples
        logits = net(x)
        gap = net(samples).logsumexp(1).mean() - logits.logsumexp(1).mean()
        loss = F.cross_entropy(logits, y) + gap
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()

    return iteration


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--works", default="W1,W2,W3,W3-batch-norm,W4")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    times = {}
    for name in args.works.split(","):
        works = {
            label: trainer(layout) if name == "W4" else stepper(name, layout)
            for label, layout in LAYOUTS.items()
        }
        for work in works.values():
            work()
            work()
        times[name] = {label: [] for label in works}
        for _ in range(args.repetitions):
            for label, work in works.items():
                begin = time.perf_counter()
                work()
                times[name][label].append((time.perf_counter() - begin) * 1e3)
    print(json.dumps({"version": torch.__version__, "times": times}))


if __name__ == "__main__":
    main()
