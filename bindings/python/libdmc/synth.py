"""synth.py — transitions that never happened, for critics to learn from (SynthER)."""

from __future__ import annotations

from ctypes import byref, c_size_t
from typing import Optional

from ._arguments import u64, whole
from ._handle import Handle, used
from ._lib import lib
from ._records import TrainMetrics
from .context import Context, where
from .dataset import Dataset
from .options import Options, Value
from .replay import Replay


class Synth(Handle):
    """A diffusion model of a dataset's transitions (s, a, r, s', is s' the end?).

    Options: libdmc.options.describe("synth"), e.g. hidden=1024, blocks=6, sample_steps=128.
    """

    _destroy = "dmc_synth_destroy"
    _one_thread = True

    def __init__(self, dataset: Dataset, *, context: Optional[Context] = None, **options: Value):
        super().__init__(
            lib.dmc_synth_create,
            where(context),
            used("dataset", dataset, Dataset),
            Options("synth", options),
            needs=() if context is None else (context._use(),),
        )

    def step(self, n: int = 1) -> TrainMetrics:
        """Do n updates. Ctrl-C waits for their end."""
        metrics = TrainMetrics()
        self._call(lib.dmc_synth_step, whole("n", n), byref(metrics))
        return metrics

    def sample(self, n: int, replay: Replay, *, seed: int = 0) -> None:
        """Push n transitions into the replay; sample i depends on the weights, the seed and i alone."""
        count = whole("n", n, c_size_t)
        self._call(lib.dmc_synth_sample, count, u64("seed", seed), used("replay", replay, Replay))
