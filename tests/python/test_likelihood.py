"""Likelihoods of samples under a model."""

import numpy as np
import pytest

import libdmc as dmc
from conftest import SMALL

METHODS = ["bound", "bank", "flow_hutchinson", "flow_exact"]


@pytest.mark.parametrize("method", METHODS)
def test_data_are_likelier_than_noise(model, arrays, method):
    obs, act = arrays[0][:100], arrays[1][:100].reshape(100, 1, 1)
    data = model.likelihood(act, obs, method=method)
    far = model.likelihood(act + np.float32(2), obs, method=method)
    assert data.shape == (100,) and data.dtype == np.float64 and np.isfinite(data).all()
    assert data.mean() > far.mean() + 0.5


def test_a_planner_knows_its_state(planner):
    z = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    state, changed = z[:, 0, :2].copy(), z.copy()
    changed[:, 0, :2] = 9
    own = planner.likelihood(z, method="flow_exact", steps=4)
    assert (planner.likelihood(changed, state, method="flow_exact", steps=4) == own).all()
    assert (planner.likelihood(changed, method="flow_exact", steps=4) != own).all()


@pytest.mark.parametrize("process", ["vp_grid", "vp_sde", "edm", "flow"])
def test_every_process_has_every_method(dataset, obs, process):
    z = np.zeros((5, 1, 1), np.float32)
    with dmc.Model.create(dataset, process=process, **SMALL) as other:
        for method in METHODS:
            assert np.isfinite(other.likelihood(z, obs, method=method)).all()


def test_wrong_arguments_are_named(model, obs):
    z = np.zeros((5, 1, 1), np.float32)
    with pytest.raises(dmc.DmcArgumentError, match="obs is NULL"):
        model.likelihood(z)
    with pytest.raises(dmc.DmcShapeError, match="obs has the shape"):
        model.likelihood(z, obs[:4])
    with pytest.raises(dmc.DmcShapeError, match="z has the shape"):
        model.likelihood(z[:, 0], obs)
    with pytest.raises(dmc.DmcRangeError, match="steps = 6, must be 2..5"):
        model.likelihood(z, obs, steps=6)
    with pytest.raises(dmc.DmcKeyError, match="bound bank flow_hutchinson flow_exact"):
        model.likelihood(z, obs, method="elbo")
