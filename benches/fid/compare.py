"""Compares the FID of `jempp eval` with that of pytorch-fid: the same images, and the same weights of the full network.

    pip install torch torchvision pytorch-fid
    cargo build --release
    python3 benches/fid/compare.py target/release/jempp [NUM_IMAGES [NUM_REFERENCE]]

The weights are random, so no download is needed; they go through tools/convert_inception.py. With the path of the real
file as a fourth argument, that file is taken instead. It compares the built-in test images of Fashion-MNIST with the
built-in training images, which is the first row of FID that jempp prints.
"""

import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from PIL import Image
from pytorch_fid import fid_score, inception

ROOT = pathlib.Path(__file__).resolve().parents[2]


def images(split, count):
    """Images of the built-in data, spread evenly."""
    data = gzip.decompress((ROOT / "assets/fashion-mnist" / f"{split}-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)
    count = min(count, len(pixels))
    return pixels[[index * len(pixels) // count for index in range(count)]]


def random_weights():
    """Weights under which features differ between images, as those of a trained network do."""
    torch.manual_seed(0)
    # pytorch-fid loads this dictionary into torchvision's network, which first makes the names.
    inception.load_state_dict_from_url = lambda *args, **kwargs: {}
    load = torch.nn.Module.load_state_dict
    made = {}

    def draw(network, *args, **kwargs):
        for name, values in network.state_dict().items():
            if name.endswith("conv.weight"):
                values.normal_(0, (2 / values[0].numel()) ** 0.5)
            elif name.endswith(("bn.weight", "running_var")):
                values.uniform_(0.7, 1.3)
            elif values.is_floating_point():
                values.normal_(0, 0.1)
            made[name] = values.clone()

    torch.nn.Module.load_state_dict = draw
    inception.fid_inception_v3()
    torch.nn.Module.load_state_dict = load
    return made


def main():
    if not 2 <= len(sys.argv) <= 5:
        sys.exit(__doc__.strip())
    program, *numbers = sys.argv[1:4]
    count, reference = [int(number) for number in numbers] + [64, 128][len(numbers):]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        source = folder / "random.pth"
        if len(sys.argv) > 4:
            source = pathlib.Path(sys.argv[4])
        else:
            torch.save(random_weights(), source)
        weights = folder / "inception.safetensors"
        subprocess.run([sys.executable, ROOT / "tools/convert_inception.py", source, weights], check=True)
        settings = [f"eval.num_samples={count}", f"eval.fid_reference={reference}", "eval.sample_steps=1"]
        settings = [word for setting in settings for word in ("--set", setting)]
        command = [program, "eval", "samples", "--device", "cpu", "--fid", weights, "--out", folder / "eval", *settings]
        subprocess.run(command, check=True)
        found = json.loads((folder / "eval/results.json").read_text())["fid"]

        inception.load_state_dict_from_url = lambda *args, **kwargs: torch.load(source, weights_only=True)
        network = inception.InceptionV3()
        moments = []
        for split, number in [("t10k", count), ("train", reference)]:
            path = folder / split
            path.mkdir()
            for index, pixels in enumerate(images(split, number)):
                Image.fromarray(pixels).save(path / f"{index:05}.png")
            moments += fid_score.compute_statistics_of_path(str(path), network, 16, 2048, "cpu", 0)
        expected = float(fid_score.calculate_frechet_distance(*moments))
    ours = found["sets"][0]["fid"]
    print(f"{count} images, {found['num_reference']} in the reference: jempp {ours:.6f}, pytorch-fid {expected:.6f}")
    print(f"difference {abs(ours - expected):.2e}, relative {abs(ours / expected - 1):.2e}")


main()
