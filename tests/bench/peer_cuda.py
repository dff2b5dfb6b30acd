#!/usr/bin/python3
"""The work of bench_cuda.c in PyTorch on the GPU. A server of one client, with the protocol of bench_nets.py.

Reads lines "case style threads seconds", as in "janner/sample/64/tf32 compile 1 0.5"; answers "parameters n ms ms ...", n = 0 where
there is nothing to time. The last word of a case is what matrices are multiplied in. Styles:
  eager    the code as it stands
  graph    the same, all of it captured once in a CUDA graph and replayed (not for training)
  compile  the network through torch.compile, and the whole work around it captured; where that fails, and for training,
           torch.compile(mode="reduce-overhead")
Also what the card can do: "roof/matmul/8192/bf16" (a square product), "roof/copy/1024/fp32" (so many MiB on the device).
Without torch or a GPU it says nothing and ends.
"""
import contextlib
import os
import sys
import time

try:
    import torch
except ImportError:
    sys.exit(0)

import bench_nets as nets
import peer_networks as peers

DEVICE = os.environ.get("DMC_PEER_DEVICE", "cuda")  # "cpu": to try this script, not to time anything
TRAIN_STEPS = 8  # between two waits for the device, as bench_cuda.c does


def synchronize():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def set_precision(word):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = word != "fp32"


def captured(work):
    """One CUDA graph of all that work does."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def repeated(work, context):
    def steps():
        with context():
            for _ in range(TRAIN_STEPS):
                work()
    return steps


class Case:
    """"janner/sample/64/bf16". Weights of bf16 are bf16 numbers, but while training, where autocast makes them."""

    def __init__(self, text):
        self.name, self.kind, batch, self.matrix = text.split("/")
        self.kind = "sample" if self.kind == "sample-bf16" else self.kind
        torch.manual_seed(0)
        set_precision(self.matrix)
        self.net = nets.NETS[self.name]()
        self.inputs = self.net.example(int(batch))
        self.training = self.kind == "train"
        self.net.train(self.training)
        self.parameters = peers.count(self.net)
        if self.matrix == "bf16" and not self.training:
            self.net = self.net.bfloat16()
            self.inputs = tuple(x.bfloat16() for x in self.inputs)
        self.works = {}

    def train_work(self, style):
        if style == "graph":
            return None
        if self.name == "twin_q":
            work = nets.train_critic_once(self.net, self.inputs) if style == "eager" else None
        else:
            forward = torch.compile(self.net, mode="reduce-overhead") if style == "compile" else None
            work = nets.train_once(self.name, self.net, self.inputs, forward)
        context = contextlib.nullcontext
        if self.matrix == "bf16":
            context = lambda: torch.autocast(DEVICE, dtype=torch.bfloat16)
        return work and repeated(work, context)

    def compiled_work(self):
        with torch.no_grad():
            net = torch.compile(self.net)
            try:
                return captured(nets.make_work(self.kind, self.name, net, self.inputs))
            except RuntimeError:
                return nets.make_work(self.kind, self.name, torch.compile(self.net, mode="reduce-overhead"), self.inputs)

    def make(self, style):
        if self.training:
            return self.train_work(style)
        if style == "compile":
            return self.compiled_work()
        work = nets.make_work(self.kind, self.name, self.net, self.inputs)
        return captured(work) if style == "graph" else work

    def work(self, style):
        if style not in self.works:
            self.works[style] = self.make(style)
            for _ in range(5 if self.works[style] else 0):
                self.works[style]()
        return self.works[style]

    def runs(self):
        return TRAIN_STEPS if self.training else 1


class Roof:
    parameters = 0

    def __init__(self, text):
        _, self.kind, size, matrix = text.split("/")
        set_precision(matrix)
        kind = torch.bfloat16 if matrix == "bf16" else torch.float32
        if self.kind == "matmul":
            self.a, self.b = (torch.randn(int(size), int(size)).to(kind) for _ in range(2))
        else:
            self.a = torch.randn(int(size) << 18)
            self.b = torch.empty_like(self.a)

    def work(self, style):
        return (lambda: self.a @ self.b) if self.kind == "matmul" else (lambda: self.b.copy_(self.a))

    def runs(self):
        return 1


def measure(work, runs, seconds):
    times, end = [], time.monotonic() + seconds
    work()
    while not times or time.monotonic() < end:
        synchronize()
        start = time.perf_counter()
        work()
        synchronize()
        times.append(1e3 * (time.perf_counter() - start) / runs)
    return times


def answer(case, style, seconds):
    try:
        work = case.work(style)
        return measure(work, case.runs(), seconds) if work else []
    except Exception as problem:  # whatever it is, there is nothing to time, and the next question may be answered
        print(f"peer_cuda: {style}: {problem}", file=sys.stderr)
        case.works = {style: None} if isinstance(case, Case) else None
        return []


def serve():
    case, last = None, None
    for line in sys.stdin:
        text, style, _, seconds = line.split()
        name = text.split("/")[0]
        if name != "roof" and name not in nets.NETS:
            print(0, 0, flush=True)
            continue
        if text != last:
            case = None
            case, last = (Roof if name == "roof" else Case)(text), text
        times = answer(case, style, float(seconds))
        print(case.parameters, len(times), *times, flush=True)


def main():
    if not hasattr(torch, "compile") or DEVICE == "cuda" and not torch.cuda.is_available():
        sys.exit(0)
    torch.set_default_device(DEVICE)
    print("torch", torch.__version__ + ",", torch.cuda.get_device_name() if DEVICE == "cuda" else "no GPU", flush=True)
    serve()


main()
