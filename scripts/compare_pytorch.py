#!/usr/bin/env python3
"""Times our step and PyTorch's by turns, A B A B A, and prints the ratio of the medians.

  scripts/compare_pytorch.py --python venv/bin/python --network cifar10 --batch 16
  scripts/compare_pytorch.py --python python3 --batch 16 -- --layout channels_last --compile
  scripts/compare_pytorch.py --python python3 --device cuda --dtype bf16 --batch 128 --json -- --best

--python names an interpreter that has torch; what follows -- goes to bench/peers/pytorch_step.py,
whose README says which recipes are sensible and what is fair. A machine that others use drifts
within a minute, so both sides take their turn in every round; on a GPU, which nobody shares but
which warms up, there is one round, for compiling PyTorch's recipes takes minutes. --json prints one
object with all rows of PyTorch's report.
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
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--samples", type=int, default=5, help="for each figure of a round")
    parser.add_argument("--rounds", type=int, help="2; 1 on a GPU")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args(own)
    if arguments.rounds is None:
        arguments.rounds = 1 if arguments.device == "cuda" else 2
    arguments.peer = peer
    return arguments


def run(command):
    print("+", *command, file=sys.stderr)
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(result.stdout)


def time_ours(options, common, work):
    """Our report of one program and its only figure."""
    program = {"train": "step_bench", "sample": "sample_bench"}[work]
    report = run([str(ROOT / options.build / "bin" / program), "--json", *common])
    [figure] = report["results"]
    if figure["healthy_samples"] == 0:
        print(f"warning: no healthy sample of {work}, the machine was busy", file=sys.stderr)
    return report, figure


def time_peer(options, common, work):
    """PyTorch's report and the row of its best recipe."""
    report = run([options.python, str(ROOT / "bench/peers/pytorch_step.py"), *common,
                  "--work", work, *options.peer])
    best = report[f"best_{work}"]
    if best is None:
        sys.exit(f"PyTorch could not run the {work} step: {json.dumps(report['results'])}")
    return report, best


def compare(options, common, work):
    ours, peers = [], []
    for _ in range(options.rounds):
        ours.append(time_ours(options, common, work))
        peers.append(time_peer(options, common, work))
    ours.append(time_ours(options, common, work))
    our_times = [figure["median_ms"] for _, figure in ours]
    peer_times = [best["median_ms"] for _, best in peers]
    report, last = ours[-1]
    peer_report, peer_best = min(peers, key=lambda peer: peer[1]["median_ms"])
    return {
        "work": work,
        "network": options.network,
        "batch": options.batch,
        "dtype": options.dtype,
        "ratio": statistics.median(peer_times) / statistics.median(our_times),
        "our_ms": our_times,
        "peer_ms": peer_times,
        "ours": last,
        "peer_best": peer_best,
        "peer_rows": peer_report["results"],
        "peer_parameters": peer_report["parameters"],
        "commit": report["git"]["commit"],
        "gpu": report["gpu"],
        "cpu": report["host"]["cpu"],
        "torch": peer_report["torch"],
    }


def main():
    options = parse_arguments()
    common = []
    for name in ("network", "batch", "device", "dtype", "threads", "samples"):
        common += [f"--{name}", str(getattr(options, name))]
    works = ["train", "sample"] if options.work == "both" else [options.work]
    results = [compare(options, common, work) for work in works]
    if options.json:
        print(json.dumps({"torch": results[0]["torch"], "results": results}, indent=2))
        return
    for r in results:
        for name, values in (("ours", r["our_ms"]), ("PyTorch", r["peer_ms"])):
            print(f"{r['work']:<6} {name:<8} {statistics.median(values):10.2f} ms"
                  f"   rounds: {' '.join(f'{v:.2f}' for v in values)}")
        print(f"{r['work']:<6} PyTorch / ours = {r['ratio']:.2f}")


if __name__ == "__main__":
    main()
