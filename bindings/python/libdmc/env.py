"""env.py — roll-outs of a sampler in a simulator written in Python."""

from __future__ import annotations

from ctypes import byref
from functools import partial
from typing import Any, Protocol, Union

import numpy as np
from numpy.typing import NDArray

from . import _records as rec
from ._arguments import Floats, u64, whole
from ._callbacks import Guard, copy_in, copy_out
from ._check import DmcRangeError
from ._handle import used
from ._lib import lib
from .replay import Replay
from .sampler import Sampler


CUT = 2
"""What Env.step answers in place of True when an episode is only cut."""


class Env(Protocol):
    """`count` independent copies of a simulator, stepped together: one sampler call serves all."""

    max_steps: int
    """An episode is cut here."""
    count: int
    """As many as the sampler's batch."""

    def reset(self, copy: int, seed: int) -> Any:
        """Start episode `seed` in a copy; the first observation (obs_dim,)."""

    def step(self, copy: int, act: Floats) -> tuple[Any, float, Union[bool, int]]:
        """Apply act (act_dim,): next observation, reward, is the episode over?

        True is a true end, after which nothing counts; CUT a time limit of the simulator's own.
        """


def _reset(env: Env, obs_dim: int) -> Any:
    def call(_: Any, copy: int, seed: int, obs: Any) -> None:
        copy_out(obs, "the observation of reset", env.reset(copy, seed), obs_dim)

    return call


def _step(env: Env, obs_dim: int, act_dim: int) -> Any:
    def call(_: Any, copy: int, act: Any, obs: Any, reward: Any, done: Any) -> None:
        observation, paid, over = env.step(copy, copy_in(act, act_dim))
        copy_out(obs, "the observation of step", observation, obs_dim)
        reward[0], done[0] = float(paid), CUT if over == CUT else int(bool(over))

    return call


def callbacks_of(env: Env, guard: Guard, obs_dim: int, act_dim: int) -> rec.Env:
    """The simulator as C calls it."""
    return rec.Env(
        obs_dim=obs_dim,
        act_dim=act_dim,
        max_steps=whole("env.max_steps", env.max_steps),
        count=whole("env.count", env.count),
        reset=guard.wrap(rec.RESET_FN, _reset(env, obs_dim)),
        step=guard.wrap(rec.STEP_FN, _step(env, obs_dim, act_dim)),
    )


def evaluate(
    sampler: Sampler, env: Env, episodes: int, *, exec: int = 1, first_seed: int = 0, seed: int = 0
) -> NDArray[np.float64]:
    """Undiscounted returns (episodes,) of the episodes first_seed, first_seed + 1, ...

    The sampler is reset with `seed`, so equal calls give equal numbers. `exec` rows of each answer
    are executed before the next. An exception in the simulator ends the roll-out and is raised.
    """
    return _roll_out(lib.dmc_evaluate, sampler, env, (), episodes, exec, first_seed, seed)


def collect(
    sampler: Sampler,
    env: Env,
    replay: Replay,
    episodes: int,
    *,
    exec: int = 1,
    first_seed: int = 0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """The same, and every transition goes into the replay; terminals are true ends only."""
    keep = (used("replay", replay, Replay),)
    return _roll_out(lib.dmc_collect, sampler, env, keep, episodes, exec, first_seed, seed)


def _roll_out(
    function: Any,
    sampler: Sampler,
    env: Env,
    more: tuple[Any, ...],
    episodes: int,
    exec: int,
    first_seed: int,
    seed: int,
) -> NDArray[np.float64]:
    guard, sizes = Guard(), sampler.sizes
    if whole("episodes", episodes) < 1:
        raise DmcRangeError(f"episodes = {episodes}, must be at least 1")
    callbacks = callbacks_of(env, guard, sizes.obs_dim, sizes.act_dim)
    returns = np.empty(episodes)
    seeds = u64("first_seed", first_seed), u64("seed", seed)
    run = partial(guard.run, function)
    sampler._call(run, byref(callbacks), *more, episodes, whole("exec", exec), *seeds, returns)
    return returns
