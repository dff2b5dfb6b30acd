#!/usr/bin/python3
"""Golden files: what PyTorch computes in double precision for the networks, the optimizer and the losses.

Run: /usr/bin/python3 tests/golden/gen_golden.py [folder [network ...]]      (needs Debian's python3-torch and numpy)
With networks, only their files are made.

Every number that goes in is exactly representable in float32, so that a float backend starts from the same point.
Sizes are chosen to be awkward (7, 13, 33). tests/golden/README.md lists what each file holds.
"""
import fnmatch
import json
import math
import os
import struct
import sys
import zlib

import torch
import torch.nn.functional as F
from torch.nn.utils import stateless

torch.set_default_dtype(torch.float64)


# ---- files ---------------------------------------------------------------------------------------------------------

def write_safetensors(path, tensors):
    """name -> tensor, all stored as F64; the header is padded to 8 bytes."""
    header, blobs, at = {}, [], 0
    for name, value in tensors.items():
        array = torch.as_tensor(value, dtype=torch.float64).detach().contiguous().numpy().astype("<f8")
        blob = array.tobytes()
        header[name] = {"dtype": "F64", "shape": list(array.shape), "data_offsets": [at, at + len(blob)]}
        at += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    print(f"{os.path.basename(path):28s}{os.path.getsize(path):9d} bytes, {len(tensors)} tensors")


# ---- numbers that go in --------------------------------------------------------------------------------------------

def f32(x):
    return x.float().double()


class Inputs:
    """Random tensors from one seed, rounded to float32."""

    def __init__(self, seed):
        self.gen = torch.Generator().manual_seed(seed)

    def normal(self, *shape, scale=1.0):
        return f32(scale * torch.randn(*shape, generator=self.gen))

    def uniform(self, *shape, low=0.0, high=1.0):
        return f32(low + (high - low) * torch.rand(*shape, generator=self.gen))

    def integers(self, n, *shape):
        return torch.randint(n, shape, generator=self.gen).double()


class Params(dict):
    """Parameters by name; a network asks for what it needs and the first request draws it."""

    def __init__(self, seed):
        super().__init__()
        self.draw = Inputs(seed)

    def get(self, name, *shape, fan_in=None):
        if name not in self:
            scale = 0.3 if fan_in is None else 1 / math.sqrt(fan_in)
            self[name] = self.draw.normal(*shape, scale=scale).requires_grad_(True)
        return self[name]

    def frozen(self, name, n):
        """Frequencies of a Fourier embedding: no gradient, and small, so that float32 angles are near the true ones."""
        if name not in self:
            self[name] = self.draw.normal(n)
        return self[name]

    def norm_weight(self, name, n):
        if name not in self:
            self[name] = f32(1 + 0.3 * self.draw.normal(n)).requires_grad_(True)
        return self[name]

    def grads(self, prefix="grad/"):
        return {prefix + k: torch.zeros_like(v) if v.grad is None else v.grad for k, v in self.items()}

    def values(self, prefix="param/"):
        return {prefix + k: v for k, v in self.items()}

    def zero(self):
        for v in super().values():
            v.grad = None

    def moved(self, seed, scale):
        """The same network a little elsewhere."""
        draw, other = Inputs(seed), Params(0)
        for k, v in self.items():
            other[k] = f32(v.detach() + scale * draw.normal(*v.shape))
        return other


class Adapted(Params):
    """Layers whose name matches get s B A added to their weight."""

    def __init__(self, seed, rank, alpha, patterns):
        super().__init__(seed)
        self.rank, self.alpha, self.patterns, self.A, self.B = rank, alpha, patterns, {}, {}

    def get(self, name, *shape, fan_in=None):
        weight, layer = super().get(name, *shape, fan_in=fan_in), name.removesuffix(".weight")
        if layer == name or not any(fnmatch.fnmatchcase(layer, q) for q in self.patterns):
            return weight
        if layer not in self.A:
            self.A[layer] = self.draw.normal(self.rank, *shape[1:], scale=0.3).requires_grad_(True)
            self.B[layer] = self.draw.normal(shape[0], self.rank, scale=0.3).requires_grad_(True)
        return weight + self.alpha / self.rank * torch.tensordot(self.B[layer], self.A[layer], 1)


# ---- layers --------------------------------------------------------------------------------------------------------

def linear(p, name, x, out):
    n = x.shape[-1]
    return F.linear(x, p.get(name + ".weight", out, n, fan_in=n), p.get(name + ".bias", out))


def conv(p, name, x, out, k, stride=1, pad=0):
    n = x.shape[1]
    return F.conv1d(x, p.get(name + ".weight", out, n, k, fan_in=n * k), p.get(name + ".bias", out), stride, pad)


def conv_up(p, name, x, out):
    n = x.shape[1]
    weight = p.get(name + ".weight", n, out, 4, fan_in=n * 2)
    return F.conv_transpose1d(x, weight, p.get(name + ".bias", out), stride=2, padding=1)


def layer_norm(p, name, x):
    n = x.shape[-1]
    return F.layer_norm(x, (n,), p.norm_weight(name + ".weight", n), p.get(name + ".bias", n), 1e-5)


def group_norm(p, name, x):
    c = x.shape[1]
    return F.group_norm(x, max(1, min(8, c // 4)), p.norm_weight(name + ".weight", c), p.get(name + ".bias", c), 1e-5)


def time_embedding(t, d, kind=0, cast=False):
    """(B) -> (B,d). kind 0: [cos t f_j | sin t f_j], f_j = 10000^(-j/(d/2)); 1: [sin | cos], f_j = 10000^(-j/(d/2-1))."""
    f = 10000.0 ** (-torch.arange(d // 2, dtype=torch.float64) / (d // 2 - kind))
    angle = t[:, None] * (f.trunc() if cast else f)
    return torch.cat([angle.sin(), angle.cos()] if kind else [angle.cos(), angle.sin()], -1)


def net_time(p, cfg, t):
    """map_noise(t), (B,emb), for every DMC__TIME_*."""
    kind, d, cast = cfg["time_embed"], cfg["emb"], bool(cfg["compat"] & 2)
    if kind < 2:
        return time_embedding(t, d, kind, cast)
    freqs = 2 * math.pi * p.frozen("map_noise.freqs", d // 8 if kind == 2 else d // 2)
    angle = t[:, None] * (freqs.trunc() if cast else freqs)
    x = torch.cat([angle.cos(), angle.sin()], -1)
    return two_layer(p, "map_noise.mlp", x, d, d) if kind == 2 else x


def net_condition(p, cfg, cond):
    """What stands behind the encoder: Linear ReLU Linear, or the condition itself."""
    if not cfg["encoder"]:
        return cond
    if cfg["encoder"] > 1:
        return image_condition(p, cfg, cond)
    h = F.relu(linear(p, "condition.mlp.mlp.0.0", cond, cfg["enc_hidden"]))
    return linear(p, "condition.mlp.mlp.1", h, cfg["enc_dim"])


def conv2d(p, name, x, out, k, stride):
    n = x.shape[1]
    return F.conv2d(x, p.get(name + ".weight", out, n, k, k, fan_in=n * k * k), None, stride, k // 2)


def frame_norm(p, name, x):
    c = x.shape[1]
    return F.group_norm(x, max(1, c // 16), p.norm_weight(name + ".weight", c), p.get(name + ".bias", c), 1e-5)


def image_block(p, names, x, out, stride, last):
    y = frame_norm(p, names[1], conv2d(p, names[0], x, out, 3, stride))
    y = frame_norm(p, names[3], conv2d(p, names[2], F.relu(y), out, 3, 1))
    return last(y + (frame_norm(p, names[5], conv2d(p, names[4], x, out, 1, stride)) if stride > 1 else x))


def resnet18(p, prefix, x, width, pool):
    """(N,C,H,W) -> (N,8 width) means, with torchvision's names and ReLUs, or (N,16 width) keypoints."""
    first = ("conv1", "bn1") if pool else ("cnn.0", "cnn.1")
    x = F.max_pool2d(F.relu(frame_norm(p, prefix + first[1], conv2d(p, prefix + first[0], x, width, 7, 2))), 3, 2, 1)
    for i in range(8):
        at = f"layer{i // 2 + 1}.{i % 2}." if pool else f"cnn.{4 + i}."
        tails = (("conv1", "bn1", "conv2", "bn2", "downsample.0", "downsample.1") if pool
                 else ("cnn.0", "cnn.1", "cnn.3", "cnn.4", "skip.0", "skip.1"))
        x = image_block(p, [prefix + at + tail for tail in tails], x, width << i // 2, 2 if i % 2 == 0 and i else 1,
                        F.relu if pool else lambda y: y)
    if pool:
        return x.mean((2, 3))
    h, w = x.shape[2:]
    s = F.softmax(x.flatten(2) / p.norm_weight(prefix + "cnn.12.temperature", 1), -1).reshape(x.shape)
    along = torch.linspace(-1, 1, w, dtype=torch.float64), torch.linspace(-1, 1, h, dtype=torch.float64)[:, None]
    return torch.stack([(s * along[0]).sum((2, 3)), (s * along[1]).sum((2, 3))], -1).flatten(1)


def image_condition(p, cfg, cond):
    """[n_obs rows of features | n_obs frames of each camera] -> (B, n_obs enc_dim); the middle of every frame is seen."""
    b, to, pool, cams = cond.shape[0], cfg["n_obs"], cfg["encoder"] == 2, cfg["cameras"]
    h, w, c, ch, cw = (cfg[k] for k in ("image_h", "image_w", "image_c", "crop_h", "crop_w"))
    frame = h * w * c
    rows = cfg["cond"] // to - cams * frame
    top, left = (h - ch) // 2, (w - cw) // 2
    parts = []
    for i in range(cams):
        first = to * (rows + i * frame)
        x = cond[:, first:first + to * frame].reshape(b * to, h, w, c)[:, top:top + ch, left:left + cw].permute(0, 3, 1, 2)
        name = f"key_model_map.{i}." if pool else "resnet18." if cams == 1 else f"resnet18.{i}."
        parts.append(resnet18(p, "condition." + name, x, cfg["enc_width"], pool))
    if rows:
        parts.append(cond[:, :to * rows].reshape(b * to, rows))
    mlp = "condition.mlp." if pool or cams > 1 else "condition.resnet18.mlp."
    x = linear(p, mlp + "0", torch.cat(parts, -1), cfg["enc_hidden"])
    x = linear(p, mlp + "2", F.leaky_relu(x, 0.01) if pool else F.silu(x), cfg["enc_dim"])
    return x.reshape(b, to * cfg["enc_dim"])


def two_layer(p, name, x, hidden, out):
    return linear(p, name + ".2", F.mish(linear(p, name + ".0", x, hidden)), out)


# ---- networks ------------------------------------------------------------------------------------------------------

def flat_inputs(p, cfg, z, t, cond, extra):
    b = z.shape[0]
    e = two_layer(p, "time_mlp", net_time(p, cfg, t), 2 * cfg["emb"], cfg["emb"])
    parts = [z.reshape(b, -1), e] + ([net_condition(p, cfg, cond)] if cond is not None else [])
    return torch.cat(parts + ([extra.reshape(b, -1)] if extra is not None else []), -1)


def idql_mlp(p, cfg, z, t, cond=None, extra=None):
    h = linear(p, "affine_in", flat_inputs(p, cfg, z, t, cond, extra), cfg["hidden"])
    for i in range(cfg["blocks"]):
        name = f"ln_resnet.{i}.net."
        y = linear(p, name + "2", layer_norm(p, name + "1", h), 4 * cfg["hidden"])
        h = h + linear(p, name + "4", F.mish(y), cfg["hidden"])
    return linear(p, "affine_out", h, z[0].numel()).reshape(z.shape)


def dql_mlp(p, cfg, z, t, cond=None, extra=None):
    h = flat_inputs(p, cfg, z, t, cond, extra)
    for name in ("mid_layer.0", "mid_layer.2", "mid_layer.4"):
        h = F.mish(linear(p, name, h, cfg["hidden"]))
    return linear(p, "final_layer", h, z[0].numel()).reshape(z.shape)


def inverse_mlp(p, cfg, z, t):
    h = F.relu(linear(p, "mlp.0.0", z.reshape(z.shape[0], -1), cfg["hidden"]))
    return torch.tanh(linear(p, "mlp.2", F.relu(linear(p, "mlp.1.0", h, cfg["hidden"])), cfg["outputs"]))


def conv_block(p, name, x, out, k):
    return F.mish(group_norm(p, name + ".1", conv(p, name + ".0", x, out, k, pad=k // 2)))


def residual_block(p, name, x, e, out, k, project=False):
    y = conv_block(p, name + ".conv1", x, out, k) + linear(p, name + ".emb_mlp.1", F.mish(e), out)[:, :, None]
    y = conv_block(p, name + ".conv2", y, out, k)
    if x.shape[1] != out or project:
        x = conv(p, name + ".residual_conv", x, out, 1)
    return y + x


def unet1d_janner(p, cfg, z, t, cond=None, extra=None):
    m, k, mult = cfg["hidden"], cfg["kernel"], cfg["mult"]
    d = [m * math.prod(mult[:i + 1]) for i in range(len(mult))]
    e = net_time(p, cfg, t)
    if cond is not None:
        e = e + linear(p, "map_cond", net_condition(p, cfg, cond), cfg["emb"])
    e = two_layer(p, "map_emb", e, 4 * m, m)
    x = (z if extra is None else torch.cat([z, extra], -1)).transpose(1, 2)
    skips = []
    for i, c in enumerate(d):
        x = residual_block(p, f"downs.{i}.0", x, e, c, k, project=extra is not None and i == 0)
        x = residual_block(p, f"downs.{i}.1", x, e, c, k)
        skips.append(x)
        if i + 1 < len(d):
            x = conv(p, f"downs.{i}.3.conv", x, c, 3, stride=2, pad=1)
    for i in (1, 2):
        x = residual_block(p, f"mid_block{i}", x, e, d[-1], k)
    for j in range(len(d) - 1):
        c = d[len(d) - 2 - j]
        x = torch.cat([x, skips.pop()], 1)
        x = residual_block(p, f"ups.{j}.0", x, e, c, k)
        x = residual_block(p, f"ups.{j}.1", x, e, c, k)
        x = conv_up(p, f"ups.{j}.3.conv", x, c)
    x = conv_block(p, "final_conv", x, m, 5)
    return conv(p, "final_conv.3", x, z.shape[-1], 1).transpose(1, 2)


def chi_block(p, name, x, g, out, k, project=False):
    s, b = linear(p, name + ".cond_encoder.1", F.mish(g), 2 * out)[:, :, None].chunk(2, 1)
    y = s * conv_block(p, name + ".conv1", x, out, k) + b
    y = conv_block(p, name + ".conv2", y, out, k)
    if x.shape[1] != out or project:
        x = conv(p, name + ".residual_conv", x, out, 1)
    return y + x


def unet1d_chi(p, cfg, z, t, cond=None, extra=None):
    m, k, mult, emb = cfg["hidden"], cfg["kernel"], cfg["mult"], cfg["emb"]
    d = [m * math.prod(mult[:i + 1]) for i in range(len(mult))]
    g = two_layer(p, "map_emb", net_time(p, cfg, t), 4 * emb, emb)
    if cond is not None:
        g = torch.cat([g, linear(p, "global_cond_encoder", net_condition(p, cfg, cond), emb)], -1)
    x = (z if extra is None else torch.cat([z, extra], -1)).transpose(1, 2)
    skips = []
    for i, c in enumerate(d):
        x = chi_block(p, f"downs.{i}.0", x, g, c, k, project=extra is not None and i == 0)
        x = chi_block(p, f"downs.{i}.1", x, g, c, k)
        skips.append(x)
        if i + 1 < len(d):
            x = conv(p, f"downs.{i}.2.conv", x, c, 3, stride=2, pad=1)
    for i in (0, 1):
        x = chi_block(p, f"mids.{i}", x, g, d[-1], k)
    for j in range(len(d) - 1):
        c = d[len(d) - 2 - j]
        x = torch.cat([x, skips.pop()], 1)
        x = chi_block(p, f"ups.{j}.0", x, g, c, k)
        x = chi_block(p, f"ups.{j}.1", x, g, c, k)
        x = conv_up(p, f"ups.{j}.2.conv", x, c)
    x = conv_block(p, "final_conv", x, m, k)
    return conv(p, "final_conv.3", x, z.shape[-1], 1).transpose(1, 2)


def unet1d_half(p, cfg, z, t, cond=None):
    m, k, mult = cfg["hidden"], cfg["kernel"], cfg["mult"]
    d = [m * math.prod(mult[:i + 1]) for i in range(len(mult))]
    e = net_time(p, cfg, t)
    if cond is not None:
        e = e + linear(p, "map_cond", net_condition(p, cfg, cond), cfg["emb"])
    e = two_layer(p, "map_emb", e, 4 * m, m)
    x = z.transpose(1, 2)
    for i, c in enumerate(d):
        x = residual_block(p, f"downs.{i}.0", x, e, c, k)
        x = residual_block(p, f"downs.{i}.1", x, e, c, k)
        if i + 1 < len(d):
            x = conv(p, f"downs.{i}.2.conv", x, c, 3, stride=2, pad=1)
    for i in (1, 2):
        x = residual_block(p, f"mid_block{i}.0", x, e, d[-1] // 2 ** i, 5)
        x = conv(p, f"mid_block{i}.1.conv", x, d[-1] // 2 ** i, 3, stride=2, pad=1)
    x = x.flatten(1)
    x = F.mish(linear(p, "final_block.0", torch.cat([x, e], -1), x.shape[1] // 2))
    return linear(p, "final_block.2", x, cfg["outputs"])


def module_params(p, name, module):
    """Our parameters for a torch module, by its own names."""
    found = {}
    for key, like in module.named_parameters():
        norm = "norm" in key and key.endswith("weight")
        full = f"{name}.{key}"
        found[key] = p.norm_weight(full, len(like)) if norm else \
            p.get(full, *like.shape, fan_in=like.shape[1] if like.dim() == 2 else None)
    return found


def call(p, name, module, *args, **more):
    """torch's own module with our parameters."""
    return stateless.functional_call(module, module_params(p, name, module), args, more)


def transformer_chi(p, cfg, z, t, cond=None, extra=None):
    d, T = cfg["hidden"], cfg["horizon"]
    rows = [net_time(p, cfg, t)[:, None]]
    if cond is not None:
        frames = max(1, cfg["n_obs"]) if not cfg["encoder"] else 1
        cond = net_condition(p, cfg, cond).reshape(len(z), frames, -1)
        rows.append(linear(p, "obs_emb", cond, d))
    memory = torch.cat(rows, 1)
    S = memory.shape[1]
    memory = two_layer(p, "encoder", memory + p.get("cond_pos_emb", 1, S, d), 4 * d, d)
    for name, out, n in (("0", 4 * d, d), ("2", d, 4 * d)):  # never used
        p.get(f"cond_encoder.{name}.weight", out, n, fan_in=n)
        p.get(f"cond_encoder.{name}.bias", out)
    x = linear(p, "act_emb", z if extra is None else torch.cat([z, extra], -1), d) + p.get("pos_emb", 1, T, d)
    step, key = torch.arange(T)[:, None], torch.arange(S)[None]
    hidden = [torch.zeros(T, n).masked_fill(mask, -math.inf) for n, mask in
              ((T, step < torch.arange(T)[None]), (S, step < key - 1))]
    layer = torch.nn.TransformerDecoderLayer(d, cfg["heads"], 4 * d, 0.0, "gelu", batch_first=True, norm_first=True)
    x = call(p, "decoder", torch.nn.TransformerDecoder(layer, cfg["blocks"]), x, memory, tgt_mask=hidden[0],
             memory_mask=hidden[1])
    return linear(p, "head", layer_norm(p, "ln_f", x), z.shape[-1])


def modulated_norm(x, shift, scale):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale[:, None]) + shift[:, None]


def dit_block(p, cfg, name, x, e):
    d = cfg["hidden"]
    m = linear(p, name + ".adaLN_modulation.1", F.silu(e), 6 * d).chunk(6, 1)
    h = modulated_norm(x, m[0], m[1])
    attended = call(p, name + ".attn", torch.nn.MultiheadAttention(d, cfg["heads"], batch_first=True), h, h, h,
                    need_weights=False)[0]
    x = (h if cfg["compat"] & 1 else x) + m[2][:, None] * attended
    y = F.gelu(linear(p, name + ".mlp.0", modulated_norm(x, m[3], m[4]), 4 * d), approximate="tanh")
    return x + m[5][:, None] * linear(p, name + ".mlp.3", y, d)


def dit_trunk(p, cfg, z, t, cond, extra, out):
    d = cfg["hidden"]
    e = net_time(p, cfg, t)
    if cond is not None:
        cond = net_condition(p, cfg, cond)
        e = e + (cond if cond.shape[-1] == cfg["emb"] else linear(p, "map_cond", cond, cfg["emb"]))
    e = F.mish(linear(p, "map_emb.2", F.mish(linear(p, "map_emb.0", e, d)), d))
    positions = time_embedding(torch.arange(cfg["horizon"]).double(), d, 1, bool(cfg["compat"] & 4))
    x = linear(p, "x_proj", z if extra is None else torch.cat([z, extra], -1), d) + positions
    for i in range(cfg["blocks"]):
        x = dit_block(p, cfg, f"blocks.{i}", x, e)
    shift, scale = linear(p, "final_layer.adaLN_modulation.1", F.silu(e), 2 * d).chunk(2, 1)
    return linear(p, "final_layer.linear", modulated_norm(x, shift, scale), out)


def dit1d(p, cfg, z, t, cond=None, extra=None):
    return dit_trunk(p, cfg, z, t, cond, extra, z.shape[-1])


def dit1d_half(p, cfg, z, t, cond=None, extra=None):
    d = cfg["hidden"]
    x = dit_trunk(p, cfg, z, t, cond, extra, d // 2).mean(1)
    x = linear(p, "proj.2", F.silu(layer_norm(p, "proj.0", x)), d // 4)
    return linear(p, "proj.5", F.silu(layer_norm(p, "proj.3", x)), cfg["outputs"])


def value_head(p, name, x, hidden):
    for a, b in ((0, 1), (3, 4)):
        x = F.mish(layer_norm(p, f"{name}.{b}", linear(p, f"{name}.{a}", x, hidden)))
    return linear(p, f"{name}.6", x, 1)[:, 0]


def twin_q(p, obs, act, hidden):
    x = torch.cat([obs, act], -1)
    return value_head(p, "Q1", x, hidden), value_head(p, "Q2", x, hidden)


NETWORKS = {0: idql_mlp, 1: unet1d_janner, 2: unet1d_chi, 3: transformer_chi, 4: dit1d, 5: dql_mlp, 6: unet1d_half,
            7: dit1d_half, 8: inverse_mlp}  # number in lib/nn/net.h
FIRST = ("kind", "horizon", "cols", "extra", "cond", "hidden", "blocks", "emb", "kernel")  # fields of dmc__net_config,
LAST = ("n_obs", "heads", "time_embed", "compat", "encoder", "enc_hidden", "enc_dim", "outputs")  # before and behind mult
IMAGES = ("dropout", "cameras", "image_h", "image_w", "image_c", "crop_h", "crop_w", "crop_random", "enc_width")
MOST_LEVELS = 8


def config(kind, horizon, cols, mult=(), **fields):
    c = dict.fromkeys(FIRST + LAST + IMAGES, 0)
    c.update(kind=kind, horizon=horizon, cols=cols, mult=list(mult), **fields)
    return c


def config_row(c):
    """Fields in the order of dmc__net_config; zeros at the end are left out."""
    row = [c[k] for k in FIRST] + [len(c["mult"])] + c["mult"]
    if any(c[k] for k in LAST):
        row += [0] * (MOST_LEVELS - len(c["mult"])) + [c[k] for k in LAST]
    if c["cameras"]:
        row += [c[k] for k in IMAGES]
    return torch.tensor(row, dtype=torch.float64)


def network_file(folder, name, seed, batch, cfg, lora=None):
    """lora: (rank, alpha, patterns) of an adapter, whose factors' gradients are stored instead of the weights'."""
    draw, p = Inputs(seed), Adapted(seed + 1, *lora) if lora else Params(seed + 1)
    given = {"z": draw.normal(batch, cfg["horizon"], cfg["cols"]), "t": draw.integers(20, batch)}
    if cfg["cond"]:
        given["cond"] = draw.normal(batch, cfg["cond"])
    if cfg["extra"]:
        given["extra"] = draw.normal(batch, cfg["horizon"], cfg["extra"])
    smooth = [k for k in given if k != "t"]
    for k in smooth:
        given[k].requires_grad_(True)
    out = NETWORKS[cfg["kind"]](p, cfg, **given)
    dout = draw.normal(*out.shape)
    out.backward(dout)
    tensors = {"config": config_row(cfg), **given, "out": out, "dout": dout}
    tensors.update({"d" + k: given[k].grad for k in smooth})
    if lora:
        tensors["lora"] = [float(lora[0]), float(lora[1])]
        for k in p.A:
            tensors.update({f"A/{k}": p.A[k], f"B/{k}": p.B[k], f"dA/{k}": p.A[k].grad, f"dB/{k}": p.B[k].grad})
    write_safetensors(os.path.join(folder, name), {**tensors, **p.values(), **({} if lora else p.grads())})


def value_files(folder):
    draw, p, hidden = Inputs(50), Params(51), 33
    obs, act = draw.normal(5, 7).requires_grad_(True), draw.normal(5, 3).requires_grad_(True)
    q = twin_q(p, obs, act, hidden)
    dq = [draw.normal(5), draw.normal(5)]
    torch.autograd.backward(q, dq)
    write_safetensors(os.path.join(folder, "twin_q.safetensors"),
                      {"config": [7.0, 3, hidden], "obs": obs, "act": act, "out0": q[0], "out1": q[1], "dout0": dq[0],
                       "dout1": dq[1], "dobs": obs.grad, "dact": act.grad, **p.values(), **p.grads()})
    p, obs = Params(52), draw.normal(5, 13).requires_grad_(True)
    v = value_head(p, "V", obs, 7)
    dv = draw.normal(5)
    v.backward(dv)
    write_safetensors(os.path.join(folder, "v.safetensors"),
                      {"config": [13.0, 0, 7], "obs": obs, "out0": v, "dout0": dv, "dobs": obs.grad, **p.values(),
                       **p.grads()})


# ---- adapters ------------------------------------------------------------------------------------------------------

def lora_file(folder):
    """conv(7->13,k5) - conv_transposed(13->6,k4,s2,p1) - linear(6->5), each adapted: as PEFT does it, where it can.

    The first and last are computed as a second path through the factors, not by merging weights."""
    draw, p, rank, alpha = Inputs(60), Params(61), 3, 2.0
    s = alpha / rank
    x = draw.normal(2, 8, 7)
    A = {"conv": draw.normal(rank, 7, 5, scale=0.3), "up": draw.normal(rank, 13, 4, scale=0.3),
         "lin": draw.normal(rank, 6, scale=0.3)}
    B = {k: draw.normal(n, rank, scale=0.3) for k, n in (("conv", 13), ("up", 6), ("lin", 5))}
    for v in (*A.values(), *B.values()):
        v.requires_grad_(True)
    h = x.transpose(1, 2)
    h = conv(p, "conv", h, 13, 5, pad=2) + s * F.conv1d(F.conv1d(h, A["conv"], padding=2), B["conv"][:, :, None])
    up = p.get("up.weight", 13, 6, 4, fan_in=26) + s * torch.einsum("or,rik->iok", B["up"], A["up"])
    h = F.conv_transpose1d(h, up, p.get("up.bias", 6), stride=2, padding=1).transpose(1, 2)
    out = linear(p, "lin", h, 5) + s * F.linear(F.linear(h, A["lin"]), B["lin"])
    dout = draw.normal(*out.shape)
    out.backward(dout)
    tensors = {"config": [float(rank), alpha], "x": x, "out": out, "dout": dout, **p.values()}
    for k in A:
        tensors.update({f"A/{k}": A[k], f"B/{k}": B[k], f"dA/{k}": A[k].grad, f"dB/{k}": B[k].grad})
    write_safetensors(os.path.join(folder, "lora.safetensors"), tensors)


def dit_lora_file(folder):
    """DiT1d with every linear layer adapted: W + s B A."""
    draw, p, rank, alpha = Inputs(62), Params(63), 2, 3.0
    cfg = config(4, horizon=5, cols=3, cond=8, hidden=6, blocks=1, emb=8, heads=2, time_embed=2)
    given = [draw.normal(2, 5, 3), draw.integers(20, 2), draw.normal(2, 8)]
    dit1d(p, cfg, *given)  # draws the parameters
    moved, factors = Frozen({k: v.detach() for k, v in p.items()}), {}
    for key in [k for k, v in p.items() if v.dim() == 2]:
        name, (out, n) = key[:-len("_weight")], p[key].shape
        A, B = draw.normal(rank, n, scale=0.3).requires_grad_(True), draw.normal(out, rank, scale=0.3).requires_grad_(True)
        moved[key] = p[key].detach() + alpha / rank * (B @ A)
        factors[name] = (A, B)
    out = dit1d(moved, cfg, *given)
    dout = draw.normal(*out.shape)
    out.backward(dout)
    tensors = {"config": config_row(cfg), "lora": [float(rank), alpha], "z": given[0], "t": given[1],
               "cond": given[2], "out": out, "dout": dout, **p.values()}
    for name, (A, B) in factors.items():
        tensors.update({f"A/{name}": A, f"B/{name}": B, f"dA/{name}": A.grad, f"dB/{name}": B.grad})
    write_safetensors(os.path.join(folder, "dit_lora.safetensors"), tensors)


# ---- optimizer -----------------------------------------------------------------------------------------------------

def adamw_file(folder):
    """20 steps: clip by global norm, AdamW, EMA. Gradients of very different size, so that some steps clip."""
    draw, steps, ema_rate, max_norm = Inputs(70), 20, 0.9, 1.0
    shapes = {"layer.weight": (13, 7), "layer.bias": (13,)}
    p = {k: draw.normal(*s).requires_grad_(True) for k, s in shapes.items()}
    ema = {k: v.detach().clone() for k, v in p.items()}
    tensors = {"config": [1e-2, 0.9, 0.99, 1e-8, 0.1, max_norm, ema_rate]}
    tensors.update({"start/" + k: v.detach().clone() for k, v in p.items()})
    opt = torch.optim.AdamW(p.values(), lr=1e-2, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    seen = {f"{kind}/{k}": [] for k in p for kind in ("grad", "weight", "ema")}
    norms = []
    for i in range(steps):
        for k, v in p.items():
            v.grad = draw.normal(*shapes[k], scale=10.0 ** (i % 4 - 2))
            seen["grad/" + k].append(v.grad.clone())
        norms.append(torch.nn.utils.clip_grad_norm_(p.values(), max_norm))
        opt.step()
        for k, v in p.items():
            ema[k] = ema_rate * ema[k] + (1 - ema_rate) * v.detach()
            seen["weight/" + k].append(v.detach().clone())
            seen["ema/" + k].append(ema[k])
    tensors.update({k: torch.stack(v) for k, v in seen.items()})
    write_safetensors(os.path.join(folder, "adamw.safetensors"), {**tensors, "norm": torch.stack(norms)})


# ---- critic losses -------------------------------------------------------------------------------------------------

def iql_file(folder):
    """V: mean |tau - 1[u<0]| u^2, u = min(q1,q2) - V(s). Q: mean sum_k (Q_k - (r + gamma (1-term) V(s')))^2."""
    draw, v, q, hidden, tau, gamma, batch = Inputs(80), Params(81), Params(82), 13, 0.7, 0.97, 9
    obs, act, nxt = draw.normal(batch, 7), draw.normal(batch, 3), draw.normal(batch, 7)
    rew, term = draw.normal(batch), (draw.uniform(batch) < 0.3).double()
    target_q = draw.normal(batch, scale=0.3), draw.normal(batch, scale=0.3)
    value = value_head(v, "V", obs, hidden)
    u = torch.minimum(*target_q) - value
    v_loss = (torch.abs(tau - (u < 0).double()) * u ** 2).mean()
    v_loss.backward()
    with torch.no_grad():
        y = rew + gamma * (1 - term) * value_head(v, "V", nxt, hidden)
    q1, q2 = twin_q(q, obs, act, hidden)
    q_loss = ((q1 - y) ** 2 + (q2 - y) ** 2).mean()
    q_loss.backward()
    write_safetensors(os.path.join(folder, "iql.safetensors"),
                      {"config": [7.0, 3, hidden, tau, gamma], "obs": obs, "act": act, "next": nxt, "rew": rew,
                       "term": term, "target_q1": target_q[0], "target_q2": target_q[1], "v_loss": [v_loss.item()],
                       "target": y, "q_loss": [q_loss.item()], **v.values("v/"), **v.grads("dv/"), **q.values("q/"),
                       **q.grads("dq/")})


# ---- chains of denoising steps -------------------------------------------------------------------------------------

def cosine_levels(steps, s=0.008):
    """alpha_i, sigma_i of the cosine schedule, beta clipped at .999."""
    f = [math.cos((u / steps + s) / (1 + s) * math.pi / 2) ** 2 for u in range(steps + 1)]
    abar, out = 1.0, []
    for i in range(steps):
        abar *= 1 - min(1 - f[i + 1] / f[i], 0.999)
        out.append((math.sqrt(abar), math.sqrt(1 - abar)))
    return out


def table(levels, indices, eta, floor):
    """Rows (index, P, Q, a, b, S): x = clip(P z + Q f), mu = a x + b z, z' = mu + S xi; v prediction, so that
    no row divides by a small alpha and every row is partly clipped and partly alive."""
    rows = []
    for i, nxt in zip(indices, indices[1:] + [None]):
        alpha, sigma = levels[i]
        alpha_s, sigma_s = (1.0, 0.0) if nxt is None else levels[nxt]
        v = eta ** 2 * (sigma_s / sigma) ** 2 * (sigma ** 2 - (alpha / alpha_s * sigma_s) ** 2)
        c = math.sqrt(max(sigma_s ** 2 - v, 0))
        rows.append([i, alpha, -sigma, alpha_s - c * alpha / sigma, c / sigma, max(math.sqrt(v), floor)])
    return rows


CHAIN = config(0, horizon=2, cols=3, cond=5, hidden=7, blocks=1, emb=4)
LEVELS = cosine_levels(5)
ROWS = table(LEVELS, [4, 2, 0], eta=0.8, floor=0.1)
CLIP = 1.0


def row_mean(p, row, z, f):
    x = torch.clamp(row[1] * z + row[2] * f, -CLIP, CLIP)
    return row[3] * x + row[4] * z


def denoise(p, row, z, cond):
    return idql_mlp(p, CHAIN, z, torch.full((z.shape[0],), float(row[0])), cond)


def known_entries(draw, batch):
    """In-painting: row 0's first column is given."""
    mask = torch.zeros(batch, CHAIN["horizon"], CHAIN["cols"])
    mask[:, 0, 0] = 1
    return mask, draw.normal(*mask.shape, scale=0.5) * mask


def chain_inputs(draw, batch):
    cond = draw.normal(batch, CHAIN["cond"])
    mask, known = known_entries(draw, batch)
    z = draw.normal(batch, CHAIN["horizon"], CHAIN["cols"]) * (1 - mask) + known
    xi = draw.normal(len(ROWS), *z.shape)
    return cond, mask, known, z, xi


def head(seed):
    p = Params(seed)
    idql_mlp(p, CHAIN, torch.zeros(1, 2, 3), torch.zeros(1), torch.zeros(1, 5))
    return p, {"config": config_row(CHAIN), "rows": torch.tensor(ROWS), "clip": [CLIP]}


def log_prob(z, mu, std, mask, low=-5.0, high=2.0):
    """Mean over unmasked entries, each clamped first."""
    e = torch.clamp(-(z - mu) ** 2 / (2 * std ** 2) - math.log(std) - 0.5 * math.log(2 * math.pi), low, high)
    return ((e * (1 - mask)).sum((1, 2))) / (1 - mask).sum((1, 2))


def rl_file(folder):
    """REINFORCE and PPO on a stored chain: loss = mean over rows and samples."""
    draw, batch = Inputs(90), 8
    p, tensors = head(91)
    old = p.moved(92, 0.02)
    cond, mask, known, z, xi = chain_inputs(draw, batch)
    chain, old_logp = [z], []
    with torch.no_grad():
        for k, row in enumerate(ROWS):
            mu = row_mean(old, row, chain[-1], denoise(old, row, chain[-1], cond))
            chain.append(f32(mu + row[5] * xi[k]) * (1 - mask) + known)
            old_logp.append(f32(log_prob(chain[-1], mu, row[5], mask)))
    adv, kappa = draw.normal(batch), draw.uniform(len(ROWS), batch, low=0.2, high=2.0)
    eps = [0.05, 0.1, 0.02]
    tensors.update({"cond": cond, "mask": mask, "known": known, "chain": torch.stack(chain), "adv": adv,
                    "kappa": kappa, "logp_old": torch.stack(old_logp), "eps": eps, "clamp": [-5.0, 2.0],
                    **p.values()})
    clipped = []
    for name in ("reinforce", "ppo"):
        p.zero()
        loss, logps = 0, []
        for k, row in enumerate(ROWS):
            logp = log_prob(chain[k + 1], row_mean(p, row, chain[k], denoise(p, row, chain[k], cond)), row[5], mask)
            rho, ka = torch.exp(logp - old_logp[k]), kappa[k] * adv
            term = -ka * logp
            if name == "ppo":
                cut = torch.clamp(rho, 1 - eps[k], 1 + eps[k])
                term = torch.maximum(-ka * rho, -ka * cut)
                clipped.append(((cut != rho) & (-ka * cut > -ka * rho)).double())
            loss = loss + term.mean() / len(ROWS)
            logps.append(logp.detach())
        loss.backward()
        tensors.update({"loss_" + name: [loss.item()], **p.grads(f"{name}/")})
    tensors.update({"logp": torch.stack(logps), "clipped": torch.stack(clipped)})
    if not 0.2 < tensors["clipped"].mean() < 0.8:
        sys.exit("rl: nearly all or nearly none of the ratios are clipped")
    write_safetensors(os.path.join(folder, "rl.safetensors"), tensors)


def qvpg_file(folder):
    """L = mean_b |z_0 - target|^2 through all rows; kappa_k scales the parameter branch of row k only."""
    draw, batch = Inputs(100), 4
    p, tensors = head(101)
    cond, mask, known, z, xi = chain_inputs(draw, batch)
    target = draw.normal(*z.shape)
    kappa = [0.25, 1.25, 1.5]
    start = z.clone().requires_grad_(True)
    z, chain = start, []
    for k, row in enumerate(ROWS):
        fixed = {n: v.detach() for n, v in p.items()}
        through_z, through_p = denoise(Frozen(fixed), row, z, cond), denoise(p, row, z.detach(), cond)
        f = through_z + kappa[k] * (through_p - through_p.detach())
        z = (row_mean(p, row, z, f) + row[5] * xi[k]) * (1 - mask) + known
        chain.append(z.detach())
    loss = ((z - target) ** 2).sum((1, 2)).mean()
    loss.backward()
    write_safetensors(os.path.join(folder, "qvpg.safetensors"),
                      {**tensors, "cond": cond, "mask": mask, "known": known, "z": start, "xi": xi, "kappa": kappa,
                       "target": target, "chain": torch.stack(chain), "loss": [loss.item()],
                       "dz": start.grad, **p.values(), **p.grads()})


class Frozen(Params):
    """Given parameters, nothing drawn."""

    def __init__(self, values):
        dict.__init__(self, values)


def dpo_file(folder):
    """softplus(gamma ((err_w - err_l) - (ref_w - ref_l))), err = weighted mean of (eps - f)^2, noise shared."""
    draw, batch, gamma = Inputs(110), 6, 2.5
    p, tensors = head(111)
    ref = p.moved(112, 0.1)
    cond, mask, _, eps, _ = chain_inputs(draw, batch)
    t = draw.integers(5, batch)
    alpha, sigma = (torch.tensor([LEVELS[int(i)][j] for i in t])[:, None, None] for j in (0, 1))
    pair = [draw.uniform(*eps.shape, low=-1, high=1) for _ in range(2)]
    noised = [f32(mask * x + (1 - mask) * (alpha * x + sigma * eps)) for x in pair]
    weight = (1 - mask) * draw.uniform(*eps.shape, low=0.5, high=2)
    count = (weight != 0).double().sum((1, 2))

    def error(params, z):
        return (weight * (idql_mlp(params, CHAIN, z, t, cond) - eps) ** 2).sum((1, 2)) / count

    with torch.no_grad():
        margin = f32(error(ref, noised[0]) - error(ref, noised[1]))
    err = [error(p, z) for z in noised]
    u = gamma * ((err[0] - err[1]) - margin)
    loss = F.softplus(u).mean()
    loss.backward()
    write_safetensors(os.path.join(folder, "dpo.safetensors"),
                      {**tensors, "gamma": [gamma], "cond": cond, "t": t, "eps": eps, "weight": weight,
                       "z_w": noised[0], "z_l": noised[1], "ref": margin, "err_w": err[0], "err_l": err[1],
                       "loss": [loss.item()], **p.values(), **p.grads()})


# ---- all of them ---------------------------------------------------------------------------------------------------

def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
    os.makedirs(folder, exist_ok=True)
    networks = {
        "mlp_t1": config(0, horizon=1, cols=3, cond=13, hidden=33, blocks=2, emb=14),
        "mlp_t3": config(0, horizon=3, cols=7, cond=5, extra=2, hidden=13, blocks=1, emb=6),
        "mlp_free": config(0, horizon=1, cols=2, hidden=7, blocks=3, emb=2),
        "unet_two": config(1, horizon=8, cols=7, hidden=6, emb=6, kernel=5, mult=[1, 2]),
        "unet_three": config(1, horizon=16, cols=13, hidden=5, emb=10, kernel=5, mult=[1, 2, 2]),
        "unet_same": config(1, horizon=4, cols=7, extra=3, cond=33, hidden=7, emb=4, kernel=3, mult=[1, 1]),
        "dql": config(5, horizon=3, cols=7, extra=2, cond=6, hidden=13, emb=16, n_obs=2, time_embed=2, encoder=1,
                      enc_hidden=7, enc_dim=5),
        "dql_plain": config(5, horizon=1, cols=3, cond=13, hidden=33, emb=6, time_embed=1),
        "mlp_frozen": config(0, horizon=1, cols=3, cond=5, hidden=7, blocks=1, emb=14, time_embed=3, compat=2),
        "chi": config(2, horizon=8, cols=7, cond=13, hidden=5, emb=10, kernel=5, mult=[1, 4]),
        "chi_extra": config(2, horizon=4, cols=7, extra=3, cond=33, hidden=7, emb=6, kernel=3, mult=[1, 1], n_obs=3,
                            time_embed=1, encoder=1, enc_hidden=13, enc_dim=7),
        "chi_free": config(2, horizon=13, cols=3, hidden=7, emb=4, kernel=7, mult=[1]),
        "half": config(6, horizon=4, cols=7, cond=33, hidden=3, emb=6, kernel=3, mult=[1, 2, 2], outputs=1),
        "half_flat": config(6, horizon=16, cols=13, hidden=5, emb=6, kernel=3, mult=[1, 4], outputs=7),
        "chitf": config(3, horizon=7, cols=3, cond=10, hidden=14, blocks=2, emb=14, n_obs=2, heads=2),
        "chitf_wide": config(3, horizon=13, cols=2, extra=3, cond=7, hidden=6, blocks=1, emb=6, n_obs=1, heads=3, time_embed=1,
                           encoder=1, enc_hidden=5, enc_dim=13),
        "chitf_step": config(3, horizon=1, cols=7, cond=3, hidden=4, blocks=1, emb=4, heads=1),
        "dit": config(4, horizon=7, cols=3, cond=16, hidden=14, blocks=2, emb=16, heads=2, time_embed=2),
        "dit_compat": config(4, horizon=13, cols=2, extra=3, cond=5, hidden=12, blocks=2, emb=6, heads=4, compat=5),
        "dit_half": config(7, horizon=33, cols=2, hidden=12, blocks=1, emb=8, heads=3, outputs=2),
        "inverse": config(8, horizon=2, cols=7, hidden=13, emb=2, outputs=33),
    }
    def images(cameras, n_obs, rows, size, **fields):
        return dict(cameras=cameras, n_obs=n_obs, image_h=size[0], image_w=size[1], image_c=size[2],
                    cond=n_obs * (rows + cameras * size[0] * size[1] * size[2]), **fields)

    networks.update({
        "image_means": config(5, horizon=3, cols=2, hidden=13, emb=6, encoder=2, enc_hidden=13, enc_dim=7,
                              **images(1, 2, 3, (13, 13, 3), crop_h=11, crop_w=10, enc_width=4)),
        "image_keys": config(0, horizon=1, cols=3, hidden=13, blocks=1, emb=6, encoder=3, enc_hidden=7, enc_dim=5,
                             **images(2, 1, 5, (37, 33, 1), crop_h=37, crop_w=31, enc_width=2)),
        "image_key": config(5, horizon=1, cols=3, hidden=7, emb=6, encoder=3, enc_hidden=7, enc_dim=5,
                            **images(1, 1, 0, (33, 35, 1), crop_h=33, crop_w=35, enc_width=2)),
    })
    only = sys.argv[2:]
    for i, (name, cfg) in enumerate(networks.items()):
        seed = 10 + 2 * i if i < 6 else 1000 + zlib.crc32(name.encode()) % 100000
        if not only or name in only:
            network_file(folder, name + ".safetensors", seed, 3, cfg)
    adapters = {"lora_chi": ("chi_extra", (2, 3.0, ["*cond_encoder.1", "downs.0.0.*"])),
                "lora_half": ("half_flat", (3, 2.0, ["final_block.*", "mid_block2.0.conv1.0"]))}
    for name, (network, lora) in adapters.items():
        if not only or name in only:
            network_file(folder, name + ".safetensors", zlib.crc32(name.encode()) % 100000, 2, networks[network], lora)
    if not only or "dit_lora" in only:
        dit_lora_file(folder)
    if only:
        return
    value_files(folder)
    lora_file(folder)
    adamw_file(folder)
    iql_file(folder)
    rl_file(folder)
    qvpg_file(folder)
    dpo_file(folder)


main()
