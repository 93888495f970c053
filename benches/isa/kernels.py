"""The WGSL of every variant of the convolution kernels, and how to translate it to SPIR-V as wgpu does."""

import os
import pathlib
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHADERS = ROOT / "shaders"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "jempp-isa"


def variants():
    """The table of variants, as dictionaries with `name`, `file` and `constants`."""
    return tomllib.loads((SHADERS / "variants.toml").read_text())["variant"]


def surroundings(file, is_gradient, place_in_block):
    """What stands around a convolution: the file, and the lines in front of it."""
    if place_in_block is None:
        return "conv_plain_weights" if file == "conv_weight_parts" else "conv_plain", ""
    kind = "weights" if file == "conv_weight_parts" else "gradient" if is_gradient else "output"
    return f"conv_norm_{kind}", f"const IS_FIRST = {str(place_in_block == 'first').lower()};\n"


def source(file, constants=None, source_channels=64, result_channels=64, is_gradient=False, place_in_block=None):
    """The whole WGSL of a kernel. Kernels without variants have no constants, and nothing in front.

    `place_in_block` is "first" or "second" for a convolution of a block with batch norm.
    """
    parts = [SHADERS / "common.wgsl", SHADERS / f"{file}.wgsl"]
    front = ""
    if constants is not None:
        for channels, alias, lanes, group in (
            (source_channels, "Source", "SOURCE_LANES", "SOURCE_GROUP"),
            (result_channels, "Matrix", "MATRIX_LANES", "RESULT_GROUP"),
        ):
            is_vector = channels % 4 == 0
            front += f"alias {alias} = {'vec4<f32>' if is_vector else 'f32'};\n"
            front += f"const {lanes} = {4 if is_vector else 1}u;\nconst {group} = {min(channels, 4)}u;\n"
        front += f"const IS_GRADIENT = {str(is_gradient).lower()};\n"
        front += "".join(f"const {name} = {value}u;\n" for name, value in constants.items())
        around, line = surroundings(file, is_gradient, place_in_block)
        front += line
        parts[1:1] = [SHADERS / "conv_common.wgsl", SHADERS / f"{around}.wgsl"]
    return front + "".join(part.read_text() for part in parts)


def translate(wgsl, path):
    """Writes the SPIR-V of a kernel to `path`."""
    text = path.with_suffix(".wgsl")
    text.write_text(wgsl)
    subprocess.run([CACHE / "target/release/translate", text, path], check=True)
    return path
