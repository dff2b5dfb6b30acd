"""Device cuda beside the CPU: the same run from the same seeds on both, with every network, process and method.

DMC_TEST_PLUGIN_FOLDER names the folder of libdmc-cuda.so; without it everything here is skipped. `make test-emu` gives the plugin
that runs on the processor, whose device memory host code cannot touch. Differences are relative to the largest number of the CPU's.
"""

import contextlib
import ctypes
import os

import numpy as np
import pytest

import libdmc as dmc
from conftest import ACT, OBS, SMALL

FOLDER = os.environ.get("DMC_TEST_PLUGIN_FOLDER")
pytestmark = pytest.mark.skipif(not FOLDER, reason="DMC_TEST_PLUGIN_FOLDER names no plugin")

PLAN = {"role": "planner", "obs_norm": "minmax", "horizon": 4, "train_steps": 20, "clip": 3}
POLICY = {"role": "policy", "n_obs": 2, "horizon": 4, "train_steps": 20, "clip": 3}
WIDE = {"hidden": 16, "emb_dim": 16, "blocks": 1, "heads": 4, "mult": "1,2", "kernel": 3}
NETWORKS = {
    "idql_mlp": {**SMALL, "train_steps": 20},
    "dql_mlp": {"network": "dql_mlp", "hidden": 16, "emb_dim": 16, "train_steps": 20},
    "unet1d_janner": {"network": "unet1d_janner", **WIDE, **PLAN},
    "unet1d_chi": {"network": "unet1d_chi", **WIDE, **POLICY},
    "transformer_chi": {"network": "transformer_chi", **WIDE, **POLICY, "dropout": 0.1},
    "dit1d": {"network": "dit1d", **WIDE, **POLICY, "time_embed": "fourier", "encoder": "mlp", "enc_hidden": 16, "enc_dim": 8},
    "dit1d_planner": {"network": "dit1d", **WIDE, **PLAN, "returns": 1, "cond_dropout": 0.2},
}
MLP, PLANNER = NETWORKS["idql_mlp"], {**NETWORKS["unet1d_janner"], "train_steps": 5}
WIDER = {**SMALL, "hidden": 64, "train_steps": 2}
CRITIC = {"hidden": 16, "batch": 32, "lr": 3e-3}


@pytest.fixture(scope="module")
def cpu():
    return dmc.Context()


@pytest.fixture(scope="module")
def cuda():
    with dmc.Context(device="cuda", plugin_folder=FOLDER) as context:
        assert context.device.startswith("cuda")
        yield context


@pytest.fixture(scope="module")
def train(dataset):
    """A model with some updates, (published model, losses), on a device."""

    def run(context, updates=4, batch=8, **options):
        with dmc.Model.create(dataset, context=context, **options) as model, dmc.Trainer(
            model, dataset, context=context, steps=updates, batch=batch, lr=3e-3, ema=0.8
        ) as trainer:
            losses = [trainer.step(1).loss for _ in range(updates - 1)]
            losses += [trainer.evaluate(), trainer.step(1).loss, trainer.evaluate()]
            return trainer.publish(), losses

    return run


@pytest.fixture(scope="module")
def twins(train, cpu, cuda, tmp_path_factory):
    """The same trained weights (on the CPU, on cuda) of a model of these options: what one device saved, the other reads."""
    made, folder = {}, tmp_path_factory.mktemp("twins")

    def get(updates=40, **options):
        key = repr((updates, sorted(options.items())))
        if key not in made:
            file = folder / f"{len(made)}.dmc"
            model, _ = train(cpu, updates, **options)
            model.save(file)
            made[key] = model, dmc.Model.load(file, context=cuda)
        return made[key]

    return get


@pytest.fixture(scope="module")
def critics(dataset, cpu, cuda, tmp_path_factory):
    """The same trained critic on both."""
    file = tmp_path_factory.mktemp("critics") / "critic.dmc"
    critic = dmc.Critic.create(dataset, context=cpu, **CRITIC)
    critic.step(100)
    critic.save(file)
    return critic, dmc.Critic.load(file, context=cuda)


@pytest.fixture(scope="module")
def cascades(twins, critics, dataset, cpu, cuda, tmp_path_factory):
    """The same policy with a trained cascade on both, and with another one."""
    folder, pairs = tmp_path_factory.mktemp("cascades"), []
    small = {"batch": 16, "candidates": 4, "eval_every": 1, "eval_conditions": 8, "lr": 1e-2}
    for seed in range(2):
        with dmc.Aligner(twins(**SMALL)[0], dataset, critics[0], context=cpu, seed=seed, **small) as aligner:
            assert aligner.cascade(updates=30, conditions=16).accepted
            model = aligner.publish()
        model.save(folder / f"{seed}.dmc")
        pairs.append((model, dmc.Model.load(folder / f"{seed}.dmc", context=cuda)))
    return pairs


@pytest.fixture
def obs():
    """Observations (3,2)."""
    return np.random.default_rng(2).uniform(-1, 1, (3, OBS)).astype(np.float32)


def near(got, want, tolerance):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape and np.isfinite(want).all() and np.any(want)
    error = np.abs(got - want).max() / np.abs(want).max()
    assert error <= tolerance, (error, got, want)


def sampler(model, context, critic=None, **options):
    return dmc.Sampler(model, critic, context=context, **{"batch": 3, "seed": 3, **options})


def answers(model, context, obs, critic=None, calls=2, **options):
    with sampler(model, context, critic, **options) as s:
        return np.stack([s.sample(obs) for _ in range(calls)])


def both(models, contexts, obs, critics=(None, None), **options):
    """Answers on the CPU and on cuda."""
    return [answers(m, c, obs, critic, **options) for m, c, critic in zip(models, contexts, critics)]


# ---- training and networks


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_learns_and_samples(train, cpu, cuda, obs, tmp_path, network):
    """Losses agree to rounding (1e-4). So do samples of 20 steps of the model that cuda saved, read by the CPU (1e-3)."""
    (_, want), (model, got) = (train(context, **NETWORKS[network]) for context in (cpu, cuda))
    near(got, want, 1e-4)
    model.save(tmp_path / "m.dmc")
    with dmc.Model.load(tmp_path / "m.dmc", context=cpu) as read:
        assert all(np.array_equal(a, b) for a, b in zip(read.tensors().values(), model.tensors().values()))
        want, got = both((read, model), (cpu, cuda), obs, calls=1)
        near(got, want, 1e-3)
        assert not np.array_equal(got[0, 0], got[0, 1])


def test_a_planner_keeps_the_state(twins, cuda, obs):
    with sampler(twins(**PLANNER)[1], cuda) as s:
        s.sample(obs)
        for b in range(3):
            assert np.allclose(s.plan(b)[0, :OBS], obs[b], atol=1e-5)
            assert not np.allclose(s.plan(b)[1, :OBS], obs[b], atol=1e-5)


def test_one_call_of_a_network(twins):
    z, t = np.random.default_rng(4).normal(size=(5, 4, OBS + ACT)).astype(np.float32), np.arange(5, dtype=np.float32)
    on_cpu, on_cuda = twins(**PLANNER)
    near(on_cuda.forward(z, t), on_cpu.forward(z, t), 1e-5)


# ---- sampling

SAMPLERS = [
    ("vp", {"sampler": "ddpm"}),
    ("vp", {"sampler": "ddim"}),
    ("vp", {"sampler": "ddim", "eta": 0.5, "steps": 7, "grid": "quad"}),
    ("vp", {"sampler": "dpm", "steps": 10}),
    ("vp", {"sampler": "dpmpp_2m"}),
    ("vp", {"sampler": "sde_dpmpp_2m", "grid": "logsnr"}),
    ("vp", {"sampler": "ddpm", "jump": 3, "jumps": 2}),
    ("vp_sde", {"sampler": "ddpm", "steps": 20}),
    ("edm", {"sampler": "heun", "steps": 10}),
    ("edm", {"sampler": "euler", "steps": 20, "churn": 5}),
    ("flow", {"sampler": "euler", "steps": 20}),
    ("flow", {"sampler": "flow_sde", "steps": 20}),
    ("flow", {"sampler": "reinflow", "steps": 20}),
]


def named(x):
    return x if isinstance(x, str) else "-".join(map(str, x.values()))


@pytest.mark.parametrize("process, options", SAMPLERS, ids=named)
def test_a_sampler(twins, cpu, cuda, obs, process, options):
    want, got = both(twins(**MLP, process=process), (cpu, cuda), obs, **options)
    near(got, want, 1e-3)
    assert not np.array_equal(got[0], got[1])


def test_the_critic_chooses(twins, critics, cpu, cuda, obs):
    models, chosen = twins(**MLP), []
    for model, context, critic in zip(models, (cpu, cuda), critics):
        with sampler(model, context, critic, candidates=6, select="greedy") as s:
            actions = s.sample(obs)
            q = np.minimum(*critic.q(np.repeat(obs, 6, 0), s.candidates().reshape(18, ACT))).reshape(3, 6)
            plans = s.candidates()[np.arange(3), q.argmax(1)]
            assert np.array_equal(np.stack([s.plan(b) for b in range(3)]), plans)
            assert s.info().chosen == q[0].argmax() and s.info().q == pytest.approx(q[0].max(), abs=1e-4)
            chosen.append((actions, s.candidates()))
    near(chosen[1][0], chosen[0][0], 1e-3)
    near(chosen[1][1], chosen[0][1], 1e-3)


CHOICES = [{"select": "softmax", "beta": 3}, {"select": "expectation"}, {"guide": "critic", "guide_scale": 2}]


@pytest.mark.parametrize("options", CHOICES, ids=named)
def test_other_choices(twins, critics, cpu, cuda, obs, options):
    plain = answers(twins(**MLP)[1], cuda, obs, candidates=4, steps=5)
    want, got = both(twins(**MLP), (cpu, cuda), obs, critics, candidates=4, steps=5, **options)
    near(got, want, 1e-3)
    assert not np.array_equal(got, plain)


def test_guidance(twins, cpu, cuda, obs):
    models = twins(**{**NETWORKS["dit1d_planner"], "train_steps": 5})
    want, got = both(models, (cpu, cuda), obs, calls=1, guidance=2)
    near(got, want, 1e-3)
    assert not np.array_equal(got, answers(models[1], cuda, obs, calls=1))


def test_a_warm_start(twins, cpu, cuda, obs):
    """Three calls: from noise, and twice from the plan before, which lies on the device."""
    results = []
    for model, context in zip(twins(**PLANNER), (cpu, cuda)):
        with sampler(model, context, warm_start=0.5, exec=1) as s:
            results.append(([s.sample(obs) for _ in range(3)], s.info().steps))
    (want, steps), (got, device_steps) = results
    near(got, want, 1e-3)
    assert 0 < device_steps == steps < 5


def test_known_entries_come_out(twins, cpu, cuda, obs):
    rng, results = np.random.default_rng(3), []
    values = rng.uniform(-1, 1, (3, 4, OBS + ACT)).astype(np.float32)
    mask = rng.random(values.shape) < 0.4
    for model, context in zip(twins(**PLANNER), (cpu, cuda)):
        with sampler(model, context) as s:
            free = s.sample(obs)
            s.set_known(mask, values)
            s.reset(3)
            known = s.sample(obs)
            plans = np.stack([s.plan(b) for b in range(3)])
            assert np.array_equal(plans[mask], values[mask])
            s.set_known()
            s.reset(3)
            assert np.array_equal(s.sample(obs), free) and not np.array_equal(known, free)
            results.append(plans)
    near(results[1], results[0], 1e-3)


def test_a_policys_known_action_is_forgotten(twins, cpu, cuda, obs):
    """A recording is masked in every answer: by zeros where nothing is known any more."""
    for model, context in zip(twins(**MLP), (cpu, cuda)):
        with sampler(model, context) as s:
            free = s.sample(obs)
            values = np.full((3, 1, ACT), 0.25, np.float32)
            s.set_known(values > 0, values)
            assert np.allclose(s.sample(obs).ravel(), 0.25)
            s.set_known()
            s.reset(3)
            assert np.array_equal(s.sample(obs), free)


def test_steps_beside_whole_answers(twins, cpu, cuda, obs):
    """60 rows of 3 conditions are two stretches of what depends on time and condition; the condition is never set again."""
    results = []
    for model, context in zip(twins(**NETWORKS["dit1d_planner"], process="flow"), (cpu, cuda)):
        with sampler(model, context, steps=60) as s:
            for _ in range(2):
                s.begin(obs)
                s.step()
                whole = s.sample(obs)
            s.begin(obs)
            s.step()
            results.append([whole, s.finish()])
    near(results[1], results[0], 1e-3)


def test_steps_and_deadlines(twins, cpu, cuda, obs):
    """Step by step and with time enough: the bits of sample. Ended early: what the CPU gives."""
    early = []
    for model, context in zip(twins(**MLP), (cpu, cuda)):
        with sampler(model, context, steps=5) as a, sampler(model, context, steps=5) as b, sampler(model, context, steps=5) as c:
            whole = a.sample(obs)
            b.begin(obs)
            assert [b.step() for _ in range(5)] == [4, 3, 2, 1, 0]
            assert np.array_equal(b.finish(), whole) and np.array_equal(c.sample_until(obs, 60), whole)
            b.begin(obs)
            b.step()
            b.step()
            early.append(b.finish())
            assert b.info().steps == 2 and b.info().partial == 1
            with pytest.raises(dmc.DmcDeadlineError):
                c.sample_until(obs, -1)
            assert c.info().held == 1
    near(early[1], early[0], 1e-3)


def test_rebind(dataset, twins, cpu, cuda, obs):
    """To a model that a trainer on the device published."""
    first = twins(**MLP)[1]
    with dmc.Trainer(first, dataset, context=cuda, steps=5, batch=32, lr=3e-2, ema=0.1) as trainer, sampler(first, cuda) as s:
        before = s.sample(obs)
        trainer.step(5)
        with trainer.publish() as second:
            s.rebind(second)
            s.reset(3)
            after = s.sample(obs)
            assert np.array_equal(after, answers(second, cuda, obs, calls=1)[0])
            assert not np.array_equal(after, before)
            s.rebind(first)
            s.reset(3)
            assert np.array_equal(s.sample(obs), before)


def counter(name):
    """A function of tests/emu that counts; None: a GPU, which has another one for allocations (make bench-cuda)."""
    count = getattr(ctypes.CDLL(os.path.join(FOLDER, "libdmc-cuda.so")), name, None)
    if count:
        count.restype = ctypes.c_uint64
    return count


@contextlib.contextmanager
def launches(n):
    """What is done inside asks the device for so many graphs, kernels and copies, where that is counted."""
    count = counter("emu_launches")
    before = count and count()
    yield
    assert not count or count() == before + n


def test_nothing_is_allocated_after_create(cascades, critics, cuda, obs):
    allocations, model = counter("emu_allocations"), cascades[0][1]
    if not allocations:
        pytest.skip("not the plugin of tests/emu")
    with dmc.Sampler(model, critics[1], context=cuda, candidates=4, select="greedy", cascade_passes=1) as sampler:
        before = allocations()
        for _ in range(3):
            sampler.sample(obs[0])
        sampler.rebind(model)
        sampler.begin(obs[1])
        sampler.step()
        sampler.finish()
        sampler.reset(3)
        sampler.sample(obs[2])
        assert allocations() == before
        with dmc.Sampler(model, context=cuda):
            assert allocations() > before


ALONE = [
    {},
    *({"select": select} for select in ("greedy", "softmax", "expectation")),
    {"guide": "critic"},
    {"guide": "critic", "select": "greedy"},
]


@pytest.mark.parametrize("options", ALONE, ids=named)
def test_an_answer_is_one_launch(twins, critics, cuda, obs, options):
    """With a critic: conditions, steps and values of the candidates, and nothing beside."""
    with sampler(twins(**MLP)[1], cuda, critics[1], candidates=4, steps=5, **options) as s:
        for _ in range(3):
            with launches(1):
                s.sample(obs)


def test_a_guided_plan_is_one_launch(twins, cpu, cuda, obs):
    value = {"network": "unet1d_half", "role": "value", "obs_norm": "minmax", "horizon": 4, "train_steps": 5, **WIDE}
    results = []
    for model, worth, context in zip(twins(**PLANNER), twins(**value), (cpu, cuda)):
        with sampler(model, context, value=worth, guide="value", guide_scale=0.5, warm_start=0.5) as s:
            results.append([s.sample(obs) for _ in range(3)])
            with launches(context is cuda):
                s.sample(obs)
    near(results[1], results[0], 1e-3)
    assert not np.array_equal(results[1], answers(twins(**PLANNER)[1], cuda, obs, calls=3, warm_start=0.5))


STATES = {**SMALL, "role": "planner", "states_only": 1, "horizon": 4, "obs_norm": "minmax", "predict": "x0"}
INVERSE = {"role": "inverse", "network": "inverse_mlp", "horizon": 2, "hidden": 16, "obs_norm": "minmax"}


def test_a_plan_of_states_is_two_launches(twins, critics, cpu, cuda, obs):
    """One of the answer, one of what the inverse model makes of the plan that was chosen; the critic looks through it."""
    results = []
    for model, inverse, critic, context in zip(twins(**STATES), twins(**INVERSE), critics, (cpu, cuda)):
        with sampler(model, context, critic, inverse=inverse, candidates=4, select="greedy", guide="critic", warm_start=0.5) as s:
            results.append([s.sample(obs) for _ in range(2)])
            with launches(2 * (context is cuda)):
                results[-1].append(s.sample(obs))
    near(results[1], results[0], 2e-3)


def test_a_planner_of_states_aligns(twins, critics, dataset, cpu, cuda):
    """Q-gradients pass through the inverse model."""
    scores = []
    for model, inverse, critic, context in zip(twins(**STATES), twins(**INVERSE), critics, (cpu, cuda)):
        small = {"batch": 16, "candidates": 4, "eval_every": 2, "eval_conditions": 8, "lora_rank": 2, "lr": 3e-3}
        with dmc.Aligner(model, dataset, critic, context=context, **small) as aligner:
            aligner.set_inverse(inverse)
            report = aligner.rl(method="qvpg", updates=4)
            scores.append((report.before, report.after))
    near(scores[1], scores[0], 1e-3)


def test_a_guided_policy_sees_new_observations(twins, cpu, cuda, obs):
    """Its condition is fed twice, once as zeros."""
    results = []
    for model, context in zip(twins(**MLP, cond_dropout=0.2), (cpu, cuda)):
        with sampler(model, context, guidance=2) as s, sampler(model, context, guidance=0) as null:
            results.append([x.sample(o) for o in (obs, -obs) for x in (s, null)])
    near(results[1], results[0], 1e-3)
    assert not np.array_equal(results[1][0], results[1][2])


PASSES = [
    {"cascade_passes": 1},
    {"cascade_passes": 2},
    {"cascade_passes": 1, "select": "greedy", "guide": "critic"},
    {"cascade_passes": 2, "select": "softmax"},
    {"cascade_passes": 2, "select": "expectation"},
    {"cascade_passes": 1, "weights": "bf16"},
]


@pytest.mark.parametrize("options", PASSES, ids=named)
def test_a_cascade_is_one_launch_a_pass(cascades, critics, cpu, cuda, obs, options):
    """With a critic each pass keeps the better of two samples."""
    results, options = [], {"candidates": 4, "steps": 5, **options}
    judges = critics if "select" in options else (None, None)
    for model, critic, context in zip(cascades[0], judges, (cpu, cuda)):
        with sampler(model, context, critic, **options) as s, sampler(model, context, critic, **options) as by_steps:
            results.append([])
            for o in (obs, -obs):
                with launches((1 + options["cascade_passes"]) * (context is cuda)):
                    results[-1].append(s.sample(o))
                assert s.info().steps == s.info().planned == 5 * (1 + options["cascade_passes"])
                by_steps.begin(o)
                while by_steps.step():
                    pass
                assert np.array_equal(by_steps.finish(), results[-1][-1])
                results[-1].append(s.candidates())
    for got, want in zip(results[1], results[0]):
        near(got, want, 1e-3)
    options["cascade_passes"] -= 1
    with sampler(cascades[0][1], cuda, critics[1], **options) as fewer:
        fewer.sample(obs)
        assert not np.array_equal(fewer.candidates(), results[1][1])


def test_a_cascade_is_rebound(cascades, cuda, obs):
    first, second = (pair[1] for pair in cascades)
    with sampler(first, cuda, cascade_passes=1) as s:
        before = s.sample(obs)
        s.rebind(second)
        s.reset(3)
        after = s.sample(obs)
        assert np.array_equal(after, answers(second, cuda, obs, calls=1, cascade_passes=1)[0])
        assert not np.array_equal(after, before)
        s.rebind(first)
        s.reset(3)
        assert np.array_equal(s.sample(obs), before)


@pytest.mark.parametrize("options", [{"select": "greedy"}, {"guide": "critic"}], ids=named)
def test_a_critic_that_trains_on_shows(dataset, twins, cuda, obs, options):
    """In the next answer, as other weights of the policy do."""
    model, other = twins(**MLP)[1], twins(updates=60, **MLP)[1]
    with dmc.Critic.create(dataset, context=cuda, **{**CRITIC, "lr": 3e-2}) as critic:
        with sampler(model, cuda, critic, candidates=8, **options) as s:
            before, q = s.sample(obs), s.info().q
            critic.step(20)
            s.reset(3)
            after = s.sample(obs)
            assert np.array_equal(after, answers(model, cuda, obs, critic, calls=1, candidates=8, **options)[0])
            assert s.info().q != q and not np.array_equal(after, before)
            best = np.minimum(*critic.q(obs[:1], s.plan(0)[:1]))
            assert s.info().q == pytest.approx(best[0], abs=1e-4)
            s.rebind(other)
            s.reset(3)
            rebound = s.sample(obs)
            assert np.array_equal(rebound, answers(other, cuda, obs, critic, calls=1, candidates=8, **options)[0])
            assert not np.array_equal(rebound, after)


def test_two_samplers_by_turns(twins, cuda, obs):
    plans, actions = twins(**PLANNER)[1], twins(**MLP)[1]
    alone = answers(plans, cuda, obs, calls=3), answers(actions, cuda, obs, calls=3, candidates=2, steps=5)
    with sampler(plans, cuda) as a, sampler(actions, cuda, candidates=2, steps=5) as b:
        turns = [(a.sample(obs), b.sample(obs)) for _ in range(3)]
    assert np.array_equal([x for x, _ in turns], alone[0]) and np.array_equal([y for _, y in turns], alone[1])
    with sampler(actions, cuda, candidates=2, steps=5) as a, sampler(actions, cuda, candidates=2, steps=5, seed=9) as b:
        for s in (a, b):
            s.begin(obs)
        for _ in range(5):
            a.step()
            b.step()
        got = a.finish(), b.finish()
    for answer, seed in zip(got, (3, 9)):
        assert np.array_equal(answer, answers(actions, cuda, obs, calls=1, candidates=2, steps=5, seed=seed)[0])


def test_weights_of_16_bits(twins, cpu, cuda, obs):
    models = twins(**MLP)
    got = answers(models[1], cuda, obs, weights="bf16")
    near(got, answers(models[0], cpu, obs), 5e-2)
    assert not np.array_equal(got, answers(models[1], cuda, obs))


# ---- critic and alignment


def test_a_critic_learns(dataset, cpu, cuda, obs):
    """Losses of ten updates to rounding; values to what Adam makes of rounded gradients."""
    act, results = np.linspace(-1, 1, 3, dtype=np.float32)[:, None], []
    for context in (cpu, cuda):
        with dmc.Critic.create(dataset, context=context, **CRITIC) as critic:
            lines = [critic.step(1).asdict() for _ in range(10)]
            values = critic.v(obs), *critic.q(obs, act), critic.action_gradient(obs, act)
            results.append((lines, values))
    (want, values), (got, device_values) = results
    for key in ("q_loss", "v_loss", "q_mean", "v_mean"):
        near([line[key] for line in got], [line[key] for line in want], 1e-4)
    for g, w in zip(device_values, values):
        near(g, w, 1e-3)


def test_an_update_is_one_launch(dataset, cuda):
    """From the second on; an evaluation in between changes nothing."""
    with dmc.Model.create(dataset, context=cuda, **NETWORKS["transformer_chi"]) as model, dmc.Trainer(
        model, dataset, context=cuda, steps=9, batch=8
    ) as trainer, dmc.Critic.create(dataset, context=cuda, **CRITIC) as critic:
        trainer.step(2)
        trainer.evaluate()
        critic.step(2)
        with launches(5):
            trainer.step(3)
            critic.step(2)


def test_a_critic_goes_between_devices(critics, dataset, cpu, tmp_path, obs):
    on_cpu, on_cuda = critics
    near(on_cuda.v(obs), on_cpu.v(obs), 1e-5)
    on_cuda.save(tmp_path / "c.dmc")
    with dmc.Critic.load(tmp_path / "c.dmc", context=cpu) as read:
        assert np.array_equal(read.v(obs), on_cpu.v(obs))


METHODS = [
    ("rl", {"method": "reinforce", "updates": 4}),
    ("rl", {"method": "ppo", "updates": 4}),
    ("rl", {"method": "qvpg", "updates": 4}),
    ("dpo", {"updates": 4, "refresh": 2}),
    ("sft", {"updates": 4, "rounds": 1, "conditions": 8}),
    ("cascade", {"updates": 4, "conditions": 16}),
]


@pytest.mark.parametrize("method, options", METHODS, ids=named)
def test_a_method_aligns(twins, critics, dataset, cpu, cuda, obs, method, options):
    """Losses and scores of a few updates. Rewards are samples' values, whose small differences standardised advantages enlarge."""
    results, models = [], twins(**SMALL)
    for model, critic, context in zip(models, critics, (cpu, cuda)):
        lines = []
        small = {"batch": 16, "candidates": 4, "eval_every": 2, "eval_conditions": 8, "lora_rank": 2, "lr": 3e-3}
        with dmc.Aligner(model, dataset, critic, context=context, **small) as aligner:
            aligner.set_progress(lambda p: lines.append(p.loss))
            report = getattr(aligner, method)(**options)
            with aligner.publish() as aligned:
                samples = answers(aligned, context, obs, cascade_passes=int(method == "cascade"))
                results.append((lines, (report.before, report.after), samples))
    (losses, scores, samples), (device_losses, device_scores, device_samples) = results
    near(device_losses, losses, 1e-3)
    near(device_scores, scores, 1e-3)
    near(device_samples, samples, 2e-3)
    assert not np.array_equal(device_samples, answers(models[1], cuda, obs))


# ---- contexts


def test_tf32(twins, cuda):
    """Layers large enough for cuBLAS, which a card multiplies with ten bits of mantissa (the emulator with all): not far away."""
    obs, model = np.random.default_rng(5).uniform(-1, 1, (128, OBS)).astype(np.float32), twins(**WIDER)[1]
    want = answers(model, cuda, obs, calls=1, batch=128)
    with dmc.Context(device="cuda", plugin_folder=FOLDER, matrix="tf32") as context:
        near(answers(model, context, obs, calls=1, batch=128), want, 2e-2)
    with pytest.raises(dmc.DmcKeyError, match="matrix.*fp32 tf32 bf16"):
        dmc.Context(device="cuda", plugin_folder=FOLDER, matrix="tf23")


def test_a_device_that_is_not_there():
    with pytest.raises(dmc.DmcDeviceError, match="cuda:7.*device"):
        dmc.Context(device="cuda:7", plugin_folder=FOLDER)


def test_a_folder_without_the_plugin(tmp_path):
    with pytest.raises(dmc.DmcDeviceError, match=f"could not be opened; {tmp_path}/libdmc-cuda.so: "):
        dmc.Context(device="cuda", plugin_folder=str(tmp_path))
