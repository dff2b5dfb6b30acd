"""Sampling: shapes, seeds, choices, threads, and what is safe to send when it fails."""

import threading

import numpy as np
import pytest

import libdmc as dmc
from conftest import ACT, OBS, SMALL


def test_equal_seeds_give_equal_actions(model, obs):
    with dmc.Sampler(model, batch=5, seed=1) as a, dmc.Sampler(
        model, batch=5, seed=1
    ) as b, dmc.Sampler(model, batch=5, seed=2) as c:
        first = a.sample(obs)
        assert np.array_equal(first, b.sample(obs)) and not np.array_equal(first, c.sample(obs))
        assert not np.array_equal(first, a.sample(obs))
        a.reset(1)
        assert np.array_equal(first, a.sample(obs))


def test_actions_stay_inside_the_data(model, arrays, obs):
    with dmc.Sampler(model, batch=5, temperature=3) as sampler:
        actions = np.concatenate([sampler.sample(obs) for _ in range(20)])
    assert (
        actions.min() >= arrays[1].min()
        and actions.max() <= arrays[1].max()
        and actions.std() > 0.05
    )


@pytest.mark.parametrize("select", ["greedy", "softmax"])
def test_the_critic_chooses(model, critic, obs, select):
    with dmc.Sampler(model, critic, batch=5, candidates=6, select=select, beta=1e6) as sampler:
        actions = sampler.sample(obs)
        candidates = sampler.candidates()
        assert candidates.shape == (5, 6, 1, ACT)
        q = np.minimum(*critic.q(np.repeat(obs, 6, 0), candidates.reshape(30, ACT))).reshape(5, 6)
        best = q.argmax(1)
        info = sampler.info()
        assert info.chosen == best[0] and info.steps == 5 and info.nanoseconds > 0
        assert info.q == pytest.approx(q[0].max(), abs=1e-4)
        plans = np.stack([sampler.plan(b) for b in range(5)])
        assert np.array_equal(plans, candidates[np.arange(5), best])
        low, high = model.describe()["action"]["min"], model.describe()["action"]["max"]
        assert np.array_equal(actions, np.clip(plans, np.float32(low), np.float32(high)))
    with pytest.raises(dmc.DmcArgumentError, match="greedy needs a critic"):
        dmc.Sampler(model, select="greedy")


def test_expectation(model, obs):
    with dmc.Sampler(model, batch=5, candidates=4, select="expectation") as sampler:
        sampler.sample(obs)
        assert sampler.info().chosen == -1 and np.isnan(sampler.info().q)
        assert np.allclose(sampler.plan(2), sampler.candidates()[2].mean(0), atol=1e-5)


def test_a_planner_keeps_the_state(planner, obs):
    with dmc.Sampler(planner, batch=5) as sampler:
        assert sampler.sample(obs).shape == (5, 4, ACT)
        for b in range(5):
            assert sampler.plan(b).shape == (4, OBS + ACT)
            assert np.allclose(sampler.plan(b)[0, :OBS], obs[b], atol=1e-5)
        with pytest.raises(dmc.DmcRangeError, match="b = 5"):
            sampler.plan(5)


def test_known_entries_come_out(planner, obs):
    rng = np.random.default_rng(3)
    values = rng.normal(size=(5, 4, OBS + ACT)).astype(np.float32)
    mask = rng.random(values.shape) < 0.4
    with dmc.Sampler(planner, batch=5, candidates=2) as sampler:
        free = sampler.sample(obs)
        sampler.set_known(mask, values)
        sampler.sample(obs)
        candidates = sampler.candidates()
        for c in range(2):
            assert np.array_equal(candidates[:, c][mask], values[mask])
        assert np.array_equal(sampler.plan(3)[mask[3]], values[3][mask[3]])
        sampler.set_known(mask.astype(np.uint8), values)
        sampler.set_known()
        sampler.reset(0)
        assert np.array_equal(sampler.sample(obs), free)
        with pytest.raises(TypeError, match="mask and values"):
            sampler.set_known(mask)
        with pytest.raises(dmc.DmcShapeError):
            sampler.set_known(mask[0], values[0])
        values[mask] = np.nan
        with pytest.raises(dmc.DmcNumericError, match="is not finite"):
            sampler.set_known(mask, values)
    with dmc.Sampler(planner) as sampler:
        sampler.set_known(np.ones((4, OBS + ACT), bool), np.full((4, OBS + ACT), 0.25, np.float32))
        sampler.sample(obs[0])
        assert np.all(sampler.plan() == 0.25)


def test_a_warm_start_takes_fewer_steps(planner, obs):
    with dmc.Sampler(planner, batch=5, warm_start=0.5, exec=1) as sampler:
        sampler.sample(obs)
        cold = sampler.info().steps
        sampler.sample(obs)
        assert 0 < sampler.info().steps < cold
        sampler.reset(0)
        sampler.sample(obs)
        assert sampler.info().steps == cold
    with pytest.raises(dmc.DmcRangeError, match="exec = 4"):
        dmc.Sampler(planner, warm_start=0.5, exec=4)


def test_observations_that_are_not_finite(model):
    with dmc.Sampler(model) as sampler:
        out = sampler.sample([0.5, 0])
        good = out.copy()
        out[:] = 99
        with pytest.raises(dmc.DmcNumericError, match="obs has a value that is not finite"):
            sampler.sample([np.nan, 0], out=out)
        assert np.array_equal(out, good)


def test_horizon(dataset, obs):
    options = dict(role="planner", network="unet1d_janner", obs_norm="minmax", mult="1,2")
    model = dmc.Model.create(dataset, horizon=4, hidden=8, emb_dim=8, train_steps=5, **options)
    with dmc.Sampler(model, horizon=8, candidates=3) as sampler:
        assert sampler.sample(obs[0]).shape == (8, 1)
        assert sampler.plan().shape == (8, 3) and sampler.candidates().shape == (1, 3, 8, 3)
        assert model.sizes.horizon == 4
    with pytest.raises(dmc.DmcRangeError, match="divisible"):
        dmc.Sampler(model, horizon=5)


def test_rebind(dataset, model, planner, obs):
    with model.clone() as other, dmc.Sampler(model, batch=5) as sampler:
        before = sampler.sample(obs)
        bias = "affine_out.bias"
        other.set_tensor(bias, other.get_tensor(bias) + np.float32(0.2))
        sampler.rebind(other)
        sampler.reset()
        assert not np.array_equal(before, sampler.sample(obs))
        sampler.rebind(model)
        sampler.reset()
        assert np.array_equal(before, sampler.sample(obs))
        with pytest.raises(dmc.DmcShapeError, match="rebind"):
            sampler.rebind(planner)
        assert sampler.memory > 1000
        assert model.memory > 4 * model.parameters


def test_history(dataset):
    """With n_obs = 2 the answer depends on the observation before."""
    with dmc.Model.create(
        dataset, n_obs=2, hidden=16, blocks=1, emb_dim=8, train_steps=3
    ) as model, dmc.Sampler(model) as sampler:

        def answer(first):
            sampler.reset(5)
            sampler.sample(first)
            return sampler.sample([0.0, 0.0]).copy()

        assert np.array_equal(answer([1, 0]), answer([1, 0])) and not np.array_equal(
            answer([1, 0]), answer([-1, 0])
        )


@pytest.mark.parametrize(
    "options", [{"steps": 6}, {"batch": 0}, {"candidates": 5000}, {"eta": -0.1}]
)
def test_refused_options(model, options):
    with pytest.raises(dmc.DmcRangeError, match=next(iter(options))):
        dmc.Sampler(model, **options)


def test_a_critic_of_other_widths_is_refused(model):
    rows = [np.random.default_rng(0).random(s, np.float32) for s in [(20, 3), (20, 1), 20]]
    with dmc.Dataset.from_arrays(*rows, np.zeros(20, bool)) as wide, dmc.Critic.create(
        wide, hidden=8
    ) as critic:
        with pytest.raises(dmc.DmcShapeError, match="observations of 3"):
            dmc.Sampler(model, critic)
        with pytest.raises(dmc.DmcShapeError, match="observations of 3"):
            dmc.Trainer(model, wide)


def test_two_samplers_in_two_threads_share_a_model(model, critic, obs):
    def run(seed, rounds=60):
        with dmc.Sampler(
            model, critic, batch=5, candidates=3, select="greedy", seed=seed
        ) as sampler:
            return np.stack([sampler.sample(obs) for _ in range(rounds)])

    expected, got = {seed: run(seed) for seed in (1, 2)}, {}
    threads = [
        threading.Thread(target=lambda seed=seed: got.update({seed: run(seed)}))
        for seed in expected
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all(np.array_equal(got[seed], expected[seed]) for seed in expected)


def test_other_threads_run_while_c_works(model):
    """This thread finds the sampler in use; if C kept Python's lock, it never would."""
    obs, found = np.zeros((4096, OBS), np.float32), 0
    with dmc.Sampler(model, batch=4096, candidates=4) as sampler:
        for _ in range(3):
            thread = threading.Thread(target=lambda: sampler.sample(obs))
            thread.start()
            while thread.is_alive():
                try:
                    sampler.info()
                except dmc.DmcStateError:
                    found += 1
                    break
            thread.join(30)
    assert found == 3


@pytest.mark.parametrize("weights, allowed", [("bf16", 2e-2), ("fp16", 3e-3)])
def test_weights_of_16_bits(model, obs, weights, allowed):
    with dmc.Sampler(model, batch=5, seed=1) as full, dmc.Sampler(
        model, batch=5, seed=1, weights=weights
    ) as half:
        want, got = full.sample(obs), half.sample(obs)
        error = np.abs(got - want).max() / np.abs(want).max()
        assert 0 < error < allowed, error
        assert half.memory > full.memory
    with pytest.raises(dmc.DmcKeyError, match="must be one of: float32 bf16 fp16"):
        dmc.Sampler(model, weights="float16")


def test_steps_give_what_a_call_gives(model, obs):
    with dmc.Sampler(model, batch=5, candidates=2) as a, dmc.Sampler(
        model, batch=5, candidates=2
    ) as b:
        whole = a.sample(obs)
        b.begin(obs)
        assert [b.step() for _ in range(5)] == [4, 3, 2, 1, 0]
        assert np.array_equal(b.finish(), whole)
        assert (b.info().steps, b.info().planned, b.info().partial) == (5, 5, 0)
        b.begin(obs)
        b.step()
        early = b.finish()
        assert early.shape == whole.shape and np.isfinite(early).all()
        assert b.info().partial == b.info().steps == 1 and b.info().partials == 1
        b.prefault()
        assert b.info().calls == 0
        with pytest.raises(dmc.DmcStateError, match="nothing was begun"):
            b.step()


def test_one_observation_gives_one_answer(model, obs):
    with dmc.Sampler(model) as sampler:
        sampler.begin(obs[0])
        sampler.step()
        assert sampler.finish().shape == (1, ACT)
        sampler.begin(obs[:1])
        sampler.step()
        assert sampler.finish(np.empty((1, 1, ACT), np.float32)).shape == (1, 1, ACT)


def test_deadlines(model, obs):
    with dmc.Sampler(model, batch=5) as a, dmc.Sampler(model, batch=5) as b:
        first = b.sample(obs)
        assert np.array_equal(a.sample_until(obs, 60), first)
        assert a.info().partial == 0
        held = np.zeros_like(first)
        with pytest.raises(dmc.DmcDeadlineError, match="deadline_ns"):
            a.sample_until(obs, -1, held)
        assert np.array_equal(held, first) and a.info().held == 1 and a.info().holds == 1
        assert issubclass(dmc.DmcDeadlineError, TimeoutError)


def test_size_of_a_buffer(model, critic):
    size = dmc.Sampler.size(model, critic, candidates=8, select="greedy")
    with dmc.Sampler(model, critic, candidates=8, select="greedy") as sampler:
        assert size > sampler.memory > 0
    assert dmc.Sampler.size(model) < size
    with pytest.raises(dmc.DmcArgumentError, match="greedy needs a critic"):
        dmc.Sampler.size(model, select="greedy")


def test_guides(dataset, critic, obs):
    """By the critic, by a value model, by the condition that was left out in training; parts outlive their handles."""
    small = {**SMALL, "horizon": 4, "obs_norm": "minmax", "mult": "1,2"}
    planner = dmc.Model.create(dataset, role="planner", returns=1, cond_dropout=0.2, **small)
    value = dmc.Model.create(dataset, role="value", network="unet1d_half", kernel=3, **small)
    plain = dmc.Sampler(planner, seed=1, batch=5).sample(obs)

    def guided(scale=1.0, **options):
        with dmc.Sampler(
            planner, critic, value=value, seed=1, batch=5, guide_scale=scale, **options
        ) as s:
            return s.sample(obs)

    assert np.array_equal(guided(), plain)
    for options in ({"guide": "critic"}, {"guide": "value"}, {"guidance": 2}, {"target_return": 0}):
        assert not np.array_equal(guided(scale=5, **options), plain), options
    assert np.array_equal(guided(scale=0, guide="value"), plain)
    kept = dmc.Sampler(planner, value=value, guide="value", seed=1, batch=5, guide_scale=5)
    want = guided(scale=5, guide="value")
    value.close()
    assert np.array_equal(kept.sample(obs), want)
    with pytest.raises(dmc.DmcArgumentError, match="guide = critic needs a critic"):
        dmc.Sampler(planner, guide="critic")
    with pytest.raises(TypeError, match="value must be a libdmc.Model"):
        dmc.Sampler(planner, value=critic)
    cond = np.array([[1, 1]], np.float32)
    z, t = np.zeros((1, 4, OBS + 1), np.float32), np.zeros(1, np.float32)
    assert planner.forward(z, t, cond).shape == z.shape
