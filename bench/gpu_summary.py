#!/usr/bin/env python3
"""Judges what scripts/gpu_check.sh measured.

  gpu_summary.py losses --tolerance 1e-3 RUN_A RUN_B   # metrics.jsonl of both, step by step
  gpu_summary.py summary OUT                           # writes OUT/summary.json
"""

import argparse
import json
import pathlib
import platform
import subprocess
import sys


def read_losses(run):
    lines = (pathlib.Path(run) / "metrics.jsonl").read_text().splitlines()
    return {line["step"]: line["loss"] for line in map(json.loads, lines)}


def losses(options):
    """The largest relative difference of two runs' losses, and whether it is within tolerance."""
    a, b = read_losses(options.a), read_losses(options.b)
    if not a or a.keys() != b.keys():
        sys.exit(f"the runs have {len(a)} and {len(b)} losses, of different steps or none")
    differences = {step: abs(a[step] - b[step]) / abs(a[step]) for step in a}
    worst = max(differences, key=differences.get)
    within = differences[worst] <= options.tolerance
    print(json.dumps({"steps": len(a), "worst_step": worst, "difference": differences[worst],
                      "tolerance": options.tolerance, "within": within}))
    return 0 if within else 1


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def first_line(*command):
    text = output_of(*command)
    return text.splitlines()[0] if text else None


class Measured:
    """The JSON files of OUT; a figure that is not there is None."""

    def __init__(self, out):
        self.out = out

    def read(self, name):
        try:
            return json.loads((self.out / f"{name}.json").read_text())
        except (OSError, ValueError):
            return None

    def rows(self, name, **wanted):
        report = self.read(name) or {"results": []}
        return [row for row in report["results"]
                if all(row.get(key) == value for key, value in wanted.items())]

    def figure(self, name, key, **wanted):
        rows = self.rows(name, **wanted)
        return rows[0][key] if rows else None

    def ratio(self, name):
        report = self.read(name)
        return report["results"][0]["ratio"] if report else None

    def convolution(self, channels):
        """TFLOP/s of the slowest 3x3 convolution with this many channels in and out at 32^2 and
        16^2, where most of the work is, forward and for the data's gradient, by the algorithm that
        is chosen: the first row."""
        rates = [
            self.figure("conv_bf16", "tflops", extent=extent, in_channels=channels, kernel=3,
                        out_channels=channels, stride=1, **{"pass": direction})
            for extent in (32, 16) for direction in ("forward", "backward_data")
        ]
        return min((rate for rate in rates if rate is not None), default=None)


def thresholds(m):
    """name -> (measured, bound, whether more is better)"""
    norm = m.figure("norm_bf16", "of_peak", op="GroupNormSilu", **{"pass": "forward"})
    memory = m.figure("step_bf16", "memory_bytes", network="cifar10", batch=128)
    return {
        "training_over_pytorch": (m.ratio("pytorch_train"), 1.3, True),
        "sampling_over_pytorch": (m.ratio("pytorch_sample"), 1.5, True),
        "sampling_256x1000_seconds": (
            m.figure("sample_bf16", "seconds_for_256x1000", network="cifar10", batch=256), 8, False),
        "convolution_128_tflops": (m.convolution(128), 500, True),
        "convolution_256_tflops": (m.convolution(256), 550, True),
        "group_norm_of_copy": (norm, 0.8, True),
        "training_memory_gb": (memory and memory / 1e9, 6, False),
    }


def judge(measured, bound, more_is_better):
    if measured is None:
        return "not measured"
    return "pass" if (measured >= bound if more_is_better else measured <= bound) else "fail"


def is_fine(part):
    tolerated = ("passed", "skipped", "timed_out", "no_time")
    return part["status"] in (tolerated if part["importance"] == "optional" else ("passed",))


def summary(options):
    out = pathlib.Path(options.out)
    parts = [json.loads(line) for line in (out / "parts.jsonl").read_text().splitlines()]
    checks = {
        name: {"measured": value, "bound": ("at least " if more else "at most ") + str(bound),
               "status": judge(value, bound, more)}
        for name, (value, bound, more) in thresholds(Measured(out)).items()
    }
    passed = all(map(is_fine, parts)) and all(c["status"] == "pass" for c in checks.values())
    query = "--query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit"
    step = Measured(out).read("step_bf16") or {}
    report = {
        "passed": passed,
        "card": first_line("nvidia-smi", query, "--format=csv,noheader"),
        "cuda": (step.get("gpu") or {}).get("runtime"),
        "commit": (step.get("git") or {}).get("commit"),
        "cpu": (step.get("host") or {}).get("cpu"),
        "os": platform.platform(),
        "python": platform.python_version(),
        "torch": (Measured(out).read("pytorch_train") or {}).get("torch"),
        "started": step.get("started"),
        "thresholds": checks,
        "parts": parts,
    }
    (out / "summary.json").write_text(json.dumps(report, indent=2) + "\n")
    for name, check in checks.items():
        value = check["measured"]
        print(f"{name:<28} {'-' if value is None else f'{value:.3g}':>10}   {check['bound']:<14}"
              f" {check['status']}")
    print(f"{'passed' if passed else 'NOT passed'}: {out / 'summary.json'}")
    return 0 if passed else 1


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("losses")
    command.add_argument("--tolerance", type=float, required=True)
    command.add_argument("a")
    command.add_argument("b")
    command.set_defaults(run=losses)
    command = commands.add_parser("summary")
    command.add_argument("out")
    command.set_defaults(run=summary)
    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
