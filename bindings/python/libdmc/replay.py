"""replay.py — experience gathered while acting: a ring of transitions, for critics to learn from."""

from __future__ import annotations

from ctypes import c_size_t
from typing import Any, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from ._arguments import Floats, flags, floats, u64, whole
from ._handle import Handle
from ._lib import lib
from .context import Context, where


class Transitions(NamedTuple):
    """obs (n,S), act (n,A), rew (n,), next (n,S), terminals (n,): what was seen, done, paid, seen then,
    and whether that was the end."""

    obs: Floats
    act: Floats
    rew: Floats
    next: Floats
    terminals: NDArray[np.bool_]


class Replay(Handle):
    """Room for `capacity` transitions, in the dataset's units; the newest push the oldest out.

    A transition continues the episode of the one pushed before it, if that was no end and led to
    where this one begins. len() is how many there are.
    """

    _destroy = "dmc_replay_destroy"
    _one_thread = True

    def __init__(
        self, obs_dim: int, act_dim: int, capacity: int, *, context: Optional[Context] = None
    ):
        self.obs_dim, self.act_dim = whole("obs_dim", obs_dim), whole("act_dim", act_dim)
        room = whole("capacity", capacity, c_size_t)
        super().__init__(lib.dmc_replay_create, where(context), self.obs_dim, self.act_dim, room)

    def __len__(self) -> int:
        count: int = lib.dmc_replay_count(self._use())
        return count

    def push(
        self, obs: Floats, act: Floats, rew: Floats, next: Floats, terminals: NDArray[Any]
    ) -> None:
        """n transitions; terminals (bool or uint8) are True at true ends only, not at time-outs."""
        n = len(floats("obs", obs, (-1, self.obs_dim)))
        floats("act", act, (n, self.act_dim))
        floats("rew", rew, (n,))
        floats("next", next, (n, self.obs_dim))
        ends = flags("terminals", terminals, (n,))
        self._call(lib.dmc_replay_push, n, obs, act, rew, next, ends)

    def push_episode(self, obs: Floats, act: Floats, rew: Floats, terminal: bool) -> None:
        """A whole episode: obs (n+1,S), act (n,A), rew (n,); was it a true end, or only cut?"""
        n = len(floats("act", act, (-1, self.act_dim)))
        floats("obs", obs, (n + 1, self.obs_dim))
        floats("rew", rew, (n,))
        self._call(lib.dmc_replay_push_episode, n, obs, act, rew, int(bool(terminal)))

    def read(self, first: int = 0, n: Optional[int] = None) -> Transitions:
        """Transitions first .. first+n-1, the oldest first; without n all from `first` on."""
        start = whole("first", first, c_size_t)
        count = max(len(self) - start, 0) if n is None else whole("n", n, c_size_t)
        out = self._room(count)
        self._call(lib.dmc_replay_read, start, count, *out)
        return self._answer(out)

    def draw(self, n: int, seed: int = 0) -> Transitions:
        """n transitions, uniformly and with replacement; equal seeds give equal draws."""
        count = whole("n", n, c_size_t)
        out = self._room(count)
        self._call(lib.dmc_replay_draw, u64("seed", seed), count, *out)
        return self._answer(out)

    def _room(self, n: int) -> list[NDArray[Any]]:
        shapes = (n, self.obs_dim), (n, self.act_dim), (n,), (n, self.obs_dim)
        return [np.empty(shape, np.float32) for shape in shapes] + [np.empty(n, np.uint8)]

    @staticmethod
    def _answer(out: list[NDArray[Any]]) -> Transitions:
        return Transitions(*out[:4], out[4].astype(bool))
