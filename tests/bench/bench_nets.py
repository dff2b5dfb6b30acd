#!/usr/bin/python3
"""The work of bench_nets.c in PyTorch: eager, and as frozen TorchScript. A server of one client.

Reads lines "case style threads seconds", as in "janner/forward/16 eager 1 0.15"; answers "parameters n ms ms ...", with n = 0
where there is nothing to time (a script cannot be trained). The script is the better of torch.jit.freeze and
torch.jit.optimize_for_inference. Times are taken as bench_nets.c takes its own: CPU time of the process with one thread,
time on the clock with more.
"""
import copy
import os
import sys
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))  # the most that set_num_threads can ask for
try:
    import torch
    from torch import nn
except ImportError:
    sys.exit(0)

import peer_networks as peers

NETS = {
    "janner": peers.JannerUNet,
    "half_janner": peers.HalfJannerUNet,
    "chi": peers.ChiUNet,
    "chi10": peers.ChiUNet,
    "chi_tf": peers.ChiTransformer,
    "dp_dit": lambda: peers.DiT(cols=2, horizon=10, cond=10),
    "dd_dit": lambda: peers.DiT(cols=11, horizon=32),
    "dd_cfg": lambda: peers.DiT(cols=11, horizon=32, cond=2),
    "idql": peers.IdqlMlp,
    "dql": peers.DqlMlp,
    "twin_q": peers.TwinQ,
    "resnet18": peers.ResNetEncoder,
}
STEPS = {"chi10": 10, "janner": 20, "dd_dit": 20, "dd_cfg": 20}  # of a sampler call; 5 if not named
PLANNERS = {"janner": 11, "dd_dit": 8, "dd_cfg": 8}  # columns of row 0 that are observed, and in-painted
VALUES = {"half_janner"}  # regress one number


# ---- work ----------------------------------------------------------------------------------------------------------

def evaluate_once(net, inputs):
    def work():
        with torch.no_grad():
            net(*inputs)
    return work


def sample_once(name, net, inputs):
    """A DDPM chain; the state of row 0 is in-painted in plans."""
    z0, t, *cond = inputs
    observed = PLANNERS.get(name, 0)
    known = torch.zeros(observed)

    def work():
        with torch.no_grad():
            z = torch.randn_like(z0)
            for i in reversed(range(STEPS.get(name, 5))):
                z[:, 0, :observed] = known
                x = (1.1 * z - 0.4 * net(z, t.fill_(i), *cond)).clamp(-1, 1)
                z = 0.3 * x + 0.7 * z
                if i > 0:
                    z = z + 0.1 * torch.randn_like(z)
            return z
    return work


def sample_guided_once(name, net, inputs):
    """Classifier-free guidance: with and without the condition, as one batch."""
    z, t, cond = inputs
    both = torch.cat([cond, torch.zeros_like(cond)])

    def guided(z, t, _):
        yes, no = net(torch.cat([z, z]), torch.cat([t, t]), both).chunk(2)
        return no + 1.2 * (yes - no)
    return sample_once(name, guided, inputs)


def sample_best_once(name, net, inputs):
    """The same, then the action of which the lesser of two critics thinks most."""
    sample, obs, twins = sample_once(name, net, inputs), inputs[2], peers.TwinQ()

    def work():
        with torch.no_grad():
            act = sample()[:, 0]
            return act[torch.minimum(*twins(obs, act)).argmax()].clone()
    return work


def follow(average, net, rate):
    with torch.no_grad():
        for p, q in zip(net.parameters(), average.parameters()):
            q.lerp_(p, rate)


def train_once(name, net, inputs, forward=None):
    """Noise, forward, loss, backward, clip, AdamW, moving average. forward: what computes net, if not net itself."""
    forward = net if forward is None else forward
    average = copy.deepcopy(net)
    optim = torch.optim.AdamW(net.parameters(), lr=3e-4, weight_decay=1e-5)
    x0, t, *cond = inputs
    batch, value = len(x0), torch.randn(len(x0), 1)
    alpha = torch.linspace(0.99, 0.1, STEPS.get(name, 5))

    def work():
        i = torch.randint(len(alpha), (batch,))
        noise, a = torch.randn_like(x0), alpha[i][:, None, None]
        guess = forward(a * x0 + (1 - a * a).sqrt() * noise, i.float(), *cond)
        loss = ((guess - (value if name in VALUES else noise)) ** 2).mean()
        optim.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optim.step()
        follow(average, net, 0.005)
    return work


def train_critic_once(q, inputs):
    """One update of implicit Q-learning: V towards an expectile of the target twins, both Q towards r + V(s')."""
    (obs, act), target, v = inputs, copy.deepcopy(q), peers.value_head(q.obs)
    reward, after = torch.randn(len(obs), 1), torch.randn_like(obs)
    optims = [torch.optim.Adam(net.parameters(), lr=3e-4) for net in (v, q)]

    def step(optim, loss):
        optim.zero_grad()
        loss.backward()
        optim.step()

    def work():
        with torch.no_grad():
            best = torch.minimum(*target(obs, act))
        gap = best - v(obs)
        step(optims[0], (torch.where(gap > 0, 0.7, 0.3) * gap ** 2).mean())
        with torch.no_grad():
            want = reward + 0.99 * v(after)
        step(optims[1], sum(((want - x) ** 2).mean() for x in q(obs, act)))
        follow(target, q, 0.005)
    return work


def make_work(kind, name, net, inputs):
    if kind == "forward":
        return evaluate_once(net, inputs)
    if kind == "sample":
        return sample_once(name, net, inputs)
    if kind == "sample-guided":
        return sample_guided_once(name, net, inputs)
    if kind == "sample-greedy":
        return sample_best_once(name, net, inputs)
    return train_critic_once(net, inputs) if name == "twin_q" else train_once(name, net, inputs)


# ---- scripts -------------------------------------------------------------------------------------------------------

def scripts(net, inputs):
    """The network traced and frozen, and once more as optimize_for_inference makes it."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace = torch.jit.trace(net.eval(), inputs, check_trace=False)
        return [torch.jit.freeze(trace), torch.jit.optimize_for_inference(trace)]


# ---- timing --------------------------------------------------------------------------------------------------------

def measure(work, threads, seconds):
    clock = time.process_time if threads == 1 else time.perf_counter
    times, end = [], time.monotonic() + seconds
    while not times or time.monotonic() < end:
        start = clock()
        work()
        times.append(1e3 * (clock() - start))
    return times


class Case:
    """"janner/forward/16": its works by style, made when they are asked for first."""

    def __init__(self, text):
        self.name, self.kind, batch = text.split("/")
        torch.manual_seed(0)
        self.net = NETS[self.name]()
        self.net.train(self.kind == "train")
        self.inputs = self.net.example(int(batch))
        self.parameters = peers.count(self.net)
        self.works = {}

    def candidates(self, style):
        if style == "eager":
            return [self.net]
        inputs = tuple(torch.cat([x, x]) for x in self.inputs) if self.kind == "sample-guided" else self.inputs
        return scripts(self.net, inputs) if self.kind != "train" else []

    def work(self, style, threads):
        """Warmed up; of two candidates the one that is faster here."""
        if style not in self.works:
            self.works[style] = [make_work(self.kind, self.name, net, self.inputs) for net in self.candidates(style)]
        works = self.works[style]
        if (style, threads) not in self.works:
            for work in works:
                measure(work, threads, 0.02), work(), work()
            self.works[style, threads] = min(works, key=lambda w: min(measure(w, threads, 0.1)), default=None)
        return self.works[style, threads]


def blas():
    """Which library multiplies matrices: it decides more than PyTorch does."""
    with open("/proc/self/maps") as f:
        text = f.read()
    for name in ("openblas", "blis", "mkl"):
        if f"lib{name}" in text:
            return name
    return "reference blas" if "libblas.so" in text else "own blas"


def serve():
    case, last = None, None
    for line in sys.stdin:
        text, style, threads, seconds = line.split()
        if text.split("/")[0] not in NETS:
            print(0, 0, flush=True)
            continue
        torch.set_num_threads(int(threads))
        if text != last:  # one case after the other: no need to keep the last
            case = None
            case, last = Case(text), text
        work = case.work(style, int(threads))
        times = measure(work, int(threads), float(seconds)) if work else []
        print(case.parameters, len(times), *times, flush=True)


if __name__ == "__main__":
    torch.set_num_interop_threads(1)
    print("torch", torch.__version__ + ",", blas(), flush=True)
    serve()
