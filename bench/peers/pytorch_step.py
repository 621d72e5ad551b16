"""Times one DDPM training step and one sampling step in PyTorch, as well as PyTorch can do them.

A training step is all of: draw t and noise, forward, MSE on the noise, backward, clip the global
gradient norm to 1, Adam, EMA 0.9999. A sampling step is one ancestral step of the reverse process
(forward, clipped x_0 estimate, posterior mean, noise). Data are random. Prints one JSON object; see
README.md for how to run it and for what is fair.

bf16 means bf16 weights in sampling; in training autocast with f32 weights, or bf16 weights whose f32
masters the optimizer advances (--weights), whichever is faster.
"""

import argparse
import contextlib
import dataclasses
import gc
import json
import os
import pathlib
import platform
import signal
import statistics
import sys
import time

import torch
import torch.nn.functional as F

from pytorch_unet import UNet, UNetConfig, parameter_count

NETWORKS = {
    "cifar10": UNetConfig(),
    "lsun256": UNetConfig(
        height=256, width=256, channel_multipliers=(1, 1, 2, 2, 4, 4), dropout=0.0
    ),
    "digits": UNetConfig(
        height=8, width=8, channels=1, out_channels=1, base_channels=32, channel_multipliers=(1, 2),
        attention_resolutions=(4,),
    ),
}
TIMESTEPS = 1000


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to run the step; everything that may change its speed but not its meaning."""

    dtype: str  # f32 | tf32 | bf16
    layout: str  # nchw | channels_last
    compile: str  # none, or a mode of torch.compile
    graph: bool  # capture the whole step in one CUDA graph
    weights: str = "f32"  # or bf16, with f32 masters: in bf16 training


def sensible_recipes(dtype, device):
    if device == "cpu":
        return [
            Recipe(dtype, layout, mode, graph=False)
            for layout in ("nchw", "channels_last")
            for mode in ("none", "default")
        ]
    # For a run with --budget: one that is ready within seconds, then the most promising first.
    recipes = [
        Recipe(dtype, "channels_last", "none", graph=True),
        Recipe(dtype, "channels_last", "default", graph=True),
        Recipe(dtype, "channels_last", "none", graph=False),
        Recipe(dtype, "channels_last", "reduce-overhead", graph=False),
        Recipe(dtype, "channels_last", "max-autotune-no-cudagraphs", graph=True),
        Recipe(dtype, "nchw", "default", graph=True),
    ]
    if dtype == "bf16":
        recipes.insert(2, dataclasses.replace(recipes[1], weights="bf16"))
    return recipes


class Process:
    """The linear schedule's tables, f32 on the device, and what both kinds of step share."""

    def __init__(self, config, recipe, batch, device):
        layouts = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
        self.layout = layouts[recipe.layout]
        self.device = device
        self.shape = (batch, config.channels, config.height, config.width)
        beta = torch.linspace(1e-4, 0.02, TIMESTEPS, dtype=torch.float64)
        signal = torch.cumprod(1 - beta, 0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), signal[:-1]])
        tables = {
            "signal": signal.sqrt(),
            "noise": (1 - signal).sqrt(),
            "mean_x0": beta * before.sqrt() / (1 - signal),
            "mean_xt": (1 - before) * (1 - beta).sqrt() / (1 - signal),
            "sigma": torch.where(torch.arange(TIMESTEPS) > 0, beta, 0).sqrt(),
        }
        self.tables = {name: table.float().to(device) for name, table in tables.items()}
        self.network = UNet(config).to(device, memory_format=self.layout)

    def at(self, name, t):
        return self.tables[name][t][:, None, None, None]

    def compiled(self, mode):
        return self.network if mode == "none" else torch.compile(self.network, mode=mode)

    def images(self):
        x = torch.rand(self.shape, device=self.device) * 2 - 1
        return x.contiguous(memory_format=self.layout)


class Training(Process):
    def __init__(self, config, recipe, batch, device):
        super().__init__(config, recipe, batch, device)
        self.x0 = self.images()
        self.parameters = list(self.network.parameters())
        self.working = []  # the bf16 copies that the network computes with, if there are any
        if recipe.weights == "bf16":
            self.parameters = [p.detach().clone() for p in self.parameters]
            self.network.to(torch.bfloat16)
            self.working = list(self.network.parameters())
        self.autocast = recipe.dtype == "bf16" and not self.working
        self.forward = self.compiled(recipe.compile)
        self.ema = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.Adam(
            self.parameters, lr=2e-4, betas=(0.9, 0.999), eps=1e-8, fused=True,
            capturable=device == "cuda",
        )

    def step(self):
        t = torch.randint(TIMESTEPS, (self.shape[0],), device=self.device)
        noise = torch.randn_like(self.x0)
        x = self.at("signal", t) * self.x0 + self.at("noise", t) * noise
        self.optimizer.zero_grad(set_to_none=True)
        if self.working:
            x = x.to(torch.bfloat16)
            self.network.zero_grad(set_to_none=True)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.autocast):
            output = self.forward(x, t)
        loss = F.mse_loss(output.float(), noise)
        loss.backward()
        if self.working:
            for master in self.parameters:
                master.grad = torch.empty_like(master)
            torch._foreach_copy_([p.grad for p in self.parameters], [p.grad for p in self.working])
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.ema, self.parameters, 1 - 0.9999)
            if self.working:
                torch._foreach_copy_(self.working, self.parameters)
        return loss.detach()


class Sampling(Process):
    def __init__(self, config, recipe, batch, device):
        super().__init__(config, recipe, batch, device)
        self.dtype = torch.bfloat16 if recipe.dtype == "bf16" else torch.float32
        self.network.to(self.dtype).eval().requires_grad_(False)
        self.forward = self.compiled(recipe.compile)
        self.x = torch.randn_like(self.images())
        self.t = torch.full((batch,), TIMESTEPS - 1, device=device)

    @torch.no_grad()
    def step(self):
        t, x = self.t, self.x
        noise_estimate = self.forward(x.to(self.dtype), t).float()
        x0 = (x - self.at("noise", t) * noise_estimate) / self.at("signal", t)
        mean = self.at("mean_x0", t) * x0.clamp(-1, 1) + self.at("mean_xt", t) * x
        x.copy_(mean + self.at("sigma", t) * torch.randn_like(x))
        t.copy_((t - 1) % TIMESTEPS)
        return x.abs().mean()


def captured(step):
    """The step as one CUDA graph, after eager steps that settle initialisation and autotuning."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step()

    def replay():
        graph.replay()
        return result

    return replay


def measure(work, recipe, arguments):
    """Milliseconds per step: each sample is the mean of steps that are launched back to back."""
    synchronize = torch.cuda.synchronize if arguments.device == "cuda" else lambda: None
    step = work(arguments.config, recipe, arguments.batch, arguments.device).step
    step = captured(step) if recipe.graph else step
    for _ in range(arguments.warmup):
        result = step()
    samples = []
    for _ in range(arguments.samples):
        synchronize()
        start = time.perf_counter()
        for _ in range(arguments.steps_per_sample):
            result = step()
        synchronize()
        samples.append((time.perf_counter() - start) * 1e3 / arguments.steps_per_sample)
    if not torch.isfinite(result):
        raise RuntimeError(f"{work.__name__}: the result is {result.item()}")
    return {
        "median_ms": round(statistics.median(samples), 4),
        "best_ms": round(min(samples), 4),
        "images_per_s": round(arguments.batch * 1e3 / statistics.median(samples), 2),
        "samples_ms": [round(s, 4) for s in samples],
    }


def run(recipe, arguments):
    """One recipe's line of the report; one that this machine cannot run is reported as such."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = recipe.dtype == "tf32"
    torch.backends.cudnn.benchmark = True
    line = dataclasses.asdict(recipe)
    for name, work in {"train": Training, "sample": Sampling}.items():
        if arguments.work not in (name, "both"):
            continue
        try:
            line[name] = measure(work, recipe, arguments)
        except RuntimeError as error:
            line[name] = {"error": str(error).strip().split("\n")[0]}
        print(f"{recipe} {name}: {line[name].get('median_ms', 'failed')}", file=sys.stderr)
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()
    return line


def best(lines, name):
    """The recipe with the least best_ms: a disturbance of the machine cannot make it look slow."""
    timed = [line for line in lines if "best_ms" in line.get(name, {})]
    if not timed:
        return None
    line = min(timed, key=lambda line: line[name]["best_ms"])
    recipe = {field.name: line[field.name] for field in dataclasses.fields(Recipe)}
    return recipe | {key: line[name][key] for key in ("median_ms", "best_ms", "images_per_s")}


def cpu_name():
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def parse_network(text):
    if text in NETWORKS:
        return NETWORKS[text]
    try:
        fields = json.loads(text)
        return UNetConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
    except (TypeError, ValueError) as error:
        names = ", ".join(NETWORKS)
        raise argparse.ArgumentTypeError(f"neither one of {names} nor a JSON object: {error}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", dest="config", type=parse_network, default="cifar10",
                        help=f"{', '.join(NETWORKS)}, or UNetConfig's fields as JSON")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--work", choices=["train", "sample", "both"], default="both")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dtype", choices=["f32", "tf32", "bf16"], default="f32")
    parser.add_argument("--layout", choices=["nchw", "channels_last"], default="nchw")
    parser.add_argument("--compile", nargs="?", const="default", default="none", metavar="MODE")
    parser.add_argument("--graph", action="store_true", help="one CUDA graph for the whole step")
    parser.add_argument("--weights", choices=["f32", "bf16"], default="f32",
                        help="of the network in bf16 training; bf16 has f32 masters")
    parser.add_argument("--best", action="store_true", help="every sensible recipe of this dtype")
    parser.add_argument("--budget", type=float, metavar="SECONDS",
                        help="for all recipes together; those not done by then are left out")
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--steps-per-sample", type=int, help="1 on the CPU, 10 on a GPU")
    arguments = parser.parse_args()
    if arguments.weights == "bf16" and arguments.dtype != "bf16":
        parser.error("--weights bf16 needs --dtype bf16")
    if arguments.device == "cpu" and (arguments.graph or arguments.dtype == "tf32"):
        parser.error("--graph and --dtype tf32 need --device cuda")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("this PyTorch sees no CUDA device")
    if arguments.steps_per_sample is None:
        arguments.steps_per_sample = 10 if arguments.device == "cuda" else 1
    return arguments


def print_report(lines, arguments, load):
    with torch.device("meta"):
        parameters = parameter_count(UNet(arguments.config))
    on_gpu = arguments.device == "cuda"
    report = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda if on_gpu else None,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,
        "cpu": cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "load_average_before": round(load, 2),
        "gpu": torch.cuda.get_device_name() if on_gpu else None,
        "network": dataclasses.asdict(arguments.config),
        "parameters": parameters,
        "batch": arguments.batch,
        "warmup_steps": arguments.warmup,
        "steps_per_sample": arguments.steps_per_sample,
        "results": lines,
        "best_train": best(lines, "train"),
        "best_sample": best(lines, "sample"),
    }
    print(json.dumps(report, indent=2), flush=True)


def main():
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    recipes = [Recipe(arguments.dtype, arguments.layout, arguments.compile, arguments.graph,
                      arguments.weights)]
    if arguments.best:
        recipes = sensible_recipes(arguments.dtype, arguments.device)
    load = os.getloadavg()[0]
    lines = []

    # A compilation cannot be broken off and survived: report what there is, and end.
    def out_of_time(*_):
        unfinished = [dataclasses.asdict(r) | {"error": "--budget"} for r in recipes[len(lines):]]
        print_report(lines + unfinished, arguments, load)
        os._exit(0)

    if arguments.budget is not None:
        signal.signal(signal.SIGALRM, out_of_time)
        signal.setitimer(signal.ITIMER_REAL, arguments.budget)
    for recipe in recipes:
        lines.append(run(recipe, arguments))
    signal.setitimer(signal.ITIMER_REAL, 0)
    print_report(lines, arguments, load)


if __name__ == "__main__":
    main()
