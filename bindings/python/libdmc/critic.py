"""critic.py — implicit Q-learning: what an action is worth, and in which direction it gains."""

from __future__ import annotations

import json
from ctypes import byref
from typing import Any, NamedTuple, Optional

import numpy as np

from ._arguments import Floats, Path, floats, path, whole
from ._handle import Handle, used, used_or_null
from ._lib import lib
from ._records import CriticMetrics
from .context import Context, where
from .dataset import Dataset
from .options import Options, Value
from .replay import Replay


class Twins(NamedTuple):
    """The two Q functions, (n,) each; the smaller is the careful estimate."""

    q1: Floats
    q2: Floats


class Critic(Handle):
    """Made by Critic.create or Critic.load. All calls take the dataset's own units.

    Options: libdmc.options.describe("critic"), e.g. tau=0.9, gamma=0.99, hidden=256. With chunk
    above 1 actions are (n,chunk,A) instead of (n,A), in and out.
    """

    _destroy = "dmc_critic_destroy"
    _one_thread = True

    def __init__(self) -> None:
        raise TypeError("use Critic.create or Critic.load")

    @classmethod
    def create(
        cls, dataset: Dataset, *, context: Optional[Context] = None, **options: Value
    ) -> Critic:
        """An untrained critic for the dataset's widths."""
        return cls._make(
            lib.dmc_critic_create,
            where(context),
            used("dataset", dataset, Dataset),
            Options("critic", options),
        )

    @classmethod
    def load(
        cls, file: Path, dataset: Optional[Dataset] = None, *, context: Optional[Context] = None
    ) -> Critic:
        """Read a critic; it can learn on only if a dataset is given."""
        return cls._make(
            lib.dmc_critic_load,
            where(context),
            path(file),
            used_or_null("dataset", dataset, Dataset),
        )

    def save(self, file: Path) -> None:
        """Write in the model-file format, atomically."""
        self._call(lib.dmc_critic_save, path(file))

    def describe(self) -> dict[str, Any]:
        """Options, widths and normalisers."""
        contract: dict[str, Any] = json.loads(self._text(lib.dmc_critic_describe))
        return contract

    def step(self, n: int = 1) -> CriticMetrics:
        """Do n updates on the dataset. Ctrl-C waits for their end."""
        metrics = CriticMetrics()
        self._call(lib.dmc_critic_step, whole("n", n), byref(metrics))
        return metrics

    def step_on(self, replay: Replay, share: float = 0.5, n: int = 1) -> CriticMetrics:
        """Do n updates with a share of each batch from the replay, and the rest from the dataset."""
        metrics = CriticMetrics()
        self._call(
            lib.dmc_critic_step_on,
            used("replay", replay, Replay),
            float(share),
            whole("n", n),
            byref(metrics),
        )
        return metrics

    def _shapes(self) -> tuple[int, tuple[int, ...]]:
        """The width of an observation, and the shape of an action."""
        if not hasattr(self, "_shapes_read"):
            contract = self.describe()
            chunk, act_dim = int(contract["chunk"]), int(contract["act_dim"])
            action = (act_dim,) if chunk == 1 else (chunk, act_dim)
            self._shapes_read = int(contract["obs_dim"]), action
        return self._shapes_read

    def q(self, obs: Floats, act: Floats) -> Twins:
        """Q of obs (n,S) and act (n,A)."""
        n = self._rows(obs, act)
        twins = Twins(np.empty(n, np.float32), np.empty(n, np.float32))
        self._call(lib.dmc_critic_q, n, obs, act, *twins)
        return twins

    def v(self, obs: Floats) -> Floats:
        """V of obs (n,S), (n,)."""
        n = len(floats("obs", obs, (-1, self._shapes()[0])))
        out = np.empty(n, np.float32)
        self._call(lib.dmc_critic_v, n, obs, out)
        return out

    def action_gradient(self, obs: Floats, act: Floats) -> Floats:
        """d mean(q1,q2) / d act of obs (n,S) and act (n,A), (n,A)."""
        out = np.empty((self._rows(obs, act), *self._shapes()[1]), np.float32)
        self._call(lib.dmc_critic_action_gradient, len(out), obs, act, out)
        return out

    def _rows(self, obs: Floats, act: Floats) -> int:
        """How many rows obs and act have, after a check of their shapes."""
        obs_dim, action = self._shapes()
        n = len(floats("obs", obs, (-1, obs_dim)))
        floats("act", act, (n, *action))
        return n
