"""Trains on twelve small data sets with the recipe that the program chooses, and says whether a run diverged.

    cargo build --release && pip install pillow numpy scikit-learn
    python3 benches/own_data/small.py --jempp target/release/jempp OUT [NAME...]

The sets are made here, some of them to break a recipe: points on a line, images of one colour, images of noise, and one class.
"""

import argparse
import json
import pathlib
import subprocess
import time

import numpy
from PIL import Image, ImageDraw, ImageFont

RNG = numpy.random.default_rng(0)


def table(points, labels):
    def write(path):
        lines = [f"{x},{y},{label}" for (x, y), label in zip(points, labels)]
        path.with_suffix(".csv").write_text("\n".join(lines))
        return ["--data", str(path.with_suffix(".csv"))]

    return write


def folder(classes):
    """Writes images by class, each class a list of arrays (H, W) or (H, W, 3) of numbers from 0 to 1."""

    def write(path):
        for label, images in classes.items():
            (path / label).mkdir(parents=True, exist_ok=True)
            for index, image in enumerate(images):
                pixels = (numpy.clip(image, 0, 1) * 255).astype(numpy.uint8)
                Image.fromarray(pixels).save(path / label / f"{index:03}.png")
        return ["--data", str(path)]

    return write


def named(dataset):
    return lambda _: ["--preset", "auto", "--dataset", dataset]


def digits():
    from sklearn.datasets import load_digits

    data = load_digits()
    return {str(c): [image / 16 for image, label in zip(data.images, data.target) if label == c] for c in range(10)}


def drawn(draw, count, side=28):
    """Images of a shape at random places and of random size."""
    images = []
    for _ in range(count):
        image = Image.new("L", (side, side))
        x, y = RNG.uniform(side * 0.35, side * 0.65, 2)
        draw(ImageDraw.Draw(image), x, y, RNG.uniform(side * 0.2, side * 0.33))
        images.append(numpy.array(image) / 255)
    return images


def letter(character):
    def draw(canvas, x, y, radius):
        canvas.text((x, y), character, fill=255, font=ImageFont.load_default(radius * 2.6), anchor="mm")

    return draw


def stripes(colour, horizontal):
    wave = 0.5 + 0.5 * numpy.sin(numpy.arange(16) * RNG.uniform(0.6, 1.4) + RNG.uniform(0, 6))
    image = numpy.tile(wave, (16, 1))[..., None] * colour
    return image.swapaxes(0, 1) if horizontal else image


SHAPES = {
    "circle": lambda d, x, y, r: d.ellipse((x - r, y - r, x + r, y + r), fill=255),
    "square": lambda d, x, y, r: d.rectangle((x - r, y - r, x + r, y + r), fill=255),
    "triangle": lambda d, x, y, r: d.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=255),
}
LINE = RNG.normal(size=300)
GRID = [(x, y) for x in range(8) for y in range(4) for _ in range(8)]
SETS = {
    "two-moons": named("two-moons"),
    "rings": named("rings"),
    "line": table(zip(LINE, 2 * LINE), numpy.where(LINE > 0, "right", "left")),
    "grid": table(GRID, ["low" if y < 2 else "high" for _, y in GRID]),
    "digits": folder(digits()),
    "glyphs": folder({character: drawn(letter(character), 40) for character in "AEGKRS"}),
    "shapes": folder({name: drawn(draw, 60, 32) for name, draw in SHAPES.items()}),
    "stripes": folder({
        "red": [stripes([1.0, 0.2, 0.1], False) for _ in range(60)],
        "green": [stripes([0.1, 0.9, 0.3], True) for _ in range(60)],
        "blue": [stripes([0.2, 0.3, 1.0], False) for _ in range(30)],
    }),
    "flat": folder({
        "dark": [numpy.full((12, 12), value) for value in RNG.uniform(0, 0.4, 50)],
        "light": [numpy.full((12, 12), value) for value in RNG.uniform(0.6, 1, 50)],
    }),
    "noise": folder({
        "fine": [RNG.uniform(size=(16, 16)) for _ in range(60)],
        "coarse": [numpy.kron(RNG.uniform(size=(4, 4)), numpy.ones((4, 4))) for _ in range(60)],
    }),
    "few": folder({name: drawn(draw, 4, 20) for name, draw in SHAPES.items()}),
    "one-class": folder({"square": drawn(SHAPES["square"], 80, 24)}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*", default=list(SETS))
    parser.add_argument("--jempp", default="jempp")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    print(f"{'set':<10} {'accuracy':>8} {'steps':>6} {'recoveries':>10} {'gap':>14} {'seconds':>8}")
    for name in args.names:
        data = SETS[name](args.out / name)
        run = args.out / f"run-{name}"
        command = [args.jempp, "train", "--device", "cpu", "--out", str(run), *data]
        begin = time.time()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        recoveries = sum("diverged_at_step" in line for line in lines)
        gaps = [line["gap"] for line in lines if "gap" in line]
        accuracy = [line["test_accuracy"] for line in lines if line.get("test_accuracy") is not None]
        accuracy = f"{100 * accuracy[-1]:.1f} %" if accuracy else "none"
        gap = f"{min(gaps):.2f} to {max(gaps):.2f}"
        print(f"{name:<10} {accuracy:>8} {len(gaps):>6} {recoveries:>10} {gap:>14} {time.time() - begin:>8.0f}", flush=True)


main()
