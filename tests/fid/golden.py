"""Makes golden.json: the features by pytorch-fid's network with a sixteenth of the channels, for src/eval/fid/tests.rs.

    pip install torch torchvision pytorch-fid
    python3 tests/fid/golden.py

Weights and pixels follow a formula that the test computes too, so the file only holds shapes and features. It also has
pytorch-fid's distance of two small sets of features.
"""

import json
import pathlib

import numpy as np
import torch
from pytorch_fid import fid_score, inception

PART = 16
NUM_IMAGES, HEIGHT, WIDTH = 3, 20, 28


def uniform(series, count):
    """Numbers in [-1, 1): a hash of the series and the place."""
    with np.errstate(over="ignore"):
        h = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(series) * np.uint32(2246822519)
        for shift, factor in [(16, 2146121005), (15, 2221713035)]:
            h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
        h ^= h >> np.uint32(16)
    return h.astype(np.float64) / 2**31 - 1.0


def network():
    """pytorch-fid's network, with narrower layers and weights of our own."""
    inception.load_state_dict_from_url = lambda *args, **kwargs: None
    torch.nn.Module.load_state_dict, load = (lambda *args, **kwargs: None), torch.nn.Module.load_state_dict
    model = inception.InceptionV3()
    torch.nn.Module.load_state_dict = load
    for module in model.modules():
        for name, conv in list(module.named_children()):
            if isinstance(conv, torch.nn.Conv2d):
                inputs = conv.in_channels if conv.in_channels == 3 else conv.in_channels // PART
                options = {"stride": conv.stride, "padding": conv.padding, "bias": False}
                setattr(module, name, torch.nn.Conv2d(inputs, conv.out_channels // PART, conv.kernel_size, **options))
            elif isinstance(conv, torch.nn.BatchNorm2d):
                setattr(module, name, torch.nn.BatchNorm2d(conv.num_features // PART, eps=conv.eps))
    return model.eval()


def main():
    model = network()
    # The blocks have numbers for names: the names of torchvision's network, in the same order.
    stem = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", None, "Conv2d_3b_1x1", "Conv2d_4a_3x3", None]
    mixed = [f"Mixed_{name}" for name in "5b 5c 5d 6a 6b 6c 6d 6e 7a 7b 7c".split()]
    layers = [layer for block in model.blocks for layer in block]
    named = [(name, layer) for name, layer in zip(stem + mixed, layers) if name]
    weights = {}
    for name, layer in named:
        weights |= {f"{name}.{key}": value for key, value in layer.state_dict().items() if value.ndim > 0}
    shapes = {name: list(weights[name].shape) for name in sorted(weights)}
    for series, (name, shape) in enumerate(shapes.items()):
        values = uniform(series, int(np.prod(shape))).reshape(shape)
        if name.endswith("conv.weight"):
            values *= np.sqrt(6 / np.prod(shape[1:]))
        elif name.endswith("bn.weight"):
            values = 1 + 0.3 * values
        elif name.endswith("running_var"):
            values = 1 + 0.5 * values
        else:
            values *= 0.2
        weights[name].copy_(torch.from_numpy(values))
    pixels = np.round(127.5 * (1 + uniform(1000, NUM_IMAGES * 3 * HEIGHT * WIDTH))).clip(0, 255)
    pixels = pixels.reshape(NUM_IMAGES, 3, HEIGHT, WIDTH)
    with torch.no_grad():
        features = model(torch.from_numpy(pixels / 255).float())[0].squeeze(3).squeeze(2)
        gray = np.repeat(pixels[:, :1], 3, axis=1)
        gray = model(torch.from_numpy(gray / 255).float())[0].squeeze(3).squeeze(2)
    sets = [uniform(2000 + index, 40 * 6).reshape(40, 6) * (1 + index / 2) + index / 4 for index in range(2)]
    moments = [f(rows) for rows in sets for f in (lambda rows: rows.mean(0), lambda rows: np.cov(rows, rowvar=False))]
    digits = lambda values: [float(f"{value:.7g}") for value in values.flatten().tolist()]
    found = {
        "shapes": shapes,
        "pixels": [NUM_IMAGES, 3, HEIGHT, WIDTH],
        "features": digits(features),
        "gray": digits(gray),
        "distance": float(fid_score.calculate_frechet_distance(*moments)),
    }
    pathlib.Path(__file__).with_name("golden.json").write_text(json.dumps(found) + "\n")
    print(features.shape, features.mean(), features.std(), found["distance"])


main()
