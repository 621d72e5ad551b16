#!/usr/bin/env python3
"""Makes samplers.h5: what diffusers' schedulers do step by step, for samplers_golden_test.cpp.

  python tests/golden/make_samplers_golden.py      # needs torch, h5py, diffusers 0.42

Every group is a case: attributes "process" and "sampler" (our configuration of the same thing, JSON)
and, for n = 6 numbers and the K evaluations of a "network" that is a formula,
  x_T (n), outputs (K, n), x (K, n) after each evaluation, noise (K, n) where it is used
so that both sides see the same outputs and the same noise. The attribute "compared" lists the
evaluations after which both say they do the same; docs/samplers.md says where they do not agree.

diffusers' tables are f32, where 1 - alpha_bar loses four digits at t = 0. They and the sigmas that
follow are replaced by f64 here; the attribute "sigma_0_in_f32" records what sigma was.
"""

import json
import pathlib

import diffusers
import h5py
import numpy as np
import torch
from diffusers import schedulers

N = 6
rng = np.random.default_rng(2020)


def exact_tables(scheduler, timesteps):
    betas = torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64)
    scheduler.betas = betas
    scheduler.alphas = 1 - betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, 0)
    scheduler.one = torch.tensor(1.0, dtype=torch.float64)
    for end in ["final_alpha_cumprod", "initial_alpha_cumprod"]:
        if hasattr(scheduler, end):
            setattr(scheduler, end, torch.tensor(1.0, dtype=torch.float64))
    if hasattr(scheduler, "alpha_t"):
        scheduler.alpha_t = scheduler.alphas_cumprod.sqrt()
        scheduler.sigma_t = (1 - scheduler.alphas_cumprod).sqrt()
        scheduler.lambda_t = torch.log(scheduler.alpha_t) - torch.log(scheduler.sigma_t)


def exact_sigmas(scheduler, steps):
    """What set_timesteps rounds to f32."""
    all_sigmas = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt().numpy()
    ramp, low, high = np.linspace(0, 1, steps), all_sigmas[0], all_sigmas[-1]
    if scheduler.config.use_karras_sigmas:
        sigmas = (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7
    else:
        sigmas = np.exp(np.log(high) + ramp * (np.log(low) - np.log(high)))
    ends = scheduler.config.get("final_sigmas_type", "zero") == "zero"
    sigmas = torch.from_numpy(np.append(sigmas, 0 if ends else low))
    if len(scheduler.sigmas) > steps + 1:  # Heun has each but the ends twice
        sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    assert torch.allclose(sigmas, scheduler.sigmas.double(), rtol=1e-6)
    return sigmas


def network(x, sigma, kind):
    """A smooth guess of epsilon, x_0 or v that keeps x within reason."""
    signal, noise = 1 / np.sqrt(1 + sigma**2), sigma / np.sqrt(1 + sigma**2)
    x0 = 0.8 * np.tanh(signal * x) + 0.1 * np.sin(3 * x + np.arange(N))
    return {"epsilon": (x - signal * x0) / noise, "sample": x0,
            "v_prediction": (signal * x - x0) / noise}[kind]


def write(file, name, process, sampler, x_T, outputs, xs, noise=None, compared=None):
    group = file.create_group(name)
    group.attrs["compared"] = json.dumps(list(range(len(xs)) if compared is None else compared))
    group.attrs["process"] = json.dumps(process)
    group.attrs["sampler"] = json.dumps(sampler)
    group["x_T"] = np.asarray(x_T)
    group["outputs"] = np.asarray(outputs)
    group["x"] = np.asarray(xs)
    if noise is not None:
        group["noise"] = np.asarray(noise)


OURS = {"epsilon": "epsilon", "sample": "x0", "v_prediction": "velocity"}


def run(file, name, scheduler, ours, steps, kind="epsilon", variance_exploding=False,
        compared=None):
    """Multistep and singlestep solvers, which carry their own sigmas."""
    exact_tables(scheduler, 1000)
    scheduler.set_timesteps(steps)
    x_T = rng.standard_normal(N)
    scheduler.sigmas = exact_sigmas(scheduler, steps)
    sigmas = scheduler.sigmas.numpy()
    scale = (lambda s: np.sqrt(1 + s**2)) if variance_exploding else (lambda s: 1.0)
    x = torch.from_numpy(x_T * scale(sigmas[0])).reshape(1, N, 1)
    outputs, xs = [], []
    for k, t in enumerate(scheduler.timesteps):
        sigma = sigmas[k]
        output = network(x.numpy().ravel() / scale(sigma), sigma, kind)
        x = scheduler.step(torch.from_numpy(output).reshape(1, N, 1), t, x).prev_sample.double()
        outputs.append(output)
        xs.append(x.numpy().ravel() / scale(sigmas[k + 1]))
    write(file, name, {"parameterization": OURS[kind]}, {"clip_denoised": False, **ours}, x_T,
          outputs, xs, compared=compared)


def chain(file, name, scheduler, ours, timesteps, steps, noise_of, process=None, **options):
    """Schedulers of the discrete chain."""
    exact_tables(scheduler, timesteps)
    scheduler.set_timesteps(steps)
    x_T = rng.standard_normal(N)
    x = torch.from_numpy(x_T).reshape(1, N, 1)
    outputs, xs, noise = [], [], []
    for t in scheduler.timesteps:
        bar = scheduler.alphas_cumprod[t].item()
        output = network(x.numpy().ravel(), np.sqrt((1 - bar) / bar), "epsilon")
        z = rng.standard_normal(N)
        x = noise_of(scheduler, torch.from_numpy(output).reshape(1, N, 1), t, x,
                     torch.from_numpy(z).reshape(1, N, 1), options).prev_sample
        outputs.append(output)
        xs.append(x.numpy().ravel())
        noise.append(z)
    write(file, name, {"timesteps": timesteps, **(process or {})}, ours, x_T, outputs, xs, noise)


def ddpm_step(scheduler, output, t, x, z, options):
    module = schedulers.scheduling_ddpm
    module.randn_tensor = lambda *a, **k: z
    return scheduler.step(output, t, x)


def ddim_step(scheduler, output, t, x, z, options):
    return scheduler.step(output, t, x, variance_noise=z if options.get("eta") else None, **options)


def inversion(file, name, steps):
    """DDIM's way back. The first step, from the clean image to t = 0, is not of it with us."""
    scheduler = schedulers.DDIMInverseScheduler(1000, clip_sample=False)
    exact_tables(scheduler, 1000)
    scheduler.set_timesteps(steps)
    x = torch.from_numpy(np.tanh(rng.standard_normal(N))).reshape(1, N, 1)
    outputs, xs = [], []
    for t in scheduler.timesteps:
        bar = scheduler.alphas_cumprod[t].item()
        output = network(x.numpy().ravel(), np.sqrt((1 - bar) / bar), "epsilon")
        x = scheduler.step(torch.from_numpy(output).reshape(1, N, 1), t, x).prev_sample
        outputs.append(output)
        xs.append(x.numpy().ravel())
    write(file, name, {}, {"name": "ddim", "steps": steps, "clip_denoised": False}, xs[0],
          outputs[1:], xs[1:])


def main():
    path = pathlib.Path(__file__).with_name("samplers.h5")
    with h5py.File(path, "w") as file:
        file.attrs["diffusers"] = diffusers.__version__
        f32 = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float32), 0)[0]
        file.attrs["sigma_0_in_f32"] = float(((1 - f32) / f32).sqrt())

        for variance in ["fixed_small", "fixed_large"]:
            chain(file, f"ddpm_{variance}",
                  schedulers.DDPMScheduler(40, variance_type=variance, clip_sample=True),
                  {"name": "ancestral"}, 40, 40, ddpm_step, {"variance": variance})
        for eta in [0, 0.5, 1]:
            chain(file, f"ddim_eta_{eta}",
                  schedulers.DDIMScheduler(1000, clip_sample=True, set_alpha_to_one=True),
                  {"name": "ddim", "steps": 20, "eta": eta}, 1000, 20, ddim_step, eta=eta,
                  use_clipped_model_output=True)
        chain(file, "ddim_trailing",
              schedulers.DDIMScheduler(1000, clip_sample=False, timestep_spacing="trailing"),
              {"name": "ddim", "steps": 20, "stride": "trailing", "clip_denoised": False}, 1000, 20,
              ddim_step, eta=0)

        common = {"timestep_spacing": "linspace"}
        multi, single = schedulers.DPMSolverMultistepScheduler, schedulers.DPMSolverSinglestepScheduler
        for kind in OURS:
            run(file, f"dpm_solver_pp_2m_{kind}",
                multi(1000, use_exponential_sigmas=True, prediction_type=kind, **common),
                {"name": "dpm_solver++", "steps": 16}, 16, kind)
        run(file, "dpm_solver_pp_2m_edm", multi(1000, use_karras_sigmas=True, **common),
            {"name": "dpm_solver++", "steps": 16, "spacing": "edm"}, 16)
        run(file, "dpm_solver_2m_noise",
            multi(1000, use_exponential_sigmas=True, algorithm_type="dpmsolver",
                  final_sigmas_type="sigma_min", lower_order_final=False, **common),
            {"name": "dpm_solver++", "steps": 16, "estimate": "epsilon"}, 16, compared=range(15))
        run(file, "dpm_solver_pp_2m_threshold",
            multi(1000, use_exponential_sigmas=True, thresholding=True, dynamic_thresholding_ratio=0.7,
                  sample_max_value=1e9, **common),
            {"name": "dpm_solver++", "steps": 16, "dynamic_threshold": 0.7}, 16)
        run(file, "dpm_solver_pp_3m", multi(1000, use_exponential_sigmas=True, solver_order=3, **common),
            {"name": "dpm_solver++", "steps": 16, "method": "3m"}, 16)
        for order, steps in [(1, 9), (2, 9), (3, 10)]:
            for name, kind, end in [("epsilon", "dpmsolver", "sigma_min"),
                                    ("x0", "dpmsolver++", "zero")]:
                run(file, f"dpm_solver_{order}_{name}",
                    single(1000, solver_order=order, algorithm_type=kind, final_sigmas_type=end,
                           use_exponential_sigmas=True),
                    {"name": "dpm_solver", "steps": steps, "order": order, "estimate": name}, steps,
                    # The third-order step's second point is another one of the same order.
                    compared=[k for k in range(steps - (name == "epsilon"))
                              if order < 3 or k % 3 != 1])
        for order, variant in [(1, "bh2"), (2, "bh1"), (2, "bh2"), (3, "bh2")]:
            run(file, f"unipc_{order}_{variant}",
                schedulers.UniPCMultistepScheduler(1000, solver_order=order, solver_type=variant,
                                                   use_karras_sigmas=True,
                                                   final_sigmas_type="zero", **common),
                {"name": "unipc", "steps": 16, "order": order, "variant": variant, "spacing": "edm"},
                # bh1's last step is NaN in diffusers; order 3 falls to 2, then 1 there.
                16, compared=range(14 if order == 3 else 15 if variant == "bh1" else 16))
        run(file, "heun", schedulers.HeunDiscreteScheduler(1000, 1e-4, 0.02, "linear",
                                                           use_karras_sigmas=True, **common),
            {"name": "heun", "steps": 15}, 8, variance_exploding=True)
        inversion(file, "ddim_inversion", 20)
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
