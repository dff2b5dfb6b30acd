"""Alignment with Python functions as reward, score and progress; what happens when they fail."""

import ctypes
import json
import signal
import threading

import numpy as np
import pytest

import libdmc as dmc
from conftest import ACT, OBS
from libdmc._callbacks import Guard
from libdmc._records import AlignProgress

BATCH = 16


@pytest.fixture
def aligner(model, dataset):
    with dmc.Aligner(
        model,
        dataset,
        batch=BATCH,
        candidates=4,
        eval_every=5,
        eval_conditions=8,
        lora_rank=4,
        lr=3e-3,
    ) as aligner:
        yield aligner


def towards(target):
    """Reward -(z - target)^2 of the first action, with its gradient."""

    def reward(z, obs, want_grad):
        away = z - np.float32(target)
        r = -(away[:, 0, 0] ** 2)
        return (r, -2 * away) if want_grad else r

    return reward


def mean_action(model):
    with dmc.Sampler(model, batch=256) as sampler:
        return sampler.sample(np.zeros((256, OBS), np.float32)).mean()


def test_a_reward_with_its_gradient_moves_the_policy(aligner, model):
    aligner.set_reward(towards(0.8), gradient=True)
    report = aligner.rl(method="qvpg", updates=60, kl=0.0)
    with aligner.publish() as aligned:
        before, after = mean_action(model), mean_action(aligned)
    assert report.after > report.before and abs(after - 0.8) < 0.7 * abs(before - 0.8)
    aligner.reset()
    with aligner.publish() as forgotten:
        assert mean_action(forgotten) == before


@pytest.mark.parametrize(
    "method, options",
    [
        ("rl", {"method": "ppo"}),
        ("rl", {"method": "reinforce"}),
        ("dpo", {"refresh": 5}),
        ("sft", {"conditions": 8}),
        ("cascade", {"conditions": 8}),
    ],
)
def test_every_method_runs_on_a_function(aligner, method, options):
    aligner.set_reward(lambda z, obs, want_grad: -abs(z[:, 0, 0] - 0.5))
    report = getattr(aligner, method)(updates=10, **options)
    assert 0 < report.updates <= 10 and report.after >= report.before and report.seconds > 0


def test_what_the_reward_function_is_given(aligner, arrays):
    calls = []

    def reward(z, obs, want_grad):
        calls.append((z, obs, want_grad))
        return towards(0)(z, obs, want_grad)

    aligner.set_reward(reward, gradient=True)
    aligner.rl(updates=2)
    assert {want for _, _, want in calls} == {True, False}
    for z, obs, _ in calls:
        assert (
            z.shape == (BATCH, 1, ACT)
            and obs.shape == (BATCH, OBS)
            and z.dtype == obs.dtype == np.float32
        )
        assert z.flags.owndata and obs.flags.owndata  # C's memory is only lent
    seen = np.concatenate([obs for _, obs, _ in calls])
    assert all(
        (abs(arrays[0] - row).max(1) < 1e-4).any() for row in seen
    )  # conditions come from the data


def test_a_planner_gets_plans_and_first_states(planner, dataset):
    shapes = set()

    def reward(z, obs, want_grad):
        shapes.add((z.shape, obs.shape))
        assert np.allclose(z[:, 0, :OBS], obs, atol=1e-5)
        return z[:, :, OBS].mean(1)

    with dmc.Aligner(planner, dataset, batch=BATCH, eval_every=5) as aligner:
        aligner.set_reward(reward)
        aligner.dpo(updates=2)
    assert shapes == {((BATCH, 4, OBS + ACT), (BATCH, OBS))}


def test_pairs_of_a_function_move_the_policy(aligner, model, arrays):
    seen = []

    def pairs(obs):
        seen.append(obs)
        win = np.full((len(obs), 1, ACT), 0.8, np.float32)
        return (win, -win) if len(seen) % 2 else (win, -win, obs * 0)

    aligner.set_reward(towards(0.8))
    aligner.set_pairs(pairs)
    report = aligner.dpo(pairs="callback", updates=60, refresh=10, conditions=24)
    with aligner.publish() as aligned:
        assert abs(mean_action(aligned) - 0.8) < abs(mean_action(model) - 0.8) - 0.1
    assert report.after > report.before and {obs.shape for obs in seen} == {(24, OBS)}
    assert all((abs(arrays[0] - row).max(1) < 1e-4).any() for row in np.concatenate(seen))
    aligner.set_pairs(None)
    with pytest.raises(dmc.DmcError, match="dmc_aligner_set_pairs"):
        aligner.dpo(pairs="callback", updates=1)


def test_a_failing_pairs_function_is_raised_as_it_is(aligner):
    def pairs(obs):
        raise Broken("no opinion")

    aligner.set_reward(towards(0.8))
    aligner.set_pairs(pairs)
    with pytest.raises(Broken, match="no opinion"):
        aligner.dpo(pairs="callback", updates=1)
    aligner.set_pairs(lambda obs: (np.zeros((len(obs), 2, ACT)), np.zeros((len(obs), 1, ACT))))
    with pytest.raises(dmc.DmcShapeError, match="the winners"):
        aligner.dpo(pairs="callback", updates=1)


class Broken(Exception):
    pass


def test_a_failing_reward_is_raised_as_it_is(aligner, model):
    calls = []

    def reward(z, obs, want_grad):
        calls.append(1)
        if len(calls) == 4:
            raise Broken("the fourth call")
        return z[:, 0, 0]

    aligner.set_reward(reward)
    with pytest.raises(Broken, match="the fourth call") as raised:
        aligner.dpo(updates=50, refresh=1)
    assert raised.traceback[-1].name == "reward" and len(calls) == 4
    aligner.set_reward(lambda z, obs, want_grad: z[:, 0, 0])
    assert aligner.dpo(updates=5).updates == 5  # and the aligner lives on


@pytest.mark.parametrize(
    "returned, error, words",
    [
        (np.zeros(3), dmc.DmcShapeError, r"the reward has the shape \(3,\), must be \(16,\)"),
        (np.zeros((16, 1)), dmc.DmcShapeError, "the reward has the shape"),
        (np.zeros(16, complex), TypeError, "cast"),
        (None, dmc.DmcShapeError, "the reward"),
        (np.full(16, np.nan), dmc.DmcNumericError, "the reward callback gave nan"),
        ("text", dmc.DmcShapeError, "the reward"),
    ],
)
def test_rewards_of_the_wrong_form(aligner, returned, error, words):
    aligner.set_reward(lambda z, obs, want_grad: returned)
    with pytest.raises(error, match=words):
        aligner.dpo(updates=2)


def test_a_promised_gradient_must_come(aligner):
    aligner.set_reward(lambda z, obs, want_grad: np.zeros(len(z)), gradient=True)
    with pytest.raises(dmc.DmcShapeError, match="the gradient of the reward has the shape"):
        aligner.rl(method="qvpg", updates=2)
    aligner.set_reward(lambda z, obs, want_grad: np.zeros(len(z)))
    with pytest.raises(dmc.DmcArgumentError, match="needs a reward with a gradient"):
        aligner.rl(method="qvpg", updates=2)


def test_no_reward(aligner, dataset, model, critic):
    with pytest.raises(dmc.DmcStateError, match="no reward"):
        aligner.dpo(updates=2)
    with dmc.Aligner(model, dataset, critic, batch=BATCH) as other:

        def fails(*_):
            raise Broken

        other.set_reward(fails)
        with pytest.raises(Broken):
            other.dpo(updates=2)
        other.set_reward(None)
        assert other.dpo(updates=2).updates == 2


def test_progress(aligner):
    lines = []
    aligner.set_reward(towards(0.5))
    aligner.set_progress(lines.append)
    report = aligner.sequence(
        passes=1,
        order="dpo,sft",
        dpo_options={"updates": 6},
        sft_options={"updates": 4, "conditions": 8},
    )
    assert [(p.stage, p.update, p.updates, p.pass_) for p in lines] == [
        ("dpo", u, 6, 1) for u in range(1, 7)
    ] + [("sft", u, 4, 1) for u in range(1, 5)]
    assert "stage='dpo'" in repr(lines[0]) and lines[-1].asdict()["pass"] == 1
    assert report.updates == 10 and not report.stopped


def test_scores_by_episode(aligner, model):
    asked = []

    def scores(m):
        asked.append(m)
        return np.linspace(-1, 1, 6) + mean_action(m)

    aligner.set_reward(towards(0.8), gradient=True)
    aligner.set_scores(scores, episodes=6)
    report = aligner.rl(method="qvpg", updates=10, kl=0.0)
    assert len(asked) == 3  # the start and every 5 updates
    assert report.before == pytest.approx(mean_action(model), abs=1e-6)
    aligner.set_scores(lambda m: np.zeros(5), episodes=6)
    with pytest.raises(dmc.DmcShapeError, match="scores"):
        aligner.rl(method="qvpg", updates=1)
    with pytest.raises(dmc.DmcRangeError, match="at least 2"):
        aligner.set_scores(lambda m: np.zeros(1), episodes=1)
    aligner.set_scores(None)
    assert aligner.rl(method="qvpg", updates=1).updates == 1


def test_ledger(aligner, tmp_path):
    file = tmp_path / "ledger.jsonl"
    aligner.set_reward(towards(0.8), gradient=True)
    aligner.set_coherency(lambda z, obs: np.full(len(z), 0.25))
    aligner.set_ledger(file)
    report = aligner.rl(method="qvpg", updates=10, kl=0.0)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "evaluation", "evaluation", "end"]
    assert lines[-1]["score"] == report.after and lines[-1]["method"] == "rl"
    assert report.coherency == 0.25 == lines[1]["coherency"]
    aligner.set_ledger(None)
    aligner.rl(method="qvpg", updates=1)
    assert len(file.read_text().splitlines()) == 4


def test_progress_stops(aligner):
    aligner.set_reward(towards(0.5))
    aligner.set_progress(lambda p: p.update == 3)
    report = aligner.dpo(updates=50)
    assert report.stopped and report.updates == 3
    aligner.set_progress(None)
    assert not aligner.dpo(updates=4).stopped


def test_a_failing_progress_function(aligner):
    aligner.set_reward(towards(0.5))

    def progress(p):
        raise Broken

    aligner.set_progress(progress)
    with pytest.raises(Broken):
        aligner.dpo(updates=5)


def test_score(aligner):
    models = []

    def score(model):
        models.append(model)
        return float(len(models)), 0.1

    aligner.set_reward(towards(0.5))
    aligner.set_score(score)
    report = aligner.dpo(updates=10)
    assert len(models) == 3 and (report.before, report.after, report.after_se) == (
        1.0,
        3.0,
        pytest.approx(0.1),
    )
    assert isinstance(mean_action(models[0]), np.floating)  # a copy, good for longer than the call
    aligner.set_score(lambda model: 5)
    assert aligner.dpo(updates=5).before == 5

    def fails(model):
        raise Broken("no simulator")

    aligner.set_score(fails)
    with pytest.raises(Broken, match="no simulator"):
        aligner.dpo(updates=5)
    aligner.set_score(lambda model: (1, 2, 3))
    with pytest.raises(ValueError):
        aligner.dpo(updates=5)
    aligner.set_score(None)
    assert aligner.dpo(updates=5).updates == 5


def test_judge(aligner, dataset):
    """Its score; it lives as long as the aligner, which a closed handle does not end."""
    aligner.set_reward(towards(0.5))
    reward = aligner.dpo(updates=5).before
    aligner.reset()
    judge = dmc.Critic.create(dataset, hidden=8, split="second_half")
    aligner.set_judge(judge)
    judge.close()
    judged = aligner.dpo(updates=5).before
    aligner.reset()
    aligner.set_judge(None)
    assert aligner.dpo(updates=5).before == reward != judged
    with pytest.raises(TypeError):
        aligner.set_judge(dataset)


@pytest.mark.parametrize("name", ["reward", "progress"])
def test_control_c(aligner, name):
    handler, calls = signal.getsignal(signal.SIGINT), []

    def reward(z, obs, want_grad):
        calls.append("reward")
        if name == "reward" and len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return z[:, 0, 0]

    def progress(p):
        if name == "progress":
            signal.raise_signal(signal.SIGINT)

    aligner.set_reward(reward)
    aligner.set_progress(progress)
    with pytest.raises(KeyboardInterrupt):
        aligner.dpo(updates=10000, refresh=1)
    assert signal.getsignal(signal.SIGINT) is handler and len(calls) < 20


def test_control_c_while_c_works(model, dataset, critic):
    """The signal comes between two callbacks, where Python could not raise anything."""
    began = threading.Event()

    def interrupt():
        assert began.wait(20)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with dmc.Aligner(model, dataset, critic, batch=BATCH) as aligner:
        aligner.set_progress(lambda p: began.set())
        with pytest.raises(KeyboardInterrupt):
            aligner.dpo(updates=3000)
    thread.join(20)


def test_c_is_told_at_once():
    def fails():
        raise Broken

    guard = Guard()
    function = guard.wrap(ctypes.CFUNCTYPE(ctypes.c_int32), fails)
    assert function() == 1 and isinstance(guard.error, Broken)
    with pytest.raises(Broken):
        guard.run(int)
    assert guard.error is None


def test_progress_is_a_copy():
    """C lends the struct and its text for the time of a call."""
    text, lent = ctypes.create_string_buffer(b"dpo"), AlignProgress(update=3)
    at = ctypes.addressof(lent) + AlignProgress._stage.offset
    ctypes.c_void_p.from_address(at).value = ctypes.addressof(text)
    kept = AlignProgress.of(lent)
    text.value, lent.update = b"xxx", 4
    assert (lent.stage, lent.update) == ("xxx", 4) and (kept.stage, kept.update) == ("dpo", 3)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "auto", "last_k_kind": "curriculum", "entropy": 0.1, "kl_target": 0.05},
        {"method": "ppo", "last_k_kind": "random", "reduce": "sum", "clip": 0.1, "clip_base": 0.02, "target_kl": 0.5},
        {"method": "reinforce", "kappa": "paircos", "advantage_std": "group", "entropy": 0.1, "entropy_target": 0.3},
    ],
)
def test_policy_gradients_take_their_options(aligner, options):
    aligner.set_reward(towards(0.8), gradient=True)
    assert aligner.rl(updates=8, last_k=0, **options).updates == 8


def test_policy_gradients_refuse_what_contradicts(aligner):
    aligner.set_reward(towards(0.8), gradient=True)
    with pytest.raises(dmc.DmcArgumentError, match="granularity = row"):
        aligner.rl(method="ppo", granularity="row")
    with pytest.raises(dmc.DmcRangeError, match="entropy = -1.0, must be"):
        aligner.rl(entropy=-1.0)


def test_a_callback_cannot_call_its_aligner(aligner):
    aligner.set_reward(lambda z, obs, want_grad: aligner.reset())
    with pytest.raises(dmc.DmcStateError, match="this Aligner is in use"):
        aligner.dpo(updates=2)


def test_adapter_file(aligner, model, dataset, tmp_path):
    aligner.set_reward(towards(0.8), gradient=True)
    aligner.rl(updates=20, kl=0.0)
    aligner.save(tmp_path / "adapter")
    with dmc.Aligner(model, dataset, batch=BATCH, candidates=4, lora_rank=4) as other:
        other.load(tmp_path / "adapter")
        with aligner.publish() as a, other.publish() as b:
            for x, y in zip(a.tensors().values(), b.tensors().values()):
                assert np.allclose(x, y, atol=1e-6)
            assert any(
                not np.array_equal(x, y)
                for x, y in zip(a.tensors().values(), model.tensors().values())
            )
    (tmp_path / "adapter").write_bytes((tmp_path / "adapter").read_bytes()[:-5])
    with pytest.raises((dmc.DmcCorruptError, dmc.DmcFormatError)):
        aligner.load(tmp_path / "adapter")


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda a: a.rl(update=3), 'did you mean "updates"'),
        (lambda a: a.sequence(order="rl,ddpo"), "ddpo"),
        (lambda a: a.sequence(rl_options={"las_k": 1}), 'did you mean "last_k"'),
    ],
)
def test_misspelt_options(aligner, call, words):
    with pytest.raises(dmc.DmcKeyError, match=words):
        call(aligner)


def test_options_of_the_aligner(model, dataset):
    with pytest.raises(dmc.DmcArgumentError, match="not a multiple"):
        dmc.Aligner(model, dataset, batch=10, candidates=3)
    with pytest.raises(dmc.DmcKeyError, match="nothing_matches"):
        dmc.Aligner(model, dataset, lora_targets="nothing_matches")
    with dmc.Aligner(
        model, dataset, batch=8, lora_targets=["affine_in*", "affine_out*"]
    ) as aligner:
        aligner.reset()  # reads the patterns again, long after the call that gave them
