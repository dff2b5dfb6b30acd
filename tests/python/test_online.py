"""Alignment that goes on while acting."""

import numpy as np
import pytest

import libdmc as dmc
from conftest import ACT, LENGTH, OBS, Cart

FEW = {"rounds": 3, "episodes": 4, "updates": 2, "eval_episodes": 5}


class Backwards(Cart):
    """Pays for actions that are low, whatever happens."""

    def step(self, copy, act):
        obs, _, over = super().step(copy, act)
        return obs, -float(act[0]), over


@pytest.fixture
def parts(dataset, model):
    """An aligner, its critic and a replay, all fresh."""
    with dmc.Critic.create(dataset, hidden=16, batch=32, lr=1e-2, gamma=0) as critic:
        with dmc.Aligner(model, dataset, critic, lora_rank=4, batch=64, candidates=8, lr=3e-3) as a:
            with dmc.Replay(OBS, ACT, 10000) as replay:
                yield a, critic, replay


def test_what_is_reported(parts):
    aligner, critic, replay = parts
    report = aligner.online(critic, Cart(2), replay, **FEW)
    assert report.rounds == 3 and report.returns.shape == (3, 4) and not report.stopped
    assert report.steps == len(replay) == report.critic_updates == 3 * 4 * LENGTH
    assert report.updates == 6 and np.isfinite([report.before, report.after, report.kl]).all()
    assert (report.returns <= 0).all() and report.asdict()["returns"] is report.returns
    with aligner.publish() as model:
        assert model.parameters > 0


def test_the_return_rises(parts):
    aligner, critic, replay = parts
    report = aligner.online(
        critic, Backwards(4), replay, rounds=6, episodes=8, updates=20, share=1, rl_options={"kl": 0.01}
    )
    assert report.after > report.before + 4 * (report.before_se + report.after_se)
    assert report.returns[-1].mean() > report.returns[0].mean()


@pytest.mark.parametrize("method", ["dpo", "sft"])
def test_other_methods(parts, method):
    aligner, critic, replay = parts
    assert aligner.online(critic, Cart(4), replay, method=method, **FEW).updates == 6


def test_progress_stops_it_and_a_simulator_may_fail(parts):
    class Crash(Cart):
        def step(self, copy, act):
            raise ZeroDivisionError

    aligner, critic, replay = parts
    with pytest.raises(ZeroDivisionError):
        aligner.online(critic, Crash(), replay, **FEW)
    aligner.set_progress(lambda p: p.pass_ == 2)
    report = aligner.online(critic, Cart(), replay, **FEW)
    assert report.stopped and report.rounds == 2 and len(report.returns) == 2


def test_what_is_refused(parts, dataset):
    aligner, critic, replay = parts
    with pytest.raises(dmc.DmcRangeError, match="share"):
        aligner.online(critic, Cart(), replay, share=2)
    with pytest.raises(TypeError, match="replay must be"):
        aligner.online(critic, Cart(), critic)
    with dmc.Critic.create(dataset, hidden=8) as other, pytest.raises(dmc.DmcArgumentError, match="not the one"):
        aligner.online(other, Cart(), replay)
