"""A ring of transitions, and critics that learn from it."""

import numpy as np
import pytest

import libdmc as dmc
from conftest import ACT, OBS


def rows(n, first=0):
    """n transitions of one episode that ends: obs 10i, act i, rew -i."""
    at = np.arange(first, first + n, dtype=np.float32)
    obs, after = np.outer(at, [10, 1]), np.outer(at + 1, [10, 1])
    obs, after = obs.astype(np.float32), after.astype(np.float32)
    return dmc.Transitions(obs, at[:, None].copy(), -at, after, at == first + n - 1)


def test_a_ring():
    with dmc.Replay(OBS, ACT, 5) as replay:
        assert len(replay) == 0
        replay.push(*rows(3))
        replay.push(*rows(4, first=20))
        assert len(replay) == 5
        back = replay.read()
        assert back.act[:, 0].tolist() == [2, 20, 21, 22, 23]
        assert back.terminals.tolist() == [True, False, False, False, True]
        for mine, theirs in zip(rows(4, first=20), replay.read(1, 4)):
            assert np.array_equal(mine, theirs)
        with pytest.raises(dmc.DmcRangeError, match="first = 3 and n = 3"):
            replay.read(3, 3)


def test_episodes():
    want = rows(3)
    with dmc.Replay(OBS, ACT, 9) as replay:
        obs = np.concatenate([want.obs, want.next[-1:]])
        replay.push_episode(obs, want.act, want.rew, terminal=True)
        for mine, theirs in zip(want, replay.read()):
            assert np.array_equal(mine, theirs)
        replay.push_episode(obs, want.act, want.rew, terminal=False)
        assert replay.read(3).terminals.tolist() == [False] * 3
        with pytest.raises(dmc.DmcShapeError, match="obs"):
            replay.push_episode(want.obs, want.act, want.rew, terminal=True)


def test_draws():
    with dmc.Replay(OBS, ACT, 9) as replay:
        with pytest.raises(dmc.DmcStateError, match="empty"):
            replay.draw(3)
        replay.push(*rows(9))
        a, b, c = (replay.draw(40, seed) for seed in (1, 1, 2))
        assert np.array_equal(a.act, b.act) and not np.array_equal(a.act, c.act)
        assert set(a.act[:, 0]) <= set(range(9)) and np.array_equal(a.rew, -a.act[:, 0])


def test_what_is_refused():
    obs, act, rew, after, ends = rows(2)
    with dmc.Replay(OBS, ACT, 9) as replay:
        for wrong in [(obs[:1],), (obs, act, rew[:1])]:
            with pytest.raises(dmc.DmcShapeError):
                replay.push(*(*wrong, act, rew, after, ends)[:5])
        with pytest.raises(dmc.DmcNumericError, match="rewards: row 0"):
            replay.push(obs, act, rew * np.float32("nan"), after, ends)
        assert len(replay) == 0


def test_a_critic_learns_from_it(dataset, arrays):
    """The same transitions pay 5 more in the replay than in the data: a critic of both sees half of it."""
    obs, act, rew, *_ = arrays
    ends = np.ones(len(rew), bool)
    with dmc.Replay(OBS, ACT, len(rew)) as replay:
        replay.push(obs, act, rew + np.float32(5), obs, ends)
        means = []
        for share in (0, 0.5, 1):
            with dmc.Critic.create(dataset, gamma=0, hidden=16, batch=64, lr=1e-2) as critic:
                metrics = critic.step_on(replay, share, 300)
                means.append(float(np.mean(critic.q(obs, act).q1)))
        assert metrics.step == 300 and np.isfinite(metrics.q_loss)
    assert np.allclose(np.array(means) - float(rew.mean()), [0, 2.5, 5], atol=0.3)
