"""Every network learns by `dmc train` from its example config, made small, and what it saves can be loaded and described."""
import json
import pathlib

import pytest

from test_cli import ROOT, run, write_dataset

CONFIGS = sorted((ROOT / "examples/configs/networks").glob("*.yaml"))
SMALL = {
    "idql_mlp": ["model.hidden=32", "model.blocks=1"],
    "dql_mlp": ["model.hidden=32"],
    "inverse_mlp": ["model.hidden=32"],
    "unet1d_janner": ["model.hidden=16", "model.mult=1,2", "model.horizon=8"],
    "unet1d_chi": ["model.hidden=16", "model.mult=1,2", "model.horizon=8"],
    "unet1d_half": ["model.hidden=16", "model.mult=1,2", "model.horizon=8"],
    "transformer_chi": ["model.hidden=32", "model.emb_dim=32", "model.blocks=1", "model.horizon=4"],
    "dit1d": ["model.hidden=32", "model.heads=4", "model.blocks=1", "model.horizon=8"],
    "dit1d_half": ["model.hidden=32", "model.heads=4", "model.blocks=1", "model.horizon=8"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "data.hdf5"
    write_dataset(path, obs_dim=3, act_dim=1)
    return path


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_network_learns(tmp_path, data, config):
    network = next(name for name in SMALL if f"network: {name}," in config.read_text())
    overrides = SMALL[network] + ["train.steps=200", "train.batch=32", "train.lr=3e-3", "train.ema=0.9", "run.report_every=20"]
    run(tmp_path, "train", "--config", config, "--data", data, "--out", "m.dmc", *overrides)
    lines = [json.loads(line) for line in (tmp_path / "m.metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["loss"] is not None]
    assert sum(losses[-3:]) < 0.75 * 3 * losses[0], losses
    assert json.loads(run(tmp_path, "inspect", "m.dmc", "--json").stdout)["network"] == network


def test_every_network_has_a_config():
    text = "".join(path.read_text() for path in CONFIGS)
    assert all(f"network: {name}," in text for name in SMALL)
