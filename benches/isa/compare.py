"""Compares every variant of the convolution kernels with plain sums in float64, on the first Vulkan device.

    benches/isa/setup.sh
    VK_ICD_FILENAMES=/usr/share/vulkan/icd.d/lvp_icd.x86_64.json python3 benches/isa/compare.py

Needs numpy. The sizes are ragged, buffers have guards at their ends, and in some cases one image of several is NaN.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import kernels

SLOPE = 0.2
NUM_PARTS = 3
TOLERANCE = 1e-5
GUARD = 64
UNWRITTEN = np.float32(-12345.0)
CHANNELS = [(1, 3), (3, 4), (4, 10), (10, 16), (16, 33), (33, 64), (64, 1), (64, 64), (4, 72)]
SIZES = [(1, 1), (5, 7), (8, 8)]


class Case:
    """A convolution of random tensors and what its kernels should compute."""

    def __init__(self, batch, size, channels, kernel, stride, slope, nan_image):
        self.batch, (self.height, self.width), (self.inputs, self.outputs) = batch, size, channels
        self.kernel, self.stride, self.slope = kernel, stride, slope
        self.out = [-(-length // stride) for length in size]
        random = np.random.default_rng(0)

        def tensor(*shape):
            return random.standard_normal(shape).astype(np.float32)

        self.x = tensor(batch, *size, self.inputs)
        self.weight = tensor(kernel, kernel, self.inputs, self.outputs) / np.float32(kernel * self.inputs**0.5)
        self.bias = tensor(self.outputs)
        self.gradient = tensor(batch, *self.out, self.outputs)
        # An image of x for the forward pass, and of the gradient for the backward pass.
        self.broken_x, self.broken_gradient = self.x.copy(), self.gradient.copy()
        if nan_image is not None:
            self.broken_x[nan_image] = np.nan
            self.broken_gradient[nan_image] = np.nan
        self.forward = self.sum_forward()
        self.input_gradient = self.sum_input_gradient()
        self.weight_gradient = self.sum_weight_gradient()
        self.bias_gradient = self.gradient.astype(np.float64).sum((0, 1, 2))

    def __str__(self):
        return (
            f"{self.batch} images of {self.height}x{self.width}, {self.inputs} to {self.outputs} channels, "
            f"kernel {self.kernel}, stride {self.stride}, slope {self.slope}"
        )

    def params(self, num_parts=NUM_PARTS):
        sizes = [self.batch, self.height, self.width, self.inputs, self.outputs, self.kernel, self.stride]
        return np.concatenate([
            np.array(sizes, np.uint32).view(np.float32),
            np.array([self.slope], np.float32),
            np.array([num_parts, 0, 0, 0], np.uint32).view(np.float32),
        ])

    def taps(self):
        """For each tap: its indices, the pixels of x that it reads, and the positions that it adds to."""
        for r, s in itertools.product(range(self.kernel), repeat=2):
            slices = []
            for tap, length, out in zip((r, s), (self.height, self.width), self.out):
                positions = [i for i in range(out) if 0 <= i * self.stride + tap - self.kernel // 2 < length]
                pixels = [i * self.stride + tap - self.kernel // 2 for i in positions]
                slices.append((pixels, positions))
            (rows, i), (columns, j) = slices
            yield (r, s), (slice(None), *np.ix_(rows, columns)), (slice(None), *np.ix_(i, j))

    def activated(self, x):
        return np.where(x > 0, x, self.slope * x.astype(np.float64))

    def sum_forward(self):
        x = self.activated(self.broken_x)
        y = np.tile(self.bias.astype(np.float64), (self.batch, *self.out, 1))
        for tap, pixels, positions in self.taps():
            y[positions] += x[pixels] @ self.weight[tap].astype(np.float64)
        return y

    def sum_input_gradient(self):
        result = np.zeros(self.x.shape)
        for tap, pixels, positions in self.taps():
            result[pixels] += self.broken_gradient[positions] @ self.weight[tap].T.astype(np.float64)
        return result * np.where(self.x > 0, 1.0, self.slope)

    def sum_weight_gradient(self):
        x = self.activated(self.broken_x)
        result = np.zeros(self.weight.shape)
        for tap, pixels, positions in self.taps():
            result[tap] = np.einsum("nijc,nijo->co", x[pixels], self.gradient[positions].astype(np.float64))
        return result


def ceil_div(a, b):
    return -(-a // b)


def signs(x):
    """Where x is positive, 32 values in a word, as f32 with these bits."""
    bits = np.packbits(x.ravel() > 0, bitorder="little")
    return np.pad(bits, (0, -bits.size % 4)).view(np.float32)


class Runner:
    """A kernel on the device: a process that takes one job at a time."""

    def __init__(self, folder, wgsl, entry, num_bindings):
        self.folder = folder
        spirv = kernels.translate(wgsl, folder / "kernel.spv")
        command = [kernels.CACHE / "vulkan", "run", spirv, entry, str(num_bindings)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, num_workgroups, tensors, params):
        """Runs on `tensors`, which get the results, with guards behind them."""
        paths = [self.folder / f"{index}.bin" for index in range(len(tensors) + 1)]
        for path, tensor in zip(paths, tensors):
            np.concatenate([tensor.ravel(), np.full(GUARD, np.nan, np.float32)]).tofile(path)
        params.tofile(paths[-1])
        # Two rows of workgroups, as where there are more than 65,535, and a third one, which has nothing to do.
        print(ceil_div(num_workgroups, 2), 3, *paths, file=self.process.stdin, flush=True)
        assert self.process.stdout.readline(), "the kernel failed"
        for path, tensor in zip(paths, tensors):
            content = np.fromfile(path, np.float32)
            tensor[...] = content[:-GUARD].reshape(tensor.shape)
            assert np.isnan(content[-GUARD:]).all(), "a write past the end"

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def num_workgroups(variant, case, is_gradient):
    """As the host computes it."""
    constants = variant["constants"]
    if variant["file"] == "conv_weight_parts":
        rows = case.kernel**2 * ceil_div(case.inputs, 4)
        down = ceil_div(rows, constants["TILE_INPUTS"] // 4)
        return NUM_PARTS * down * ceil_div(case.outputs, constants["TILE_OUTPUTS"])
    size, block = ((case.height, case.width), case.stride) if is_gradient else (case.out, 1)
    blocks = case.batch * ceil_div(size[0], block) * ceil_div(size[1], block)
    groups = ceil_div(case.inputs if is_gradient else case.outputs, 4)
    if variant["file"] == "conv_product":
        return ceil_div(blocks, constants["TILE_POSITIONS"]) * ceil_div(4 * groups, constants["TILE_OUTPUTS"])
    if variant["file"] == "conv_broadcast":
        return ceil_div(blocks, constants["ROWS"]) * ceil_div(groups, 16)
    rows = constants.get("ROWS", 8)  # conv_flat has always 8
    return ceil_div(ceil_div(blocks, rows) * ceil_div(groups, constants["COLUMNS"]), 256)


def error(found, expected):
    """The largest error, relative to the largest value; infinite if NaN is not where it should be."""
    if (np.isnan(found) != np.isnan(expected)).any():
        return np.inf
    scale = max(1.0, np.nanmax(np.abs(expected), initial=0.0))
    return np.nanmax(np.abs(found - expected), initial=0.0) / scale


def run_case(runner, variant, is_gradient, case, helpers):
    """The errors of the results of a variant in a case, by name."""
    def unwritten(*shape):
        return np.full(shape, UNWRITTEN, np.float32)

    workgroups = num_workgroups(variant, case, is_gradient)
    if variant["file"] == "conv_weight_parts":
        weights, biases = unwritten(NUM_PARTS, *case.weight.shape), unwritten(NUM_PARTS, case.outputs)
        runner.run(workgroups, [case.broken_x, case.gradient.copy(), biases, weights], case.params())
        weight_gradient, bias_gradient = unwritten(*case.weight.shape), unwritten(case.outputs)
        counts = np.array([NUM_PARTS, case.weight.size, case.outputs, 0], np.uint32)
        total = ceil_div(case.weight.size + case.outputs, 256)
        helpers["conv_weight_sum"].run(total, [weights, biases, weight_gradient, bias_gradient], counts)
        return {
            "weight gradient": error(weight_gradient, case.weight_gradient),
            "bias gradient": error(bias_gradient, case.bias_gradient),
        }
    if is_gradient:
        turned, result = unwritten(case.kernel, case.kernel, case.outputs, case.inputs), unwritten(*case.x.shape)
        sizes = np.array([case.inputs, case.outputs, case.kernel, 0], np.uint32)
        helpers["conv_turn_weights"].run(ceil_div(turned.size, 256), [case.weight, turned], sizes)
        tensors = [case.broken_gradient, turned, unwritten(4), result, signs(case.x)]
        runner.run(workgroups, tensors, case.params())
        return {"input gradient": error(result, case.input_gradient)}
    y = unwritten(*case.gradient.shape)
    expected = signs(case.broken_x).view(np.uint32)
    words = unwritten(expected.size)
    runner.run(workgroups, [case.broken_x, case.weight, case.bias, y, words], case.params(expected.size))
    wrong = np.count_nonzero(words.view(np.uint32) != expected)
    return {"forward": error(y, case.forward), "signs": float(wrong)}


def lines_in_front(channels):
    """What the lines that the host writes depend on: whether 4 divides the channels, and the size of a group."""
    return channels % 4 == 0, min(channels, 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="the variants whose names contain this text")
    arguments = parser.parse_args()
    cases = [
        Case(batch, size, channels, kernel, stride, slope, nan_image)
        for (batch, slope, nan_image) in ((1, SLOPE, None), (3, SLOPE, 1), (3, 1.0, None))
        for size in SIZES
        for channels in CHANNELS
        for kernel in (1, 3)
        for stride in (1, 2)
    ]
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        def runner(name, wgsl, entry, num_bindings):
            (Path(folder) / name).mkdir()
            return Runner(Path(folder) / name, wgsl, entry, num_bindings)

        helpers = {
            "conv_weight_sum": runner("sum", kernels.source("conv_weight_sum"), "conv_weight_sum", 5),
            "conv_turn_weights": runner("turn", kernels.source("conv_turn_weights"), "conv_turn_weights", 3),
        }
        for variant in kernels.variants():
            if arguments.only not in variant["name"]:
                continue
            is_weight = variant["file"] == "conv_weight_parts"
            for is_gradient in (False,) if is_weight else (False, True):
                worst, runners = {}, {}
                for case in cases:
                    channels = (case.outputs, case.inputs) if is_gradient else (case.inputs, case.outputs)
                    front = tuple(map(lines_in_front, channels))
                    if front not in runners:
                        wgsl = kernels.source(variant["file"], variant["constants"], *channels, is_gradient)
                        name = f"{variant['name']}-{is_gradient}-{len(runners)}"
                        runners[front] = runner(name, wgsl, variant["file"], 5 if is_weight else 6)
                    for name, value in run_case(runners[front], variant, is_gradient, case, helpers).items():
                        worst[name] = max(worst.get(name, 0.0), value)
                        if not value <= TOLERANCE:
                            failures += 1
                            print(f"{variant['name']}: {name} wrong by {value:.1e}: {case}", flush=True)
                for one in runners.values():
                    one.close()
                for name, value in worst.items():
                    print(f"{variant['name']:16} {name:16} {len(cases)} cases, largest error {value:.1e}", flush=True)
        for one in helpers.values():
            one.close()
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
