#!/usr/bin/python3
"""The published networks as ordinary torch.nn modules: what bench_nets.py times beside ours.

Written from their descriptions (docs/networks.md), not for speed: this is the code a user of PyTorch would have. Run as a
program it checks that every one has the number of parameters that was published for it. Frozen numbers are buffers.
`example(batch)` gives inputs of a forward pass.
"""
import math
import sys

import torch
from torch import nn
from torch.nn import functional as F


# ---- parts ---------------------------------------------------------------------------------------------------------

class Positional(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.register_buffer("rate", 10000.0 ** (-torch.arange(dim // 2) / (dim // 2)))

    def forward(self, t):
        angle = t[:, None] * self.rate
        return torch.cat([angle.cos(), angle.sin()], -1)


class Fourier(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.register_buffer("freqs", 16 * torch.randn(dim // 8))
        self.mlp = nn.Sequential(nn.Linear(dim // 4, dim), nn.Mish(), nn.Linear(dim, dim))

    def forward(self, t):
        angle = 2 * math.pi * t[:, None] * self.freqs
        return self.mlp(torch.cat([angle.cos(), angle.sin()], -1))


def mlp(inner, hidden, outer, act=nn.Mish):
    return nn.Sequential(nn.Linear(inner, hidden), act(), nn.Linear(hidden, outer))


def conv_block(inner, outer, taps):
    return nn.Sequential(nn.Conv1d(inner, outer, taps, padding=taps // 2), nn.GroupNorm(min(8, outer // 4), outer), nn.Mish())


def down(width):
    return nn.Conv1d(width, width, 3, 2, 1)


def up(width):
    return nn.ConvTranspose1d(width, width, 4, 2, 1)


def cumulative(dim, mult):
    width = [dim]
    for m in mult[1:]:
        width.append(width[-1] * m)
    return width


def times(batch):
    return torch.full((batch,), 3.0)


# ---- U-Nets --------------------------------------------------------------------------------------------------------

class TimeBlock(nn.Module):
    """Diffuser: the time is added between two convolutions."""

    def __init__(self, inner, outer, emb, taps):
        super().__init__()
        self.conv1, self.conv2 = conv_block(inner, outer, taps), conv_block(outer, outer, taps)
        self.emb_mlp = nn.Sequential(nn.Mish(), nn.Linear(emb, outer))
        self.residual_conv = nn.Conv1d(inner, outer, 1) if inner != outer else nn.Identity()

    def forward(self, x, e):
        return self.conv2(self.conv1(x) + self.emb_mlp(e)[:, :, None]) + self.residual_conv(x)


class FilmBlock(nn.Module):
    """Diffusion Policy: time and observation scale and shift every channel between two convolutions."""

    def __init__(self, inner, outer, emb, taps):
        super().__init__()
        self.conv1, self.conv2 = conv_block(inner, outer, taps), conv_block(outer, outer, taps)
        self.cond_encoder = nn.Sequential(nn.Mish(), nn.Linear(emb, 2 * outer))
        self.residual_conv = nn.Conv1d(inner, outer, 1) if inner != outer else nn.Identity()

    def forward(self, x, e):
        scale, shift = self.cond_encoder(e)[:, :, None].chunk(2, 1)
        return self.conv2(scale * self.conv1(x) + shift) + self.residual_conv(x)


def down_path(block, inner, width, emb, taps):
    path = nn.ModuleList()
    for i, w in enumerate(width):
        last = i + 1 == len(width)
        path.append(nn.ModuleList([block(inner, w, emb, taps), block(w, w, emb, taps), nn.Identity() if last else down(w)]))
        inner = w
    return path


class UNet(nn.Module):
    """What the two U-Nets share: down with skips, two blocks at the bottom, up."""

    def __init__(self, block, cols, width, emb, taps):
        super().__init__()
        inner = width[-1]
        self.downs = down_path(block, cols, width, emb, taps)
        self.mids = nn.ModuleList([block(inner, inner, emb, taps) for _ in range(2)])
        self.ups = nn.ModuleList()
        for w in reversed(width[:-1]):
            self.ups.append(nn.ModuleList([block(2 * inner, w, emb, taps), block(w, w, emb, taps), up(w)]))
            inner = w
        self.final_conv = nn.Sequential(conv_block(inner, inner, 5), nn.Conv1d(inner, cols, 1))

    def walk(self, z, e):
        x, skips = z.permute(0, 2, 1), []
        for first, second, shrink in self.downs:
            x = second(first(x, e), e)
            skips.append(x)
            x = shrink(x)
        for block in self.mids:
            x = block(x, e)
        for first, second, grow in self.ups:
            x = grow(second(first(torch.cat([x, skips.pop()], 1), e), e))
        return self.final_conv(x).permute(0, 2, 1)


class JannerUNet(UNet):
    def __init__(self, cols=14, dim=32, mult=(1, 2, 2, 2), taps=5, horizon=32):
        super().__init__(TimeBlock, cols, cumulative(dim, mult), dim, taps)
        self.shape = (horizon, cols)
        self.map_noise, self.map_emb = Positional(dim), mlp(dim, 4 * dim, dim)

    def forward(self, z, t):
        return self.walk(z, self.map_emb(self.map_noise(t)))

    def example(self, batch):
        return torch.randn(batch, *self.shape), times(batch)


class ChiUNet(UNet):
    def __init__(self, act=2, obs=5, frames=2, dim=256, emb=256, mult=(1, 2, 2), taps=5, horizon=16):
        super().__init__(FilmBlock, act, cumulative(dim, mult), 2 * emb, taps)
        self.shape, self.cond = (horizon, act), frames * obs
        self.map_noise, self.map_emb = Positional(emb), mlp(emb, 4 * emb, emb)
        self.global_cond_encoder = nn.Linear(self.cond, emb)

    def forward(self, z, t, cond):
        return self.walk(z, torch.cat([self.map_emb(self.map_noise(t)), self.global_cond_encoder(cond)], -1))

    def example(self, batch):
        return torch.randn(batch, *self.shape), times(batch), torch.randn(batch, self.cond)


class HalfJannerUNet(nn.Module):
    """Diffuser's guidance classifier: the way down, further down, one number."""

    def __init__(self, cols=14, dim=32, mult=(1, 2, 2, 2), taps=3, horizon=32):
        super().__init__()
        width = cumulative(dim, mult)
        mid, left = width[-1], max(horizon // 2 ** (len(width) + 1), 1)
        flat = mid // 4 * left
        self.shape = (horizon, cols)
        self.map_noise, self.map_emb = Positional(dim), mlp(dim, 4 * dim, dim)
        self.downs = down_path(TimeBlock, cols, width, dim, taps)
        self.mid_block1 = nn.ModuleList([TimeBlock(mid, mid // 2, dim, 5), down(mid // 2)])
        self.mid_block2 = nn.ModuleList([TimeBlock(mid // 2, mid // 4, dim, 5), down(mid // 4)])
        self.final_block = mlp(flat + dim, flat // 2, 1)

    def forward(self, z, t):
        x, e = z.permute(0, 2, 1), self.map_emb(self.map_noise(t))
        for first, second, shrink in self.downs:
            x = shrink(second(first(x, e), e))
        for block, shrink in (self.mid_block1, self.mid_block2):
            x = shrink(block(x, e))
        return self.final_block(torch.cat([x.flatten(1), e], -1))

    def example(self, batch):
        return torch.randn(batch, *self.shape), times(batch)


# ---- transformers --------------------------------------------------------------------------------------------------

def modulate(x, shift, scale):
    return x * (1 + scale) + shift


class DiTBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(approximate="tanh"), nn.Linear(4 * dim, dim))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))

    def forward(self, x, e):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(e)[:, None].chunk(6, -1)
        h = modulate(self.norm1(x), shift1, scale1)
        x = x + gate1 * self.attn(h, h, h, need_weights=False)[0]
        return x + gate2 * self.mlp(modulate(self.norm2(x), shift2, scale2))


class DiT(nn.Module):
    """Decision Diffuser's and Diffusion Policy's transformer. cond > 0: an encoded observation is added to the time."""

    def __init__(self, cols, horizon, cond=0, dim=320, heads=10, depth=2, emb=128, hidden=256):
        super().__init__()
        self.shape, self.cond = (horizon, cols), cond
        self.map_noise = Fourier(emb)
        self.condition = mlp(cond, hidden, emb, nn.ReLU) if cond else None
        self.x_proj = nn.Linear(cols, dim)
        self.map_emb = nn.Sequential(nn.Linear(emb, dim), nn.Mish(), nn.Linear(dim, dim), nn.Mish())
        rate = torch.exp(-torch.arange(dim // 2) * math.log(1e4) / (dim // 2 - 1))
        angle = torch.arange(horizon)[:, None] * rate
        self.register_buffer("place", torch.cat([angle.sin(), angle.cos()], -1))
        self.blocks = nn.ModuleList([DiTBlock(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 2 * dim))
        self.linear = nn.Linear(dim, cols)

    def forward(self, z, t, cond=None):
        e = self.map_noise(t)
        if cond is not None:
            e = e + self.condition(cond)
        e, x = self.map_emb(e), self.x_proj(z) + self.place
        for block in self.blocks:
            x = block(x, e)
        shift, scale = self.adaLN_modulation(e)[:, None].chunk(2, -1)
        return self.linear(modulate(self.norm(x), shift, scale))

    def example(self, batch):
        inputs = torch.randn(batch, *self.shape), times(batch)
        return inputs + (torch.randn(batch, self.cond),) if self.cond else inputs


class ChiTransformer(nn.Module):
    """Diffusion Policy's transformer: a causal decoder whose memory is the time and the observations."""

    def __init__(self, act=2, obs=5, horizon=10, frames=2, dim=256, heads=4, layers=4):
        super().__init__()
        self.shape, self.frames, self.obs = (horizon, act), frames, obs
        self.map_noise = Positional(dim)
        self.act_emb, self.obs_emb = nn.Linear(act, dim), nn.Linear(obs, dim)
        self.pos_emb = nn.Parameter(torch.randn(1, horizon, dim) * 0.02)
        self.cond_pos_emb = nn.Parameter(torch.randn(1, 1 + frames, dim) * 0.02)
        self.encoder = mlp(dim, 4 * dim, dim)
        self.cond_encoder = mlp(dim, 4 * dim, dim)  # published like this: never used
        layer = nn.TransformerDecoderLayer(dim, heads, 4 * dim, dropout=0.0, activation="gelu", batch_first=True,
                                           norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers)
        self.ln_f, self.head = nn.LayerNorm(dim), nn.Linear(dim, act)
        later = torch.arange(horizon)[:, None] < torch.arange(horizon)[None]
        unseen = torch.arange(horizon)[:, None] < torch.arange(1 + frames)[None] - 1
        self.register_buffer("mask", torch.zeros(later.shape).masked_fill(later, -torch.inf))
        self.register_buffer("memory_mask", torch.zeros(unseen.shape).masked_fill(unseen, -torch.inf))

    def forward(self, z, t, cond):
        frames = cond.view(-1, self.frames, self.obs)
        memory = torch.cat([self.map_noise(t)[:, None], self.obs_emb(frames)], 1) + self.cond_pos_emb
        x = self.act_emb(z) + self.pos_emb
        x = self.decoder(x, self.encoder(memory), tgt_mask=self.mask, memory_mask=self.memory_mask)
        return self.head(self.ln_f(x))

    def example(self, batch):
        return torch.randn(batch, *self.shape), times(batch), torch.randn(batch, self.frames * self.obs)


# ---- perceptrons ---------------------------------------------------------------------------------------------------

class IdqlBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width))

    def forward(self, x):
        return x + self.net(x)


class IdqlMlp(nn.Module):
    def __init__(self, obs=11, act=3, width=256, blocks=3, emb=64):
        super().__init__()
        self.obs, self.act = obs, act
        self.map_noise, self.time_mlp = Positional(emb), mlp(emb, 2 * emb, emb)
        self.affine_in = nn.Linear(act + emb + obs, width)
        self.ln_resnet = nn.Sequential(*[IdqlBlock(width) for _ in range(blocks)])
        self.affine_out = nn.Linear(width, act)

    def forward(self, z, t, cond):
        x = torch.cat([z[:, 0], self.time_mlp(self.map_noise(t)), cond], -1)
        return self.affine_out(self.ln_resnet(self.affine_in(x)))[:, None]

    def example(self, batch):
        return torch.randn(batch, 1, self.act), times(batch), torch.randn(batch, self.obs)


class DqlMlp(nn.Module):
    def __init__(self, obs=11, act=3, width=256, emb=64):
        super().__init__()
        self.obs, self.act = obs, act
        self.map_noise, self.time_mlp = Positional(emb), mlp(emb, 2 * emb, emb)
        self.mid_layer = nn.Sequential(nn.Linear(obs + act + emb, width), nn.Mish(), nn.Linear(width, width), nn.Mish(),
                                       nn.Linear(width, width), nn.Mish())
        self.final_layer = nn.Linear(width, act)

    def forward(self, z, t, cond):
        return self.final_layer(self.mid_layer(torch.cat([z[:, 0], self.time_mlp(self.map_noise(t)), cond], -1)))[:, None]

    def example(self, batch):
        return torch.randn(batch, 1, self.act), times(batch), torch.randn(batch, self.obs)


def value_head(inner, width=256):
    return nn.Sequential(nn.Linear(inner, width), nn.LayerNorm(width), nn.Mish(), nn.Linear(width, width),
                         nn.LayerNorm(width), nn.Mish(), nn.Linear(width, 1))


class TwinQ(nn.Module):
    def __init__(self, obs=11, act=3):
        super().__init__()
        self.obs, self.act = obs, act
        self.q1, self.q2 = value_head(obs + act), value_head(obs + act)

    def forward(self, obs, act):
        x = torch.cat([obs, act], -1)
        return self.q1(x), self.q2(x)

    def example(self, batch):
        return torch.randn(batch, self.obs), torch.randn(batch, self.act)


# ---- images --------------------------------------------------------------------------------------------------------

class ResNetBlock(nn.Module):
    def __init__(self, inner, outer, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.GroupNorm(outer // 16, outer), nn.GroupNorm(outer // 16, outer)
        self.downsample = None
        if stride > 1 or inner != outer:
            self.downsample = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False),
                                            nn.GroupNorm(outer // 16, outer))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNetEncoder(nn.Module):
    """ResNet-18 with group norms for each camera, joined with what else was observed, as in Diffusion Policy's image tasks.
    One frame in a row of the batch."""

    def __init__(self, cameras=1, low=2, emb=256, size=84):
        super().__init__()
        self.cameras, self.low, self.size = cameras, low, size
        self.nets = nn.ModuleList([self.resnet() for _ in range(cameras)])
        self.mlp = mlp(512 * cameras + low, emb, emb, nn.LeakyReLU)

    @staticmethod
    def resnet():
        layers, inner = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.GroupNorm(4, 64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
        for outer, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            layers += [ResNetBlock(inner, outer, stride), ResNetBlock(outer, outer, 1)]
            inner = outer
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images, low):
        seen = [net(images[:, i]) for i, net in enumerate(self.nets)]
        return self.mlp(torch.cat(seen + [low], -1))

    def example(self, batch):
        return torch.randn(batch, self.cameras, 3, self.size, self.size), torch.randn(batch, self.low)


# ---- what was published --------------------------------------------------------------------------------------------

def count(net):
    return sum(p.numel() for p in net.parameters())


PUBLISHED = [
    ("JannerUNet, hopper", JannerUNet, {}, 3_956_302),
    ("JannerUNet, halfcheetah", JannerUNet, {"cols": 23, "mult": (1, 4, 2), "horizon": 4}, 3_685_943),
    ("JannerUNet, kitchen", JannerUNet, {"cols": 69, "dim": 64}, 15_813_893),
    ("HalfJannerUNet, hopper", HalfJannerUNet, {}, 1_488_801),
    ("HalfJannerUNet, walker2d", HalfJannerUNet, {"cols": 23}, 1_489_953),
    ("HalfJannerUNet, kitchen", HalfJannerUNet, {"cols": 69, "dim": 64}, 5_946_945),
    ("ChiUNet, PushT", ChiUNet, {}, 68_882_690),
    ("ChiUNet, PushT keypoints", ChiUNet, {"obs": 20}, 68_890_370),
    ("ChiTransformer, PushT", ChiTransformer, {}, 5_271_554),
    ("ChiTransformer, kitchen", ChiTransformer, {"act": 9, "obs": 60, "dim": 768, "layers": 8}, 85_132_041),
    ("DiT, PushT, with its encoder", DiT, {"cols": 2, "horizon": 10, "cond": 10}, 4_067_778 + 35_712),
    ("DiT, hopper", DiT, {"cols": 11, "horizon": 32}, 4_073_547),
    ("IdqlMlp, hopper", IdqlMlp, {}, 1_615_811),
    ("IdqlMlp, kitchen", IdqlMlp, {"obs": 60, "act": 9}, 1_631_433),
    ("DqlMlp, halfcheetah", DqlMlp, {"obs": 17, "act": 6}, 172_230),
    ("TwinQ, hopper", TwinQ, {}, 141_826),
    ("ResNetEncoder, PushT", ResNetEncoder, {}, 11_374_144),
    ("ResNetEncoder, two cameras", ResNetEncoder, {"cameras": 2, "low": 9}, 22_683_520),
]


def check(name, make, options, published):
    """One forward pass, and the number of parameters."""
    net = make(**options).eval()
    found = count(net)
    with torch.no_grad():
        net(*net.example(2))
    print(f"{'ok  ' if found == published else 'FAIL'} {name}: {found:,} parameters, published {published:,}")
    return found == published


if __name__ == "__main__":
    good = sum([check(*row) for row in PUBLISHED])
    print(f"{good} passed, {len(PUBLISHED) - good} failed")
    sys.exit(good < len(PUBLISHED))
