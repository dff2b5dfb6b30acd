"""Decision Diffuser: planners of states alone, with an inverse model for their actions, end to end."""

import numpy as np
import pytest

import libdmc as dmc
from conftest import ACT, OBS, SMALL, Cart

NORM = {"obs_norm": "minmax"}


def trained(dataset, steps, **options):
    with dmc.Model.create(dataset, **NORM, **options) as m, dmc.Trainer(m, dataset, steps=steps, batch=64, lr=3e-3, ema=0.98) as t:
        t.step(steps)
        return t.publish()


@pytest.fixture(scope="module")
def planner(dataset):
    return trained(dataset, 600, role="planner", states_only=1, horizon=4, **{**SMALL, "hidden": 64, "predict": "x0"})


@pytest.fixture(scope="module")
def inverse(dataset):
    return trained(dataset, 600, role="inverse", network="inverse_mlp", horizon=2, hidden=64)


def test_the_inverse_model_knows_the_cart(inverse, arrays):
    """v' = v + 0.2 a, so the action is in the states."""
    obs, act = arrays[0], arrays[1]
    contract = inverse.describe()
    shift, scale = (np.array(contract["observation"][k], np.float32) for k in ("shift", "scale"))
    rows = np.flatnonzero(~arrays[4])[:256]
    pairs = (np.stack([obs[rows], obs[rows + 1]], 1) - shift) / scale
    a = inverse.forward(pairs.astype(np.float32), np.zeros(len(rows), np.float32))
    a = a * contract["action"]["scale"] + contract["action"]["shift"]
    assert np.abs(a - act[rows]).mean() < 0.25 * act.std()


def test_plans_are_states_and_actions_lead_through_them(planner, inverse, obs):
    assert planner.sizes.z_cols == OBS and planner.describe()["states_only"] == 1
    with dmc.Sampler(planner, inverse=inverse, batch=5) as sampler:
        actions = sampler.sample(obs)
        plans = np.stack([sampler.plan(b) for b in range(5)])
    assert actions.shape == (5, 4, ACT) and plans.shape == (5, 4, OBS)
    assert np.array_equal(plans[:, 0], obs) and np.array_equal(actions[:, 3], actions[:, 2])
    assert np.abs(plans[:, 1, 1] - plans[:, 0, 1] - 0.2 * actions[:, 0, 0]).max() < 0.15


def test_it_drives_and_gets_better(planner, inverse, dataset, critic):
    """Greedy among plans beats one plan, and aligned through the inverse model one plan is better."""

    def mean(model, **options):
        with dmc.Sampler(model, critic, inverse=inverse, batch=10, **options) as sampler:
            return dmc.evaluate(sampler, Cart(10), 20).mean()

    one, best = mean(planner), mean(planner, candidates=16, select="greedy")
    assert best > one + 0.1
    with dmc.Aligner(planner, dataset, critic, batch=64, lr=1e-3, eval_every=10, row_discount=0) as aligner:
        with pytest.raises(dmc.DmcStateError, match="set_inverse"):
            aligner.rl(updates=1)
        aligner.set_inverse(inverse)
        report = aligner.rl(method="qvpg", updates=40)
        assert report.accepted and report.after > report.before
        with aligner.publish() as aligned:
            assert mean(aligned) > one + 0.3


def test_what_does_not_fit(planner, inverse, dataset, model):
    with pytest.raises(dmc.DmcArgumentError, match="inverse is NULL"):
        dmc.Sampler(planner)
    with pytest.raises(dmc.DmcArgumentError, match="has its own"):
        dmc.Sampler(model, inverse=inverse)
    assert dmc.Sampler.size(planner, inverse=inverse) > 0
    with pytest.raises(dmc.DmcArgumentError, match="takes role"):
        dmc.Model.create(dataset, states_only=1, **SMALL)
    sampler = dmc.Sampler(planner, inverse=inverse)
    inverse_only = dmc.Model.create(dataset, role="inverse", network="inverse_mlp", horizon=2, hidden=8, **NORM)
    other = dmc.Sampler(planner, inverse=inverse_only)
    inverse_only.close()  # lives on until the sampler is closed
    assert other.sample(np.zeros((1, OBS), np.float32)).shape == (1, 4, ACT)
    other.close()
    sampler.close()
