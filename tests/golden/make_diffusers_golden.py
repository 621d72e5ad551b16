#!/usr/bin/env python3
"""Makes unet2d/: a small UNet2DModel of diffusers with random weights, and what it computes.

  pip install torch diffusers
  tests/golden/make_diffusers_golden.py                    # into the folder of this script
  tests/golden/make_diffusers_golden.py --check FOLDER     # what `ddpm export` made of it

  config.json, diffusion_pytorch_model.safetensors   as save_pretrained writes them
  legacy.bin      the same weights with the attention's names of google/ddpm-cifar10-32, by torch.save
  outputs.npz     x (4, 8, 8, 1), t (4), y (4, 8, 8, 1): y in float64 but for the embedding, which
                  diffusers computes in float32

The other direction: `ddpm import` the folder, `ddpm export` the run, and --check that diffusers loads
the export without a word and computes the same.
"""

import argparse
import pathlib

import diffusers
import numpy as np
import torch

FOLDER = pathlib.Path(__file__).resolve().parent / "unet2d"
# Everything that google/ddpm-cifar10-32 sets, small: three levels, two heads, groups of 2 channels.
CONFIG = dict(
    sample_size=8, in_channels=1, out_channels=1, block_out_channels=[4, 8, 8], layers_per_block=1,
    down_block_types=["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
    up_block_types=["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    attention_head_dim=4, norm_num_groups=2, norm_eps=1e-6, downsample_padding=0,
    flip_sin_to_cos=False, freq_shift=1, act_fn="silu", center_input_sample=False,
    mid_block_scale_factor=1, time_embedding_type="positional")
LEGACY = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


def random_model():
    torch.manual_seed(2020)
    model = diffusers.UNet2DModel(**CONFIG).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # gains and biases begin as ones and zeros
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn_like(parameter)
    return model


def inputs():
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return x, torch.tensor([0, 1, 500, 999])


@torch.no_grad()
def outputs(model):
    x, t = inputs()
    return model.double()(x.double(), t).sample.permute(0, 2, 3, 1).numpy()


def check(folder):
    model, info = diffusers.UNet2DModel.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    golden = np.load(FOLDER / "outputs.npz")
    error = np.abs(outputs(model.eval()) - golden["y"]).max()
    print(f"{folder}: largest difference {error:.1e}")
    assert error == 0, "the weights are not the same bits"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.check:
        return check(arguments.check)
    model = random_model()
    model.save_pretrained(FOLDER)
    state = model.state_dict()
    for new, old in LEGACY.items():
        state = {name.replace(new, old): tensor for name, tensor in state.items()}
    torch.save(state, FOLDER / "legacy.bin")
    x, t = inputs()
    y = outputs(model)
    assert 0.1 < y.std() < 10
    np.savez(FOLDER / "outputs.npz", x=x.permute(0, 2, 3, 1).numpy(), t=t.int().numpy(), y=y)


if __name__ == "__main__":
    main()
