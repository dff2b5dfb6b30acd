"""Roll-outs that are kept: what a simulator and a sampler did to each other, as transitions."""

import numpy as np
import pytest

import libdmc as dmc
from conftest import ACT, LENGTH, OBS, Cart


class Notes(Cart):
    """A cart that is over after 4 steps, one way or the other, and notes what it was asked."""

    def __init__(self, count, over):
        super().__init__(count)
        self.over, self.acts, self.t = over, [[] for _ in range(count)], [0] * count

    def reset(self, copy, seed):
        self.t[copy], self.acts[copy] = 0, []
        return super().reset(copy, seed)

    def step(self, copy, act):
        self.t[copy] += 1
        self.acts[copy].append(act)
        obs, reward, _ = super().step(copy, act)
        return obs, reward, self.over if self.t[copy] == 4 else False


@pytest.mark.parametrize("over, ends", [(True, [0, 0, 0, 1]), (dmc.CUT, [0] * 4), (np.True_, [0, 0, 0, 1])])
def test_what_happened(model, over, ends):
    env = Notes(2, over)
    with dmc.Sampler(model, batch=2) as sampler, dmc.Replay(OBS, ACT, 100) as replay:
        returns = dmc.collect(sampler, env, replay, 2, first_seed=3, seed=5)
        assert np.array_equal(returns, dmc.evaluate(sampler, env, 2, first_seed=3, seed=5))
        rows = replay.read()
    assert len(rows.act) == 8 and rows.terminals.tolist() == 2 * [bool(end) for end in ends]
    assert np.array_equal(rows.act, np.concatenate([np.stack(acts) for acts in env.acts]))
    assert np.allclose(rows.rew.reshape(2, 4).sum(1), returns)
    assert np.array_equal(rows.obs[1:4], rows.next[:3]) and rows.obs[0].tolist() == [np.float32(-0.7), 0]


def test_episodes_that_are_cut_at_max_steps_are_no_ends(model):
    with dmc.Sampler(model) as sampler, dmc.Replay(OBS, ACT, 100) as replay:
        dmc.collect(sampler, Cart(), replay, 3)
        assert len(replay) == 3 * LENGTH and not replay.read().terminals.any()


def test_a_simulator_that_fails(model):
    class Env(Cart):
        def step(self, copy, act):
            raise ZeroDivisionError

    with dmc.Sampler(model) as sampler, dmc.Replay(OBS, ACT, 100) as replay:
        with pytest.raises(ZeroDivisionError):
            dmc.collect(sampler, Env(), replay, 1)
        assert len(replay) == 0
    with dmc.Sampler(model) as sampler, pytest.raises(TypeError, match="replay must be"):
        dmc.collect(sampler, Cart(), None, 1)
