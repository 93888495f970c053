"""Converts the Inception network of FID from its PyTorch file to the safetensors file that `jempp eval --fid` reads.

    pip install torch
    python3 tools/convert_inception.py pt_inception-2015-12-05-6726825d.pth inception.safetensors

The file is a release of pytorch-fid:
https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth
(95,628,359 bytes). Its SHA-256 is checked and written into the new file, and so is that of the tensors, by which jempp sees
whether they were changed. Another file is converted too, with a warning; jempp then says with every figure that it cannot be
compared with published values.
"""

import hashlib
import json
import pathlib
import struct
import sys

import torch

KNOWN_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
# What the features need: convolutions and their batch norms, not the classifier behind them.
NEEDED = (".conv.weight", ".bn.weight", ".bn.bias", ".bn.running_mean", ".bn.running_var")


def convert(source, target):
    data = source.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != KNOWN_SHA256:
        print(f"{source} is not the file of pytorch-fid: its SHA-256 is {sha256} instead of {KNOWN_SHA256}", file=sys.stderr)
    weights = torch.load(source, map_location="cpu", weights_only=True)
    tensors = {
        name: weights[name].detach().to(torch.float32).contiguous().numpy()
        for name in sorted(weights)
        if name.endswith(NEEDED) and not name.startswith("AuxLogits.")
    }
    if not tensors:
        sys.exit(f"{source} holds no layers of an Inception network")
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(name.encode())
        digest.update(tensor.tobytes())
    metadata = {"format": "pt", "source": source.name, "source_sha256": sha256, "tensors_sha256": digest.hexdigest()}
    header = {"__metadata__": metadata}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    # The tensors are little-endian, as NumPy's are on every machine that runs PyTorch.
    target.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensor.tobytes() for tensor in tensors.values()))
    print(f"{len(tensors)} tensors in {target}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    convert(*map(pathlib.Path, sys.argv[1:]))
