"""The DDPM U-Net (Ho et al. 2020) in PyTorch: the peer that our network is compared with.

Two uses: tests/golden takes outputs and gradients from it (float64), pytorch_step.py times it. It
shares no code with the C++ network. Activations are NCHW tensors of either memory format;
parameters have our paths ("down_0/block_1/conv_1/weight"), order and layout (convolutions KRSC,
1x1 convolutions and linear maps (Cout, Cin)) through load_parameters() and gradients().

Running this file checks the parameter counts of the paper's networks and the resampling formulas.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass(frozen=True)
class UNetConfig:
    """Defaults are the paper's CIFAR-10 network."""

    height: int = 32
    width: int = 32
    channels: int = 3
    out_channels: int = 3
    base_channels: int = 128
    channel_multipliers: tuple = (1, 2, 2, 2)
    blocks_per_level: int = 2
    attention_resolutions: tuple = (16,)  # feature-map heights; the middle always attends
    attention_heads: int = 1
    dropout: float = 0.1
    upsample: str = "nearest_conv"  # or "transposed_conv"
    downsample: str = "strided_conv"  # or "average_pool"

    def __post_init__(self):
        if self.upsample not in ("nearest_conv", "transposed_conv"):
            raise ValueError(f"unknown upsample '{self.upsample}'")
        if self.downsample not in ("strided_conv", "average_pool"):
            raise ValueError(f"unknown downsample '{self.downsample}'")
        halvings = 2 ** (len(self.channel_multipliers) - 1)
        if self.height % halvings or self.width % halvings:
            raise ValueError(f"{self.height}x{self.width} is not divisible by {halvings}")


def group_count(channels):
    """Largest g <= min(32, channels / 4) that divides `channels`: 32 at the paper's widths.

    Groups of one channel, which min(32, channels) would give to narrow networks, subtract the time
    embedding again (it is constant over the positions of a channel): the network would not see t.
    """
    g = max(1, min(32, channels // 4))
    while channels % g:
        g -= 1
    return g


class GroupNorm(nn.GroupNorm):
    """In the type of x, with statistics in f32: CUDA's autocast would convert x to f32."""

    def __init__(self, channels):
        super().__init__(group_count(channels), channels, eps=1e-6)

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
            return F.group_norm(x, self.num_groups, weight, bias, self.eps)


def conv3x3(channels_in, channels_out):
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


class TimeEmbedding(nn.Module):
    """t (N) -> (N, 4 * base): sinusoids, sines first, then two dense layers."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.dense_0 = nn.Linear(base, 4 * base)
        self.dense_1 = nn.Linear(4 * base, 4 * base)

    def forward(self, t):
        y = timestep_embedding(t, self.base).to(self.dense_0.weight.dtype)
        return self.dense_1(F.silu(self.dense_0(y)))


def timestep_embedding(t, dimension):
    """[sin(t f_0) .., cos(t f_0) ..], f_i = 10000^(-i / (half - 1)), in float64; odd: padded."""
    half = dimension // 2
    i = torch.arange(half, dtype=torch.float64, device=t.device)
    angle = t.double()[:, None] * torch.exp(-math.log(10000) / max(half - 1, 1) * i)
    return F.pad(torch.cat([angle.sin(), angle.cos()], dim=1), (0, dimension % 2))


class ResidualBlock(nn.Module):
    def __init__(self, channels_in, channels_out, time_width, dropout):
        super().__init__()
        self.dropout = dropout
        self.norm_1 = GroupNorm(channels_in)
        self.conv_1 = conv3x3(channels_in, channels_out)
        self.time_projection = nn.Linear(time_width, channels_out)
        self.norm_2 = GroupNorm(channels_out)
        self.conv_2 = conv3x3(channels_out, channels_out)
        self.shortcut = None
        if channels_in != channels_out:
            self.shortcut = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x, silu_time):
        h = self.conv_1(F.silu(self.norm_1(x)))
        h = h + self.time_projection(silu_time)[:, :, None, None]
        h = F.dropout(F.silu(self.norm_2(h)), self.dropout, self.training)
        return self.conv_2(h) + (x if self.shortcut is None else self.shortcut(x))


class Attention(nn.Module):
    """Self-attention over all positions; head i owns the i-th run of C / heads channels."""

    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        self.norm = GroupNorm(channels)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)

    def forward(self, x):
        n, c, height, width = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # (N, H W, C)
        query, key, value = (
            layer(tokens).view(n, height * width, self.heads, c // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        y = F.scaled_dot_product_attention(query, key, value)  # scale 1 / sqrt(C / heads)
        y = self.output(y.transpose(1, 2).reshape(n, height * width, c))
        return x + y.transpose(1, 2).unflatten(2, (height, width))


class StridedConv(nn.Conv2d):
    """3x3, stride 2, TensorFlow's 'SAME' on even extents: padding 0 before and 1 after."""

    def __init__(self, channels):
        super().__init__(channels, channels, 3, stride=2)

    def forward(self, x):
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class TransposedConv(nn.ConvTranspose2d):
    """The adjoint of StridedConv's map plus a bias; the output is exactly twice as large:

      y[n, h, w, c] = bias[c] + sum of x[n, p, q, k] * weight[k, r, s, c] over the p, q, r, s, k
                      with h = 2 p + r - pad_top and w = 2 q + s - pad_left

    pad_top = pad_left = 0, pad_bottom = pad_right = 1; our weight is (K = in, R, S, C = out).
    """

    def __init__(self, channels):
        super().__init__(channels, channels, 3, stride=2)

    def forward(self, x):
        return super().forward(x)[:, :, :-1, :-1]  # what falls on the bottom and right padding


class NearestConv(nn.Conv2d):
    def __init__(self, channels):
        super().__init__(channels, channels, 3, padding=1)

    def forward(self, x):
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class Level(nn.Module):
    """Holds block_I, attention_I and a resampling layer, in the parameters' order."""

    def __init__(self, widths, channels_out, attends, config):
        super().__init__()
        time_width = 4 * config.base_channels
        self.steps = []  # [(block, attention or None)], in order of execution
        for i, channels_in in enumerate(widths):
            block = ResidualBlock(channels_in, channels_out, time_width, config.dropout)
            self.add_module(f"block_{i}", block)
            attention = Attention(channels_out, config.attention_heads) if attends else None
            if attends:
                self.add_module(f"attention_{i}", attention)
            self.steps.append((block, attention))


class Middle(nn.Module):
    def __init__(self, channels, config):
        super().__init__()
        time_width = 4 * config.base_channels
        self.block_0 = ResidualBlock(channels, channels, time_width, config.dropout)
        self.attention = Attention(channels, config.attention_heads)
        self.block_1 = ResidualBlock(channels, channels, time_width, config.dropout)

    def forward(self, x, silu_time):
        return self.block_1(self.attention(self.block_0(x, silu_time)), silu_time)


class UNet(nn.Module):
    """(N, channels, H, W), t (N) -> (N, out_channels, H, W)."""

    def __init__(self, config=UNetConfig()):
        super().__init__()
        base = config.base_channels
        last = len(config.channel_multipliers) - 1
        widths = [base * m for m in config.channel_multipliers]
        attends = [config.height >> i in config.attention_resolutions for i in range(last + 1)]

        self.time_embedding = TimeEmbedding(base)
        self.conv_in = conv3x3(config.channels, base)
        channels, skips = base, [base]  # skips: widths of the feature maps the way up consumes
        self.down, self.up = [], []
        for level, width in enumerate(widths):
            inputs = [channels] + [width] * (config.blocks_per_level - 1)
            down = Level(inputs, width, attends[level], config)
            skips += [width] * config.blocks_per_level
            down.downsample = None
            if level != last:
                pool = config.downsample == "average_pool"
                down.downsample = nn.AvgPool2d(2) if pool else StridedConv(width)
                skips.append(width)
            self.add_module(f"down_{level}", down)
            self.down.append(down)
            channels = width
        self.middle = Middle(channels, config)
        for level, width in reversed(list(enumerate(widths))):
            inputs = []
            for _ in range(config.blocks_per_level + 1):
                inputs.append(channels + skips.pop())
                channels = width
            up = Level(inputs, width, attends[level], config)
            up.upsample = None
            if level != 0:
                transposed = config.upsample == "transposed_conv"
                up.upsample = TransposedConv(width) if transposed else NearestConv(width)
            self.add_module(f"up_{level}", up)
            self.up.append(up)
        assert not skips
        self.norm_out = GroupNorm(base * config.channel_multipliers[0])
        self.conv_out = conv3x3(base * config.channel_multipliers[0], config.out_channels)
        self.reset_parameters()

    def reset_parameters(self):
        """Uniform with variance scale / fan_avg; scale 1e-10 where a branch or the output ends."""
        for path, parameter in paths(self):
            if path.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() == 1:
                nn.init.ones_(parameter)
            else:
                layer = path.split("/")[-2]
                scale = 1e-10 if layer in ("conv_2", "output", "conv_out") else 1.0
                nn.init.xavier_uniform_(parameter, gain=math.sqrt(scale))

    def forward(self, x, t):
        silu_time = F.silu(self.time_embedding(t))
        h = self.conv_in(x)
        skips = [h]
        for level in self.down:
            for block, attention in level.steps:
                h = block(h, silu_time)
                h = h if attention is None else attention(h)
                skips.append(h)
            if level.downsample is not None:
                h = level.downsample(h)
                skips.append(h)
        h = self.middle(h, silu_time)
        for level in self.up:
            for block, attention in level.steps:
                h = block(torch.cat([h, skips.pop()], dim=1), silu_time)
                h = h if attention is None else attention(h)
            if level.upsample is not None:
                h = level.upsample(h)
        return self.conv_out(F.silu(self.norm_out(h)))


def paths(network):
    """[(path, parameter)] in registration order."""
    return [(name.replace(".", "/"), p) for name, p in network.named_parameters()]


def to_our_layout(weight):
    """(Cout, Cin, R, S) -> (Cout, R, S, Cin), and (Cout, Cin) if R = S = 1; others unchanged.

    A transposed convolution's (Cin, Cout, R, S) becomes (Cin, R, S, Cout) by the same permutation.
    """
    if weight.dim() != 4:
        return weight
    weight = weight.permute(0, 2, 3, 1)
    return weight[:, 0, 0, :] if weight.shape[1:3] == (1, 1) else weight


def parameter_shapes(network):
    return {path: tuple(to_our_layout(p).shape) for path, p in paths(network)}


def load_parameters(network, arrays):
    """arrays: path -> array in our layout, exactly the network's paths."""
    if set(arrays) != {path for path, _ in paths(network)}:
        raise ValueError("load_parameters: paths differ from the network's")
    with torch.no_grad():
        for path, parameter in paths(network):
            to_our_layout(parameter).copy_(torch.as_tensor(arrays[path]))


def gradients(network):
    """path -> gradient as a numpy array in our layout."""
    return {path: to_our_layout(p.grad).contiguous().cpu().numpy() for path, p in paths(network)}


def parameter_count(network):
    return sum(p.numel() for p in network.parameters())


def check_parameter_counts():
    large = dict(height=256, width=256, channel_multipliers=(1, 1, 2, 2, 4, 4))
    for config, expected in [
        (UNetConfig(), 35_746_307),
        (UNetConfig(out_channels=6), 35_749_766),
        (UNetConfig(**large), 113_673_219),
        (UNetConfig(**large, base_channels=192), 255_677_955),
    ]:
        with torch.device("meta"):
            network = UNet(config)
        assert parameter_count(network) == expected, (config, parameter_count(network))
        assert all(m.num_groups == 32 for m in network.modules() if isinstance(m, GroupNorm))


def check_resampling():
    """TransposedConv follows its index formula and is StridedConv's adjoint."""
    generator = torch.Generator().manual_seed(0)
    down, up = StridedConv(3).double(), TransposedConv(3).double()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64, generator=generator)
    v = torch.randn(2, 3, 8, 12, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        weight = to_our_layout(up.weight)  # (K, R, S, C)
        expected = up.bias[None, :, None, None].expand(2, 3, 8, 12).clone()
        for p in range(4):
            for q in range(6):
                for r in range(3):
                    for s in range(3):
                        if 2 * p + r < 8 and 2 * q + s < 12:
                            expected[:, :, 2 * p + r, 2 * q + s] += x[:, :, p, q] @ weight[:, r, s]
        assert torch.allclose(up(x), expected, rtol=0, atol=1e-12)
        up.bias.zero_()
        down.bias.zero_()
        down.weight.copy_(up.weight)  # both (K, C, R, S)
        assert abs((down(v) * x).sum() - (v * up(x)).sum()) < 1e-10


if __name__ == "__main__":
    check_parameter_counts()
    check_resampling()
    print("parameter counts and resampling formulas hold")
