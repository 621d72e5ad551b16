"""Makes unet.h5: what the U-Net computes in float64, according to PyTorch.

Regenerate with any Python that has torch, numpy and h5py (ten seconds, 2 GB):

    python tests/golden/make_unet_golden.py [--output unet.h5]

Another machine or PyTorch changes the last few bits (not more: ~1e-13 relative).

Weights and inputs are not stored; both sides draw them. Let u(site) be the uniform stream of
framework/random/philox.h with seed 1, step 0, row 0, and the element's index in the whole tensor
(our layout, row-major). With s = 2 u - 1, in float64:

    parameter of rank >= 2   s(path) / sqrt(product of all extents but the first)
    norm weight (rank 1)     1 + 0.1 s(path)
    bias                     0.1 s(path)
    input x, NHWC            s("x")
    loss                     sum(output * s("loss")), over the NHWC output

unet.h5, all float64 but the i32 timesteps:

    unet/CASE              attribute "config": JSON, the network (no dropout)
      timesteps (N), output (N, H, W, out_channels), input_gradient (N, H, W, channels)
      gradients/PATH       small cases: every parameter, in registration order
      gradient_norms, gradient_projections
                           the CIFAR-10 case: the L2 norm and sum(g * s(path + "/projection")) of
                           every parameter, in the order of the attribute "paths" (a JSON list)
    time_embedding         timesteps (T), dimension_128 (T, 128), dimension_7 (T, 7)
    conv2d_same_stride_2   x, weight, bias, y, dy, dx, dweight, dbias

Compare with an absolute floor: softmax ignores what is common to all keys, so that the gradient of
every attention's key/bias is zero but for rounding.
"""

import argparse
import json
import pathlib
import sys

import h5py
import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "bench" / "peers"))

import philox  # noqa: E402
import pytorch_unet  # noqa: E402

SEED = 1

GREY = dict(
    height=8,
    width=8,
    channels=1,
    out_channels=1,
    base_channels=8,
    channel_multipliers=[1, 2],
    blocks_per_level=1,
    attention_resolutions=[4],
    attention_heads=1,
    upsample="nearest_conv",
    downsample="strided_conv",
)
RGB = GREY | dict(channels=3, out_channels=3)
CIFAR10 = RGB | dict(
    height=32,
    width=32,
    base_channels=128,
    channel_multipliers=[1, 2, 2, 2],
    blocks_per_level=2,
    attention_resolutions=[16],
)

# name: (network, timesteps); the batch is as large as the list of timesteps.
CASES = {
    "grey": (GREY, [0, 999]),
    "non_square_two_heads": (RGB | dict(width=12, attention_heads=2), [3, 500]),
    "four_channels_three_levels": (
        GREY | dict(channels=4, out_channels=4, channel_multipliers=[1, 1, 2], blocks_per_level=2),
        [1, 250, 998],
    ),
    "transposed_conv_average_pool": (
        RGB | dict(upsample="transposed_conv", downsample="average_pool"),
        [10, 700],
    ),
    # Width 10 has two groups of five channels, and 10 + 20 joined channels six of five.
    "no_attention_resolutions": (RGB | dict(base_channels=10, attention_resolutions=[]), [42, 420]),
    "learned_variance": (RGB | dict(out_channels=6, attention_resolutions=[8, 4]), [0, 77]),
    "cifar10": (CIFAR10, [0, 999]),
}


def symmetric(site, shape):
    return 2 * philox.uniform(SEED, site, shape) - 1


def parameter_value(path, shape):
    s = symmetric(path, shape)
    if len(shape) >= 2:
        return s * np.sqrt(1 / np.prod(shape[1:]))
    return 0.1 * s if path.endswith("/bias") else 1 + 0.1 * s


def nhwc(tensor):
    return tensor.detach().permute(0, 2, 3, 1).contiguous().numpy()


def add_network(group, config, timesteps):
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    network = pytorch_unet.UNet(pytorch_unet.UNetConfig(**fields, dropout=0.0)).double()
    shapes = pytorch_unet.parameter_shapes(network)
    values = {path: parameter_value(path, shape) for path, shape in shapes.items()}
    pytorch_unet.load_parameters(network, values)

    n, height, width = len(timesteps), config["height"], config["width"]
    x = torch.tensor(symmetric("x", (n, height, width, config["channels"])))
    x = x.permute(0, 3, 1, 2).requires_grad_()
    output = network(x, torch.tensor(timesteps))
    weights = symmetric("loss", (n, height, width, config["out_channels"]))
    (output * torch.tensor(weights).permute(0, 3, 1, 2)).sum().backward()

    gradients = pytorch_unet.gradients(network)
    for path, gradient in gradients.items():  # a golden zero would accept a missing gradient
        assert path.endswith("/key/bias") or np.abs(gradient).max() > 1e-4, path

    group.attrs["config"] = json.dumps(config)
    group["timesteps"] = np.array(timesteps, np.int32)
    group["output"] = nhwc(output)
    group["input_gradient"] = nhwc(x.grad)
    if config is CIFAR10:
        group.attrs["paths"] = json.dumps(list(gradients))
        group["gradient_norms"] = [np.linalg.norm(g) for g in gradients.values()]
        group["gradient_projections"] = [
            np.sum(g * symmetric(path + "/projection", g.shape)) for path, g in gradients.items()
        ]
    else:
        stored = group.create_group("gradients", track_order=True)
        for path, gradient in gradients.items():
            *parents, name = path.split("/")
            parent = stored
            for folder in parents:
                if folder not in parent:
                    parent.create_group(folder, track_order=True)
                parent = parent[folder]
            parent[name] = gradient


def add_time_embedding(group):
    timesteps = [0, 1, 500, 999]
    group["timesteps"] = np.array(timesteps, np.int32)
    for dimension in (128, 7):
        y = pytorch_unet.timestep_embedding(torch.tensor(timesteps), dimension)
        group[f"dimension_{dimension}"] = y.numpy()


def add_strided_conv(group):
    """TensorFlow's 'SAME' at stride 2, by the definition: plain sums, no PyTorch."""
    n, height, width, c, k = 2, 6, 8, 3, 5
    x = symmetric("conv/x", (n, height, width, c))
    weight = symmetric("conv/weight", (k, 3, 3, c))
    bias = symmetric("conv/bias", (k,))
    dy = symmetric("conv/dy", (n, height // 2, width // 2, k))
    y = np.zeros_like(dy) + bias
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    for p in range(height // 2):
        for q in range(width // 2):
            for r in range(3):
                for s in range(3):
                    h, w = 2 * p + r, 2 * q + s  # pad_top = pad_left = 0
                    if h < height and w < width:
                        y[:, p, q] += x[:, h, w] @ weight[:, r, s].T
                        dx[:, h, w] += dy[:, p, q] @ weight[:, r, s]
                        dweight[:, r, s] += dy[:, p, q].T @ x[:, h, w]
    conv = pytorch_unet.StridedConv(c)  # c -> c channels: compare the first c of our k
    conv.weight = torch.nn.Parameter(torch.tensor(weight).permute(0, 3, 1, 2)[:c])
    conv.bias = torch.nn.Parameter(torch.tensor(bias)[:c])
    theirs = nhwc(conv(torch.tensor(x).permute(0, 3, 1, 2)))
    assert np.allclose(theirs, y[..., :c], rtol=0, atol=1e-13)
    tensors = dict(x=x, weight=weight, bias=bias, y=y, dy=dy, dx=dx, dweight=dweight)
    for name, value in (tensors | dict(dbias=dy.sum((0, 1, 2)))).items():
        group[name] = value


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "unet.h5")
    arguments = parser.parse_args()
    philox.check_known_answers()
    pytorch_unet.check_parameter_counts()
    pytorch_unet.check_resampling()
    # libver: the file is readable by every HDF5 since 1.8.
    with h5py.File(arguments.output, "w", libver=("v108", "v108"), track_order=True) as file:
        for name, (config, timesteps) in CASES.items():
            group = file.create_group(f"unet/{name}", track_order=True)
            add_network(group, config, timesteps)
        add_time_embedding(file.create_group("time_embedding"))
        add_strided_conv(file.create_group("conv2d_same_stride_2"))
    print(f"{arguments.output}: {arguments.output.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
