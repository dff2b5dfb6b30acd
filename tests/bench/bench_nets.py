#!/usr/bin/python3
"""The networks of bench_nets.c in eager PyTorch, one thread. Reads "case seconds" lines, answers "parameters n ms ms ...".

Times are CPU time of this process, as bench_nets.c takes its own. Layers are ordinary torch.nn modules, put together as
CleanDiffuser puts them together; bench_nets.c checks that the numbers of parameters agree.
"""
import copy
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
try:
    import torch
    from torch import nn
except ImportError:
    sys.exit(0)

torch.set_num_threads(1)
torch.set_num_interop_threads(1)
torch.manual_seed(0)

HORIZON, OBS, ACT, STEPS = 32, 11, 3, 20


# ---- networks ------------------------------------------------------------------------------------------------------

class TimeEmbedding(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.register_buffer("rate", 10000.0 ** (-torch.arange(dim // 2) / (dim // 2)))

    def forward(self, t):
        angle = t[:, None] * self.rate
        return torch.cat([angle.cos(), angle.sin()], -1)


def conv_block(inner, outer, taps):
    return nn.Sequential(nn.Conv1d(inner, outer, taps, padding=taps // 2), nn.GroupNorm(8, outer), nn.Mish())


class ResidualBlock(nn.Module):
    def __init__(self, inner, outer, emb, taps):
        super().__init__()
        self.conv1, self.conv2 = conv_block(inner, outer, taps), conv_block(outer, outer, taps)
        self.emb_mlp = nn.Sequential(nn.Mish(), nn.Linear(emb, outer))
        self.residual_conv = nn.Conv1d(inner, outer, 1) if inner != outer else nn.Identity()

    def forward(self, x, e):
        return self.conv2(self.conv1(x) + self.emb_mlp(e)[:, :, None]) + self.residual_conv(x)


class JannerUNet(nn.Module):
    def __init__(self, cols=OBS + ACT, dim=32, mult=(1, 2, 2, 2), taps=5):
        super().__init__()
        width = [dim]
        for m in mult[1:]:
            width.append(width[-1] * m)
        self.embed = TimeEmbedding(dim)
        self.map_emb = nn.Sequential(nn.Linear(dim, 4 * dim), nn.Mish(), nn.Linear(4 * dim, dim))
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        inner = cols
        for i, w in enumerate(width):
            self.downs.append(nn.ModuleList([ResidualBlock(inner, w, dim, taps), ResidualBlock(w, w, dim, taps),
                                             nn.Conv1d(w, w, 3, 2, 1) if i + 1 < len(width) else nn.Identity()]))
            inner = w
        self.mid = nn.ModuleList([ResidualBlock(inner, inner, dim, taps) for _ in range(2)])
        for w in reversed(width[:-1]):
            self.ups.append(nn.ModuleList([ResidualBlock(2 * inner, w, dim, taps), ResidualBlock(w, w, dim, taps),
                                           nn.ConvTranspose1d(w, w, 4, 2, 1)]))
            inner = w
        self.final_conv = nn.Sequential(conv_block(dim, dim, 5), nn.Conv1d(dim, cols, 1))

    def forward(self, z, t, cond=None):
        x, e, skips = z.permute(0, 2, 1), self.map_emb(self.embed(t)), []
        for first, second, down in self.downs:
            x = second(first(x, e), e)
            skips.append(x)
            x = down(x)
        for block in self.mid:
            x = block(x, e)
        for first, second, up in self.ups:
            x = up(second(first(torch.cat([x, skips.pop()], 1), e), e))
        return self.final_conv(x).permute(0, 2, 1)


class IdqlBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width))

    def forward(self, x):
        return x + self.net(x)


class IdqlMlp(nn.Module):
    def __init__(self, width=256, blocks=3, emb=64):
        super().__init__()
        self.embed = TimeEmbedding(emb)
        self.time_mlp = nn.Sequential(nn.Linear(emb, 2 * emb), nn.Mish(), nn.Linear(2 * emb, emb))
        self.affine_in = nn.Linear(ACT + emb + OBS, width)
        self.ln_resnet = nn.Sequential(*[IdqlBlock(width) for _ in range(blocks)])
        self.affine_out = nn.Linear(width, ACT)

    def forward(self, z, t, cond):
        x = torch.cat([z[:, 0], self.time_mlp(self.embed(t)), cond], -1)
        return self.affine_out(self.ln_resnet(self.affine_in(x)))[:, None]


def value_head(width=256):
    return nn.Sequential(nn.Linear(OBS + ACT, width), nn.LayerNorm(width), nn.Mish(), nn.Linear(width, width),
                         nn.LayerNorm(width), nn.Mish(), nn.Linear(width, 1))


class TwinQ(nn.Module):
    def __init__(self):
        super().__init__()
        self.q1, self.q2 = value_head(), value_head()

    def forward(self, obs, act):
        x = torch.cat([obs, act], -1)
        return self.q1(x), self.q2(x)


# ---- work ----------------------------------------------------------------------------------------------------------

def inputs(name, batch):
    rows, cols = (HORIZON, OBS + ACT) if name == "janner" else (1, ACT)
    return torch.randn(batch, rows, cols), torch.full((batch,), 3.0), torch.randn(batch, OBS)


def forward_work(name, net, batch):
    z, t, cond = inputs(name, batch)
    args = (cond, z[:, 0]) if name == "twin_q" else (z, t, cond)

    def work():
        with torch.no_grad():
            net(*args)
    return work


def train_work(name, net, batch):
    """Noise, forward, loss, backward, clip, AdamW, moving average."""
    average = copy.deepcopy(net)
    optim = torch.optim.AdamW(net.parameters(), lr=3e-4, weight_decay=1e-5)
    x0, _, cond = inputs(name, batch)
    alpha = torch.linspace(0.99, 0.1, STEPS)

    def work():
        i = torch.randint(STEPS, (batch,))
        noise, a = torch.randn_like(x0), alpha[i][:, None, None]
        loss = ((net(a * x0 + (1 - a * a).sqrt() * noise, i.float(), cond) - noise) ** 2).mean()
        optim.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optim.step()
        with torch.no_grad():
            for p, q in zip(net.parameters(), average.parameters()):
                q.mul_(0.995).add_(p, alpha=0.005)
    return work


def sample_work(name, net, batch):
    """A DDPM chain; the state of row 0 is in-painted in plans."""
    z0, t, cond = inputs(name, batch)
    steps = STEPS if name == "janner" else 5

    def work():
        with torch.no_grad():
            z = torch.randn_like(z0)
            for i in reversed(range(steps)):
                if name == "janner":
                    z[:, 0, :OBS] = cond
                x = (1.1 * z - 0.4 * net(z, t.fill_(i), cond)).clamp(-1, 1)
                z = 0.3 * x + 0.7 * z
                if i > 0:
                    z = z + 0.1 * torch.randn_like(z)
    return work


NETS = {"janner": JannerUNet, "idql": IdqlMlp, "twin_q": TwinQ}
WORK = {"forward": forward_work, "train": train_work, "sample": sample_work}
ready = {}


def prepare(case):
    """"janner/forward/16" -> (parameters, work), made once and warmed up."""
    if case not in ready:
        name, kind, batch = case.split("/")
        net = NETS[name]()
        work = WORK[kind](name, net, int(batch))
        for _ in range(2):
            work()
        ready.clear()  # one case after the other: no need to keep the last
        ready[case] = sum(p.numel() for p in net.parameters()), work
    return ready[case]


def measure(work, seconds):
    times, end = [], time.monotonic() + seconds
    while not times or time.monotonic() < end:
        start = time.process_time()
        work()
        times.append(1e3 * (time.process_time() - start))
    return times


def blas():
    """Which library multiplies matrices: it decides more than PyTorch does."""
    with open("/proc/self/maps") as f:
        text = f.read()
    for name in ("openblas", "blis", "mkl"):
        if f"lib{name}" in text:
            return name
    return "reference blas" if "libblas.so" in text else "own blas"


def main():
    print("torch", torch.__version__, "eager,", blas(), flush=True)
    for line in sys.stdin:
        case, seconds = line.split()
        parameters, work = prepare(case)
        times = measure(work, float(seconds))
        print(parameters, len(times), *times, flush=True)


main()
