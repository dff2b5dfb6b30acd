"""The code of docs/howto/python.md runs, and does what the page says."""

import re
from pathlib import Path

import numpy as np

from conftest import Cart

PAGE = Path(__file__).resolve().parents[2] / "docs/howto/python.md"


class GymCart:
    """A Cart behind Gymnasium's interface."""

    def __init__(self):
        self.cart = Cart()

    def reset(self, seed=None):
        return self.cart.reset(0, seed), {}

    def step(self, act):
        obs, reward, over = self.cart.step(0, act)
        return obs, reward, over, False, {}


def test_the_page(tmp_path, monkeypatch, capsys):
    example, wrapper, score = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    assert len([line for line in example.splitlines() if line.strip()]) <= 24
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(example, str(PAGE), "exec"), names)
    report = names["report"]
    assert report.accepted and report.after > report.before
    said = capsys.readouterr().out
    assert (
        said.startswith("TrainMetrics(step=400, loss=")
        and f"reward {report.before:.3f} -> {report.after:.3f}" in said
    )
    assert names["action"].shape == (1, 1)
    exec(compile(wrapper + score, str(PAGE), "exec"), names)
    names["env"] = names["Gym"](GymCart, count=8, max_steps=20)
    mean, se = names["drive"](names["policy"])
    assert mean < 0 < se and np.isfinite([mean, se]).all()
