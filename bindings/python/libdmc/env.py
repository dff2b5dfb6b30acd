"""env.py — roll-outs of a sampler in a simulator written in Python."""

from __future__ import annotations

from ctypes import byref
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import _records as rec
from ._arguments import Floats, u64, whole
from ._callbacks import Guard, copy_in, copy_out
from ._check import DmcRangeError
from ._lib import lib
from .sampler import Sampler


class Env(Protocol):
    """`count` independent copies of a simulator, stepped together: one sampler call serves all."""

    max_steps: int
    """An episode is cut here."""
    count: int
    """As many as the sampler's batch."""

    def reset(self, copy: int, seed: int) -> Any:
        """Start episode `seed` in a copy; the first observation (obs_dim,)."""

    def step(self, copy: int, act: Floats) -> tuple[Any, float, bool]:
        """Apply act (act_dim,): next observation, reward, is the episode over?"""


def _reset(env: Env, obs_dim: int) -> Any:
    def call(_: Any, copy: int, seed: int, obs: Any) -> None:
        copy_out(obs, "the observation of reset", env.reset(copy, seed), obs_dim)

    return call


def _step(env: Env, obs_dim: int, act_dim: int) -> Any:
    def call(_: Any, copy: int, act: Any, obs: Any, reward: Any, done: Any) -> None:
        observation, paid, over = env.step(copy, copy_in(act, act_dim))
        copy_out(obs, "the observation of step", observation, obs_dim)
        reward[0], done[0] = float(paid), int(bool(over))

    return call


def evaluate(
    sampler: Sampler, env: Env, episodes: int, *, exec: int = 1, first_seed: int = 0, seed: int = 0
) -> NDArray[np.float64]:
    """Undiscounted returns (episodes,) of the episodes first_seed, first_seed + 1, ...

    The sampler is reset with `seed`, so equal calls give equal numbers. `exec` rows of each answer
    are executed before the next. An exception in the simulator ends the roll-out and is raised.
    """
    guard, sizes = Guard(), sampler.sizes
    if whole("episodes", episodes) < 1:
        raise DmcRangeError(f"episodes = {episodes}, must be at least 1")
    callbacks = rec.Env(
        obs_dim=sizes.obs_dim,
        act_dim=sizes.act_dim,
        max_steps=whole("env.max_steps", env.max_steps),
        count=whole("env.count", env.count),
        reset=guard.wrap(rec.RESET_FN, _reset(env, sizes.obs_dim)),
        step=guard.wrap(rec.STEP_FN, _step(env, sizes.obs_dim, sizes.act_dim)),
    )
    returns = np.empty(episodes)
    seeds = u64("first_seed", first_seed), u64("seed", seed)
    run = partial(guard.run, lib.dmc_evaluate)
    sampler._call(run, byref(callbacks), episodes, whole("exec", exec), *seeds, returns)
    return returns
