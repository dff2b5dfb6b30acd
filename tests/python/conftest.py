"""conftest.py — a problem small enough to train in a second: push a cart to the middle."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "bindings/python"))
import libdmc as dmc  # noqa: E402

EPISODES, LENGTH, OBS, ACT = 30, 20, 2, 1
SMALL = {"hidden": 32, "blocks": 1, "emb_dim": 16, "train_steps": 5}


class Cart:
    """State (position, velocity); pays -position^2. Written as dmc.evaluate wants a simulator."""

    max_steps = LENGTH

    def __init__(self, count=1):
        self.count = count
        self.state = np.zeros((count, OBS), np.float32)

    def reset(self, copy, seed):
        self.state[copy] = seed % 21 / 10 - 1, 0
        return self.state[copy]

    def step(self, copy, act):
        x, v = self.state[copy]
        v += 0.2 * float(act[0])
        self.state[copy] = x + 0.2 * v, v
        return self.state[copy], -float(x * x), False


@pytest.fixture(scope="session")
def arrays():
    """obs (n,2), act (n,1), rew (n,), terminals (n,), timeouts (n,) of a mediocre driver."""
    rng, cart, rows = np.random.default_rng(1), Cart(), []
    for episode in range(EPISODES):
        obs = cart.reset(0, episode).copy()
        for t in range(LENGTH):
            act = np.float32(-0.5 * obs[0] - 0.5 * obs[1] + rng.uniform(-1, 1))
            after, reward, _ = cart.step(0, [act])
            rows.append((obs, [act], reward, False, t == LENGTH - 1))
            obs = after.copy()
    obs, act, rew, terminals, timeouts = zip(*rows)
    return (
        np.array(obs, np.float32),
        np.array(act, np.float32),
        np.array(rew, np.float32),
        np.array(terminals),
        np.array(timeouts),
    )


@pytest.fixture(scope="session")
def dataset(arrays):
    return dmc.Dataset.from_arrays(*arrays, held_out=0.1)


@pytest.fixture(scope="session")
def model(dataset):
    """A policy, trained."""
    with dmc.Model.create(dataset, **SMALL) as untrained, dmc.Trainer(
        untrained, dataset, steps=200, batch=64, lr=3e-3
    ) as t:
        t.step(200)
        return t.publish()


@pytest.fixture(scope="session")
def planner(dataset):
    """A planner, untrained."""
    return dmc.Model.create(dataset, role="planner", horizon=4, obs_norm="minmax", **SMALL)


@pytest.fixture(scope="session")
def critic(dataset):
    critic = dmc.Critic.create(dataset, hidden=32, batch=64, lr=3e-3)
    critic.step(300)
    return critic


@pytest.fixture
def obs():
    """Observations (5,2)."""
    return np.random.default_rng(2).uniform(-1, 1, (5, OBS)).astype(np.float32)
