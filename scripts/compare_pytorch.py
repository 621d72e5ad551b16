#!/usr/bin/env python3
"""Times our step and PyTorch's by turns, A B A B, and prints the ratio of the medians.

  scripts/compare_pytorch.py --python venv/bin/python --network cifar10 --batch 16
  scripts/compare_pytorch.py --python python3 --batch 16 -- --layout channels_last --compile

--python names an interpreter that has torch; what follows -- goes to bench/peers/pytorch_step.py,
whose README says which recipes are sensible and what is fair. A machine that others use drifts
within a minute, so both sides take their turn in every round.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def parse_arguments():
    own, peer = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, peer = own[:at], own[at + 1:]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", required=True, help="an interpreter that has torch")
    parser.add_argument("--build", default="build/release", help="folder of our build")
    parser.add_argument("--network", choices=["digits", "cifar10"], default="cifar10")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--work", choices=["train", "sample", "both"], default="both")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--samples", type=int, default=5, help="for each figure of a round")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args(own)
    arguments.peer = peer
    return arguments


def run(command):
    print("+", *command, file=sys.stderr)
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(result.stdout)


def time_ours(options, common):
    report = run([str(ROOT / options.build / "bin/step_bench"), "--json", *common])
    for figure in report["results"]:
        if figure["healthy_samples"] == 0:
            print(f"warning: no healthy sample of {figure['work']}, the machine was busy",
                  file=sys.stderr)
    return {figure["work"]: figure["median_ms"] for figure in report["results"]}


def time_peer(options, common):
    report = run([options.python, str(ROOT / "bench/peers/pytorch_step.py"), *common, *options.peer])
    figures = {"train": report["best_train"], "sample": report["best_sample"]}
    return {work: figure["median_ms"] for work, figure in figures.items() if figure}


def main():
    options = parse_arguments()
    common = []
    for name in ("network", "batch", "work", "threads", "samples"):
        common += [f"--{name}", str(getattr(options, name))]
    ours, peer = [], []
    for _ in range(options.rounds):
        ours.append(time_ours(options, common))
        peer.append(time_peer(options, common))
    for work in ours[0]:
        if not all(work in figures for figures in peer):
            sys.exit(f"PyTorch could not run the {work} step; see its report above")
        a = [figures[work] for figures in ours]
        b = [figures[work] for figures in peer]
        for name, values in (("ours", a), ("PyTorch", b)):
            print(f"{work:<6} {name:<8} {statistics.median(values):10.2f} ms"
                  f"   rounds: {' '.join(f'{v:.2f}' for v in values)}")
        print(f"{work:<6} PyTorch / ours = {statistics.median(b) / statistics.median(a):.2f}")


if __name__ == "__main__":
    main()
