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


ALIGN = """
critic: {steps: 20, hidden: 16, batch: 32}
align: {batch: 16, candidates: 8, eval_every: 3, eval_conditions: 8, lora_rank: 2}
rl: {updates: 3}
dpo: {updates: 3, refresh: 3}
sft: {updates: 3, rounds: 1, conditions: 8}
cascade: {updates: 3, conditions: 64}
sequence: {passes: 1}
"""


@pytest.mark.parametrize("name", ["diffusion-policy-unet", "diffusion-policy-transformer", "diffusion-policy-dit",
                                  "decision-diffuser", "dql"])
def test_every_method_aligns_every_network(tmp_path, data, name):
    """The four methods and their sequence run on a network they were not written for, and the result is a model."""
    config = ROOT / f"examples/configs/networks/{name}.yaml"
    network = next(network for network in SMALL if f"network: {network}," in config.read_text())
    small = SMALL[network] + ["model.train_steps=5", "model.clip=3", "train.steps=60", "train.batch=16"]
    (tmp_path / "align.yaml").write_text(config.read_text() + ALIGN)
    run(tmp_path, "train", "--config", "align.yaml", "--data", data, "--out", "m.dmc", *small)
    run(tmp_path, "critic", "--config", "align.yaml", "--data", data, "--out", "c.dmc")
    for method in ("rl", "dpo", "sft", "cascade", "sequence"):
        run(tmp_path, "align", method, "--config", "align.yaml", "--data", data, "--model", "m.dmc", "--critic", "c.dmc", "--out",
            f"{method}.dmc", *small)
        described = json.loads(run(tmp_path, "inspect", f"{method}.dmc", "--json").stdout)
        assert described["network"] == network
        assert method == "cascade" or not described["cascade"]  # one that is no better is not kept
