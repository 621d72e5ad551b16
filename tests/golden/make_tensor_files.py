#!/usr/bin/env python3
"""Writes small files of tensors as PyTorch, NumPy and safetensors write them; the tests of
framework/io read them and damage them.

  pip install torch numpy safetensors
  tests/golden/make_tensor_files.py           # into the folder of this script

The values are those that tests/framework/io/torch_file_test.cpp and npy_test.cpp expect.
"""

import collections
import pathlib

import numpy as np
import safetensors.torch
import torch

FOLDER = pathlib.Path(__file__).resolve().parent


def state_dict():
    shared = torch.arange(10, dtype=torch.float32)
    state = collections.OrderedDict()
    state["conv.weight"] = torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2) / 8
    state["transposed"] = torch.arange(6, dtype=torch.float32).reshape(2, 3).t()
    state["shared.all"] = shared
    state["shared.tail"] = shared[6:]
    state["shared.every_third"] = shared[1:10:3]
    state["expanded"] = torch.tensor([3.0]).expand(2, 2)
    state["steps"] = torch.tensor(42)
    state["empty"] = torch.empty(0, 3)
    state["f64"] = torch.tensor([1e300, -0.1], dtype=torch.float64)
    state["f16"] = torch.tensor([1.5, -2.0**-24, 65504, float("inf"), 0.0], dtype=torch.float16)
    state["bf16"] = torch.tensor([1.5, -3e38], dtype=torch.bfloat16)
    state["i32"] = torch.tensor([-(2**31), 7], dtype=torch.int32)
    state["i16"] = torch.tensor([-(2**15), 7], dtype=torch.int16)
    state["i8"] = torch.tensor([-128, 7], dtype=torch.int8)
    state["u8"] = torch.tensor([255, 7], dtype=torch.uint8)
    state["bool"] = torch.tensor([True, False])
    state["parameter"] = torch.nn.Parameter(torch.tensor([0.25]))
    return state


def nested():
    """A checkpoint as training scripts save it, with a real module's state dict in it."""
    norm = torch.nn.BatchNorm2d(2)
    state = norm.state_dict()  # its _metadata is pickled, too
    return {"model": state, "step": 7, "rate": 0.5, "name": "x", "none": None,
            "averages": [{"weight": torch.tensor([1.0, 2.0])}], "shape": norm.weight.shape}


def main():
    state = state_dict()
    torch.save(state, FOLDER / "tensors_zip.pth")
    torch.save(state, FOLDER / "tensors_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(nested(), FOLDER / "tensors_nested.pth", pickle_protocol=4)
    safetensors.torch.save_file({name: t.contiguous().clone() for name, t in state.items()},
                                FOLDER / "tensors.safetensors", metadata={"format": "pt"})

    cube = np.arange(24, dtype=np.float64).reshape(2, 3, 4) / 8
    arrays = {"mu": np.array([0.5, -1.5]), "sigma": np.asfortranarray(cube[0]),
              "cube": np.asfortranarray(cube), "arr_0": np.arange(12, dtype=np.uint8).reshape(3, 4),
              "f32": np.float32([[0.1]]), "i64": np.int64(-5), "f16": np.float16([1.5, 2.0**-24]),
              "none": np.zeros((0, 3), np.float32)}
    np.savez(FOLDER / "arrays_stored.npz", **arrays)
    np.savez_compressed(FOLDER / "arrays_deflated.npz", **arrays)


if __name__ == "__main__":
    main()
