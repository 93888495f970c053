"""Times jempp and its peers in turn and prints one table.

    cargo build --release
    python3 benches/peers/run.py                       # CPU: jempp and PyTorch, W1 to W4
    python3 benches/peers/run.py --browser             # and W1, W2 in a headless Chromium
    python3 benches/peers/run.py --browser --device 0  # beside jempp on adapter 0

Each round starts every program anew; a round gives one median per work and program, the table the
median over the rounds and of the rounds' ratios.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORKS = ["W1", "W2", "W3", "W3-batch-norm", "W4"]
BROWSER_WORKS = ["W1", "W2"]


def run_json(command, env=None):
    """What a program prints as JSON."""
    found = subprocess.run(command, capture_output=True, text=True, env=env, cwd=HERE)
    if found.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{found.stderr}")
    return json.loads(found.stdout[found.stdout.index("{") :])


def jempp(args, device, works, repetitions):
    command = [args.jempp, "bench", "--json", "--device", device, "--works", ",".join(works)]
    report = run_json([*command, "--repetitions", str(repetitions)])
    times = {step["work"]["name"]: step["step_ms"] for step in report["steps"]}
    if report["training"]:
        times["W4"] = report["training"]["jem_plus_plus_ms"]
    return report, times


def pytorch(args, works):
    script = [args.python, HERE / "pytorch.py", "--threads", str(args.threads)]
    script += ["--works", ",".join(works), "--repetitions", str(args.repetitions)]
    report = run_json(script)
    times = {}
    for work, layouts in report["times"].items():
        for layout, values in layouts.items():
            times.setdefault(layout, {})[work] = statistics.median(values)
    return report["version"], times


def browser(args):
    works = [work for work in BROWSER_WORKS if work in args.works]
    command = ["node", HERE / "browser.mjs", "--works", ",".join(works)]
    command += ["--repetitions", str(args.repetitions), "--limit", str(args.limit)]
    # A driver chosen for jempp would be in Chromium's way.
    env = {key: value for key, value in os.environ.items() if key != "VK_DRIVER_FILES"}
    report = run_json([*command, *(["--hardware"] if args.hardware else [])], env)
    times = {}
    for work, peers in report["times"].items():
        for peer, found in peers.items():
            if "error" in found:
                print(f"{peer} {work}: {found['error']}", file=sys.stderr)
            else:
                times.setdefault(peer, {})[work] = statistics.median(found["times"])
    return report, times


def cpu_name():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown CPU"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--works", default=",".join(WORKS), type=lambda text: text.split(","))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=5, help="per round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="where jempp runs, beside the CPU")
    parser.add_argument("--no-pytorch", action="store_true")
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--hardware", action="store_true", help="Chromium's own adapter")
    parser.add_argument("--limit", type=int, default=300, help="seconds for one browser peer")
    parser.add_argument("--jempp", default=HERE.parents[1] / "target/release/jempp", type=Path)
    parser.add_argument("--python", default=sys.executable, help="a Python with torch")
    args = parser.parse_args()

    rounds, facts, load = {}, {"CPU": f"{cpu_name()}, {os.cpu_count()} cores"}, []

    def note(name, times):
        for work, value in times.items():
            rounds.setdefault(work, {}).setdefault(name, []).append(value)

    for index in range(args.rounds):
        print(f"round {index + 1} of {args.rounds}", file=sys.stderr)
        load.append(os.getloadavg()[0])
        _, times = jempp(args, "cpu", args.works, args.repetitions)
        note("jempp, CPU", times)
        if args.device != "cpu":
            works = [work for work in BROWSER_WORKS if work in args.works]
            report, times = jempp(args, args.device, works, 1)
            facts["adapter of jempp"] = report["device"]
            note(f"jempp, {report['device']}", times)
        if not args.no_pytorch:
            facts["PyTorch"], layouts = pytorch(args, args.works)
            for layout, times in layouts.items():
                note(f"PyTorch, {layout}", times)
        if args.browser:
            report, peers = browser(args)
            facts |= report["versions"]
            facts["adapter of Chromium"] = report["adapter"]
            for peer, times in peers.items():
                note(peer, times)

    for name, fact in facts.items():
        print(f"{name}: {fact}")
    print(f"load average at the start of a round: {min(load):.2f} to {max(load):.2f}")
    print(f"{args.rounds} rounds of {args.repetitions}; medians in ms\n")
    print("| work | program | ms | jempp on the CPU / this |\n|---|---|---:|---:|")
    for work, programs in rounds.items():
        ours = programs["jempp, CPU"]
        for name, values in programs.items():
            ratio = statistics.median(a / b for a, b in zip(ours, values))
            shown = "" if name == "jempp, CPU" else f"{ratio:.2f}"
            print(f"| {work} | {name} | {statistics.median(values):.1f} | {shown} |")


if __name__ == "__main__":
    main()
