"""From data to a policy that earns more: train, judge, align, drive; and resuming."""

import numpy as np
import pytest

import libdmc as dmc
from conftest import SMALL, Cart


@pytest.fixture
def untrained(dataset):
    with dmc.Model.create(dataset, **SMALL) as model:
        yield model


def test_training_lowers_the_loss(dataset, untrained):
    with dmc.Trainer(untrained, dataset, steps=150, batch=64, lr=3e-3, ema=0.9) as trainer:
        before = trainer.evaluate()
        first = trainer.step(1)
        last = trainer.step(149)
        assert (
            (first.step, last.step) == (1, 150)
            and last.loss < 0.9 * first.loss
            and last.seconds > 0
        )
        assert 0 < last.lr < first.lr <= 3e-3 and np.isfinite(last.grad_norm)
        assert trainer.evaluate() < 0.9 * before


def test_publish_gives_the_average_of_the_weights(dataset, untrained):
    name = "affine_in.weight"
    with dmc.Trainer(untrained, dataset, steps=5, batch=8, ema=0, lr=1e-2) as trainer:
        trainer.step(5)
        with trainer.publish() as published:
            assert not np.array_equal(published.get_tensor(name), untrained.get_tensor(name))


def test_resume_is_bit_exact(dataset, untrained, tmp_path):
    options = {"steps": 40, "batch": 16, "seed": 4}

    def weights(trainer):
        with trainer.publish() as model:
            return np.concatenate([a.ravel() for a in model.tensors().values()])

    with dmc.Trainer(untrained, dataset, **options) as through, dmc.Trainer(
        untrained, dataset, **options
    ) as first:
        through.step(40)
        first.step(15)
        first.save(tmp_path / "state")
        with dmc.Trainer(untrained, dataset, **options) as second:
            second.resume(tmp_path / "state")
            second.step(25)
            assert np.array_equal(weights(second), weights(through))
        (tmp_path / "state").write_bytes((tmp_path / "state").read_bytes()[:-9])
        with pytest.raises((dmc.DmcCorruptError, dmc.DmcFormatError)):
            first.resume(tmp_path / "state")


def test_no_held_out_episodes(arrays, untrained):
    with dmc.Dataset.from_arrays(*arrays, held_out=0) as all_of_it, dmc.Trainer(
        untrained, all_of_it
    ) as trainer:
        with pytest.raises(dmc.DmcStateError, match="held|hold"):
            trainer.evaluate()


def test_refused_steps(dataset, untrained):
    with dmc.Trainer(untrained, dataset, batch=4) as trainer:
        with pytest.raises(dmc.DmcRangeError, match="n = -1"):
            trainer.step(-1)


def test_critic_values_and_gradient(critic, dataset, arrays, obs):
    act = np.linspace(-0.8, 0.8, 5, dtype=np.float32).reshape(5, 1)
    gradient, step = critic.action_gradient(obs, act), np.float32(1e-2)
    assert gradient.shape == (5, 1) and critic.v(obs).shape == (5,)
    up, down = (np.mean(critic.q(obs, act + s), axis=0) for s in (step, -step))
    assert np.allclose(
        gradient[:, 0], (up - down) / (2 * step), atol=2e-2 * np.abs(gradient).max() + 2e-3
    )
    assert critic.step(0).step == 300 and critic.describe()["obs_dim"] == 2
    centre, side = np.zeros((1, 2), np.float32), np.array([[1, 0]], np.float32)
    assert critic.v(centre)[0] > critic.v(side)[0]
    for bad in [(obs[:4], act), (obs[:, :1].copy(), act), (obs, act[:, 0])]:
        with pytest.raises(dmc.DmcShapeError):
            critic.q(*bad)


def test_critic_of_chunks(dataset, obs):
    with dmc.Critic.create(dataset, hidden=8, chunk=3) as critic:
        act = np.linspace(-0.8, 0.8, 15, dtype=np.float32).reshape(5, 3, 1)
        assert critic.action_gradient(obs, act).shape == act.shape
        critic.step(2)
        late = act.copy()
        late[:, 2] += 0.5
        assert np.all(critic.q(obs, act).q1 != critic.q(obs, late).q1)
        with pytest.raises(dmc.DmcShapeError):
            critic.q(obs, act[:, 0].copy())


def test_critic_of_chunks_chooses(dataset, obs):
    """Among candidates by their first rows, as many as the critic's actions have."""
    with dmc.Critic.create(dataset, hidden=8, chunk=3) as critic, dmc.Model.create(
        dataset, horizon=4, hidden=8, train_steps=5
    ) as model, dmc.Sampler(model, critic, candidates=6, select="greedy") as sampler:
        critic.step(20)
        sampler.sample(obs[:1])
        rows = sampler.candidates().reshape(6, 4, 1)
        q = np.min(critic.q(np.repeat(obs[:1], 6, axis=0), rows[:, :3].copy()), axis=0)
        assert sampler.info().chosen == q.argmax()
        assert sampler.info().q == pytest.approx(q.max(), abs=1e-4)
        with dmc.Model.create(dataset, horizon=2, hidden=8) as short:
            with pytest.raises(dmc.DmcShapeError, match="3 rows, samples only 2"):
                dmc.Sampler(short, critic, select="greedy")


def test_critic_file(critic, dataset, obs, tmp_path):
    critic.save(tmp_path / "critic.dmc")
    with dmc.Critic.load(tmp_path / "critic.dmc") as read:
        assert np.array_equal(read.v(obs), critic.v(obs))
        with pytest.raises(dmc.DmcStateError, match="without a dataset"):
            read.step(1)
    with dmc.Critic.load(tmp_path / "critic.dmc", dataset) as goes_on:
        goes_on.step(1)
        assert not np.array_equal(goes_on.v(obs), critic.v(obs))
    with pytest.raises(dmc.DmcFormatError):
        dmc.Model.load(tmp_path / "critic.dmc")


def test_alignment_earns_more(dataset, model, critic):
    with dmc.Aligner(
        model, dataset, critic, batch=64, eval_every=20, lora_rank=8, lr=3e-3
    ) as aligner:
        report = aligner.sequence(
            passes=1,
            order=("rl", "dpo"),
            rl_options={"updates": 60, "kl": 0.01},
            dpo_options={"updates": 40, "refresh": 20},
        )
        assert (
            report.updates == 100
            and report.accepted
            and report.after > report.before
            and not report.stopped
        )
        with aligner.publish() as aligned, dmc.Sampler(model, batch=21) as old, dmc.Sampler(
            aligned, batch=21
        ) as new:
            before, after = (dmc.evaluate(s, Cart(21), 42, seed=1) for s in (old, new))
    assert before.shape == (42,) and after.mean() > before.mean()
