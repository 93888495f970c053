"""Counts what the compilers of real GPUs make of the hot loops of our kernels. Needs no GPU.

    benches/isa/setup.sh                       # once
    python3 benches/isa/isa.py                 # all hot loops on gfx1102 (Radeon RX 7600)
    python3 benches/isa/isa.py --check         # and exits with 1 where a bound of bounds.toml does not hold
    python3 benches/isa/isa.py --gpu tgl       # Iris Xe; README.md says what it needs

Mesa compiles for an AMD GPU that is not there (its "null device"). Nothing runs, so these are no times: they say what
share of the instructions that the hot loop issues are multiply-adds, and whether registers suffice.
"""

import argparse
import glob
import itertools
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import kernels

# Newer Mesa calls the GPUs by their other name.
OTHER_NAMES = {"gfx1100": "navi31", "gfx1101": "navi32", "gfx1102": "navi33"}


def environment(gpu):
    """The environment variables with which Mesa compiles for `gpu`."""
    if gpu.startswith(("gfx", "navi")):
        return {"RADV_FORCE_FAMILY": gpu, "VK_ICD_FILENAMES": driver("radeon_icd")}
    if "INTEL_SHIM" not in os.environ:
        sys.exit("isa.py: INTEL_SHIM is the library that stands in for Intel's kernel driver: benches/isa/README.md")
    return {
        "INTEL_STUB_GPU_PLATFORM": gpu,
        "LD_PRELOAD": os.environ["INTEL_SHIM"],
        "VK_ICD_FILENAMES": driver("intel_icd"),
    }


def driver(name):
    found = glob.glob(f"/usr/share/vulkan/icd.d/{name}*.json")
    if not found:
        sys.exit(f"isa.py: the driver {name} is not installed: benches/isa/setup.sh")
    return found[0]


def compiled(wgsl, entry, gpu):
    """The statistics of the driver, by name, and the lines of machine code."""
    with tempfile.TemporaryDirectory() as folder:
        spirv = kernels.translate(wgsl, Path(folder) / "kernel.spv")
        command = [kernels.CACHE / "vulkan", "compile", spirv, entry, str(wgsl.count("@binding("))]
        variables = os.environ | environment(gpu) | {"MESA_SHADER_CACHE_DISABLE": "true"}
        result = subprocess.run(command, env=variables, capture_output=True, text=True)
    if result.returncode != 0 and gpu in OTHER_NAMES:
        return compiled(wgsl, entry, OTHER_NAMES[gpu])
    result.check_returncode()
    statistics, assembly = result.stdout.split("assembly:\n")
    return dict(line.split(" = ") for line in statistics.splitlines()), assembly.splitlines()


def count_of(pattern, lines):
    return sum(re.match(pattern, line) is not None for line in lines)


def hot_loop(lines, label, jump, multiply_add):
    """The innermost loop with the most multiply-adds, from patterns of labels, of jumps to them and of multiply-adds."""
    starts, loops = {}, []
    for end, line in enumerate(lines):
        if found := re.match(label, line):
            starts[found[1]] = end
        elif (found := re.match(jump, line)) and found[1] in starts:
            loops.append((starts[found[1]], end))

    def contains(one, two):
        return one != two and one[0] <= two[0] and two[1] <= one[1]

    inner = [one for one in loops if not any(contains(one, two) for two in loops)]
    bodies = [lines[start:end] for start, end in inner]
    return max(bodies, key=lambda body: count_of(multiply_add, body))


def amd(wgsl, entry, gpu):
    """Multiply-adds in the vector instructions of the hot loop, and registers."""
    statistics, lines = compiled(wgsl, entry, gpu)
    multiply_add = r"\s*v_(dual_)?fma"
    loop = hot_loop(lines, r"(BB\d+):", r"\s*s_c?branch\w* (BB\d+)", multiply_add)
    count = count_of(multiply_add, loop)
    return {
        "density": count / count_of(r"\s*v_", loop),
        "per_memory": count / max(count_of(r"\s*(ds|buffer|global)_", loop), 1),
        "width": int(statistics["Subgroup size"]),
        "registers": int(statistics["VGPRs"]),
        "spills": int(statistics["Spilled VGPRs"]) + int(statistics["Spilled SGPRs"]),
        "waves": int(statistics["Subgroups per SIMD"]),
    }


def intel(wgsl, entry, gpu):
    """Multiply-adds in the arithmetic instructions of the hot loop, and in its messages to memory."""
    statistics, lines = compiled(wgsl, entry, gpu)
    # A label stands at the start of a line, and a predicate in brackets may stand before an instruction.
    lines = [re.sub(r"^\([+-]f[^)]*\)\s*", "", line.strip()) for line in lines]
    multiply_add = r"mad\(\d+\)\s+\S+>F"
    loop = hot_loop(lines, r"(LABEL\d+):", r"while.*JIP:\s*(LABEL\d+)", multiply_add)
    instructions = [line for line in loop if re.match(r"[a-z][a-z0-9. ]*\(\s*\d+\s*\)", line)]
    sends = count_of("send", instructions)
    count = count_of(multiply_add, instructions)
    return {
        "density": count / (len(instructions) - sends - count_of("sync", instructions)),
        "per_memory": count / max(sends, 1),
        "width": int(statistics["Subgroup size"]),
        "spills": int(statistics["Spill Count"]) + int(statistics["Fill Count"]),
    }


def cases():
    """The benchmark, and every variant in every direction it is used for, also for both convolutions of a block with batch
    norm: a name, an entry point and WGSL."""
    yield "fma_rate", "fma_rate", kernels.source("fma_rate")
    for variant in kernels.variants():
        directions = {"forward": False, "gradient": True}
        if variant["file"] == "conv_weight_parts":
            directions = {"weight": False}
        for direction, is_gradient in directions.items():
            for channels, place in itertools.product((64, 65), (None, "first", "second")):
                name = f"{variant['name']} {direction}" + (" scalar" if channels % 4 != 0 else "")
                name += f", {place} of a block" if place else ""
                constants = variant["constants"]
                wgsl = kernels.source(variant["file"], constants, channels, channels, is_gradient, place)
                yield name, variant["file"], wgsl


def holds(value, bound):
    """Whether a count keeps its bound, [least] or [least, most]."""
    return bound[0] <= value and (len(bound) == 1 or value <= bound[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", default="gfx1102")
    parser.add_argument("--check", action="store_true", help="hold the counts to bounds.toml; compile only what has bounds")
    parser.add_argument("--only", default="", help="the variants whose names contain this text")
    arguments = parser.parse_args()
    bounds = tomllib.loads(Path(__file__).with_name("bounds.toml").read_text()).get(arguments.gpu, {})
    count = amd if arguments.gpu.startswith("gfx") else intel
    failures = 0
    for name, entry, wgsl in cases():
        if arguments.only not in name or (arguments.check and name not in bounds):
            continue
        counts = count(wgsl, entry, arguments.gpu)
        formats = {float: ".2f", int: ""}
        text = "  ".join(f"{key} {value:{formats[type(value)]}}" for key, value in counts.items())
        broken = [key for key, bound in bounds.get(name, {}).items() if not holds(counts[key], bound)]
        print(f"{name:45} {text}" + "".join(f"  OUT OF BOUNDS: {key}" for key in broken), flush=True)
        failures += len(broken)
    missing = bounds.keys() - {name for name, _, _ in cases()}
    if missing:
        sys.exit(f"isa.py: bounds.toml names kernels that are not there: {', '.join(sorted(missing))}")
    if arguments.check and failures > 0:
        sys.exit(1)


if __name__ == "__main__":
    main()
