#!/usr/bin/env python3
"""Cut the embedded 5,000 + 1,000 Fashion-MNIST images out of the official files.

    python3 assets/make_fashion_mnist.py DIR

DIR holds the four official IDX files, plain or gzipped (Debian: package `dataset-fashion-mnist`,
folder /usr/share/datasets/fashion-mnist). Takes the first 500 training and the first 100 test images of every class, in
file order, and writes four gzipped IDX files to assets/fashion-mnist/. The same bytes come out every
time. The SHA-256 of every unpacked input is checked.
"""

import gzip
import hashlib
import pathlib
import struct
import sys

SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
PIXELS = 28 * 28


def read(folder: pathlib.Path, name: str) -> bytes:
    packed = folder / f"{name}.gz"
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256[name]:
        sys.exit(f"{name} in {folder}: SHA-256 is {found}, expected {SHA256[name]}")
    return data


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    out = pathlib.Path(__file__).parent / "fashion-mnist"
    out.mkdir(exist_ok=True)
    for part, per_class in (("train", 500), ("t10k", 100)):
        images = read(folder, f"{part}-images-idx3-ubyte")[16:]
        labels = read(folder, f"{part}-labels-idx1-ubyte")[8:]
        left = [per_class] * 10
        kept = []
        for index, label in enumerate(labels):
            if left[label]:
                left[label] -= 1
                kept.append(index)
        assert not any(left), "a class ran short"
        image_file = struct.pack(">IIII", 0x803, len(kept), 28, 28)
        image_file += b"".join(images[i * PIXELS : (i + 1) * PIXELS] for i in kept)
        label_file = struct.pack(">II", 0x801, len(kept)) + bytes(labels[i] for i in kept)
        for name, data in (("images-idx3", image_file), ("labels-idx1", label_file)):
            path = out / f"{part}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(data, compresslevel=9, mtime=0))
            print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
