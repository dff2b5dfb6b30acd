"""Transitions that never happened, and critics that learn from them."""

import numpy as np
import pytest

import libdmc as dmc
from conftest import ACT, OBS

SMALL = {"hidden": 32, "blocks": 1, "emb_dim": 16, "batch": 64, "sample_steps": 8, "lr": 3e-3, "ema": 0.99}


def test_samples(dataset, arrays):
    obs, act, *_ = arrays
    with dmc.Synth(dataset, steps=600, **SMALL) as synth, dmc.Replay(OBS, ACT, 300) as replay:
        first, last = synth.step(100), synth.step(500)
        assert last.step == 600 and last.loss < first.loss
        synth.sample(300, replay, seed=4)
        made = replay.read()
        with dmc.Replay(OBS, ACT, 300) as twin:
            synth.sample(20, twin, seed=4)
            assert np.array_equal(twin.read().obs, made.obs[:20])
    assert np.abs(made.obs.mean(0) - obs.mean(0)).max() < 0.5 * obs.std(0).max()
    assert made.act.min() >= act.min() and made.act.max() <= act.max()
    assert not made.terminals.any()  # the data have none
    with dmc.Critic.create(dataset, hidden=16, batch=32) as critic, dmc.Replay(OBS, ACT, 300) as full:
        full.push(*made)
        assert np.isfinite(critic.step_on(full, 1, 5).q_loss)


def test_what_is_refused(dataset):
    with pytest.raises(dmc.DmcRangeError, match="churn"):
        dmc.Synth(dataset, churn=-1)
    with pytest.raises(TypeError, match="dataset must be"):
        dmc.Synth(None)
    with dmc.Synth(dataset, **SMALL) as synth, dmc.Replay(OBS + 1, ACT, 9) as wide:
        with pytest.raises(dmc.DmcShapeError, match="observations of 3"):
            synth.sample(1, wide)
