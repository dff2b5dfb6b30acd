"""Roll-outs in a simulator written in Python."""

import numpy as np
import pytest

import libdmc as dmc
from conftest import LENGTH, Cart


class Count:
    """Pays 1 per step, is over after `length` steps, and notes what it was asked."""

    def __init__(self, count=1, length=4, max_steps=10):
        self.count, self.length, self.max_steps = count, length, max_steps
        self.seeds, self.actions, self.t = [], [], [0] * count

    def reset(self, copy, seed):
        self.seeds.append((copy, seed))
        self.t[copy] = 0
        return [0.5, seed]

    def step(self, copy, act):
        self.actions.append(act)
        self.t[copy] += 1
        return np.zeros(2), 1, self.t[copy] >= self.length


def test_returns_and_seeds(model):
    env = Count(count=2)
    with dmc.Sampler(model, batch=2) as sampler:
        returns = dmc.evaluate(sampler, env, 3, first_seed=7)
    assert returns.dtype == np.float64 and returns.tolist() == [4, 4, 4]
    assert env.seeds[:3] == [(0, 7), (1, 8), (0, 9)]
    assert len(env.actions) == 12 and all(
        a.shape == (1,) and a.dtype == np.float32 for a in env.actions
    )
    assert all(a.flags.owndata for a in env.actions)


def test_an_episode_is_cut(model):
    with dmc.Sampler(model) as sampler:
        assert dmc.evaluate(sampler, Count(length=1000, max_steps=10), 2).tolist() == [10, 10]


def test_equal_calls_give_equal_numbers(model):
    with dmc.Sampler(model, batch=3) as sampler:
        a, b, c = (dmc.evaluate(sampler, Cart(3), 6, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    assert (a < 0).all() and (a > -LENGTH * 10).all()


def test_rows_of_an_answer_are_executed(planner):
    env, limits = Count(length=4), planner.describe()["action"]
    with dmc.Sampler(planner) as sampler:
        dmc.evaluate(sampler, env, 1, exec=4)
        rows = np.clip(sampler.plan()[:, 2:], np.float32(limits["min"]), np.float32(limits["max"]))
        assert np.array_equal(np.stack(env.actions), rows) and len(np.unique(rows)) > 1
        with pytest.raises(dmc.DmcRangeError, match="exec = 5"):
            dmc.evaluate(sampler, env, 1, exec=5)


class Crash(Exception):
    pass


@pytest.mark.parametrize("method", ["reset", "step"])
def test_a_simulator_that_fails(model, method):
    class Env(Count):
        pass

    def fails(self, *_):
        raise Crash(method)

    setattr(Env, method, fails)
    with dmc.Sampler(model) as sampler:
        with pytest.raises(Crash, match=method):
            dmc.evaluate(sampler, Env(), 1)
        assert dmc.evaluate(sampler, Count(), 1) == [4]


@pytest.mark.parametrize(
    "answer, error",
    [
        (([0, 0, 0], 1, False), dmc.DmcShapeError),
        (([0, 0], "much", False), ValueError),
        (([0, 0], 1), ValueError),
        (([np.nan, 0], 1, False), dmc.DmcNumericError),
    ],
)
def test_answers_of_the_wrong_form(model, answer, error):
    class Env(Count):
        def step(self, copy, act):
            return answer

    with dmc.Sampler(model) as sampler, pytest.raises(error):
        dmc.evaluate(sampler, Env(), 1)


def test_refused_numbers(model):
    with dmc.Sampler(model) as sampler:
        with pytest.raises(dmc.DmcRangeError, match="episodes = 0"):
            dmc.evaluate(sampler, Count(), 0)
        with pytest.raises(dmc.DmcRangeError, match="max_steps = 0"):
            dmc.evaluate(sampler, Count(max_steps=0), 1)
        with pytest.raises(dmc.DmcShapeError, match="env->count = 2"):
            dmc.evaluate(sampler, Count(count=2), 1)
        with pytest.raises(dmc.DmcRangeError, match="seed = -1"):
            dmc.evaluate(sampler, Count(), 1, seed=-1)
