"""Times Inception-v3's features in PyTorch, the peer of `metric_bench`.

    python bench/peers/pytorch_inception.py --batch 16 --threads 2

The network is torchvision's Inception3, whose convolutions are those of the FID's (the pools differ,
not their cost), from (N, 3, 299, 299) to (N, 2048), with its batch norms folded into the
convolutions by torch.compile or by hand: every recipe that is sensible is tried, the fastest counts.
One JSON object on standard output.
"""

import argparse
import copy
import json
import os
import time

import torch
import torchvision


def fold(network):
    """Batch norms become part of the convolutions, as in ours."""
    folded = copy.deepcopy(network)
    for module in folded.modules():
        if hasattr(module, "conv") and hasattr(module, "bn"):
            module.conv = torch.nn.utils.fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = torch.nn.Identity()
    return folded


def median_and_best(run, samples):
    run()
    times = []
    for _ in range(samples):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2], min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--samples", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = torchvision.models.Inception3(aux_logits=False, init_weights=False).eval()
    network.dropout = network.fc = torch.nn.Identity()
    x = torch.randn(options.batch, 3, 299, 299)
    recipes = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        for name, module in (("plain", network), ("folded", fold(network))):
            module = module.to(memory_format=layout)
            input = x.to(memory_format=layout)
            with torch.inference_mode():
                median, best = median_and_best(lambda: module(input), options.samples)
            recipes[f"{name}, {str(layout).removeprefix('torch.')}"] = {
                "median_ms": 1e3 * median,
                "best_ms": 1e3 * best,
            }
    winner = min(recipes, key=lambda name: recipes[name]["best_ms"])
    report = {
        "work": "inception",
        "torch": torch.__version__,
        "threads": options.threads,
        "batch": options.batch,
        "recipe": winner,
        **recipes[winner],
        "images_per_s": 1e3 * options.batch / recipes[winner]["median_ms"],
        "recipes": recipes,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
