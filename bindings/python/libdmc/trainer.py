"""trainer.py — fit a model to a dataset by denoising."""

from __future__ import annotations

from ctypes import byref
from functools import partial
from typing import Optional

import numpy as np

from ._arguments import Path, path, whole
from ._handle import Handle, used
from ._lib import lib
from ._records import TrainMetrics
from .context import Context, where
from .dataset import Dataset
from .model import Model
from .options import Options, Value


class Trainer(Handle):
    """Works on its own copy of the model's weights; publish makes a model of their running average.

    Options: libdmc.options.describe("train"), e.g. steps=20000, batch=128, lr=1e-3.
    """

    _destroy = "dmc_trainer_destroy"
    _one_thread = True

    def __init__(
        self, model: Model, dataset: Dataset, *, context: Optional[Context] = None, **options: Value
    ):
        super().__init__(
            lib.dmc_trainer_create,
            where(context),
            used("model", model, Model),
            used("dataset", dataset, Dataset),
            Options("train", options),
        )
        self._context = model._context

    def step(self, n: int = 1) -> TrainMetrics:
        """Do n updates. Ctrl-C waits for their end, so ask for hundreds rather than for all."""
        metrics = TrainMetrics()
        self._call(lib.dmc_trainer_step, whole("n", n), byref(metrics))
        return metrics

    def evaluate(self) -> float:
        """Mean denoising loss of the averaged weights on the held-out episodes.

        Windows, times and noise are fixed, so values of different moments compare.
        """
        loss = np.empty(1)
        self._call(lib.dmc_trainer_evaluate, loss)
        return float(loss[0])

    def publish(self) -> Model:
        """A new model with the averaged weights."""
        return Model._in(self._context, partial(self._call, lib.dmc_trainer_publish))

    def save(self, file: Path) -> None:
        """Write everything needed to go on bit-exactly, atomically."""
        self._call(lib.dmc_trainer_save, path(file))

    def resume(self, file: Path) -> None:
        """Go on from a saved state: same model shape, dataset and options."""
        self._call(lib.dmc_trainer_resume, path(file))
