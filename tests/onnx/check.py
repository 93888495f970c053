"""Runs the ONNX files of `jempp export` with onnxruntime and compares their logits and energies with jempp's.

    python3 tests/onnx/check.py

Needs onnx, onnxruntime and numpy. `tests/program/interop/onnx.rs` writes a file of every network, with images and the logits
that jempp gives for them.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

ROOT = Path(__file__).resolve().parent.parent.parent
TOLERANCE = 1e-5


def tensors(path):
    """The f32 tensors of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    return {
        name: np.frombuffer(body[slice(*about["data_offsets"])], np.float32).reshape(about["shape"])
        for name, about in header.items()
        if name != "__metadata__"
    }


def check(path):
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = tensors(path.with_suffix(".safetensors"))
    x = given["x"].reshape(-1, *session.get_inputs()[0].shape[1:])
    worst = 0
    # A batch may have any size.
    for part in (slice(0, 1), slice(0, len(x))):
        expected = given["logits"][part].astype(np.float64)
        energy = -np.log(np.exp(expected - expected.max(1, keepdims=True)).sum(1)) - expected.max(1)
        for found, right in zip(session.run(["logits", "energy"], {"x": x[part]}), (expected, energy)):
            assert found.shape == right.shape and found.dtype == np.float32, (found.shape, right.shape)
            worst = max(worst, np.abs(found - right).max() / np.abs(expected).max())
    print(f"  {path.stem}: off by {worst:.1e}")
    if not worst <= TOLERANCE:
        sys.exit(f"error: {path.stem} is off by {worst}, allowed {TOLERANCE}")


with tempfile.TemporaryDirectory() as folder:
    test = ["cargo", "test", "--release", "--quiet", "--test", "program", "every_network_has_an_onnx_file"]
    subprocess.run(test, cwd=ROOT, env=os.environ | {"JEMPP_ONNX_DIR": folder}, check=True)
    files = sorted(Path(folder).glob("*.onnx"))
    assert files, "no files"
    for path in files:
        check(path)
    print(f"{len(files)} networks give the same with onnxruntime {onnxruntime.__version__}")
