"""Models: contract, tensors, the network against numpy, files."""

import numpy as np
import pytest

import libdmc as dmc
from conftest import SMALL


def mish(x):
    return x * np.tanh(np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0))


def idql_mlp(w, blocks, emb_dim, z, t, cond):
    """The residual MLP of IDQL, in double precision, from PyTorch's tensors."""

    def linear(name, x):
        return x @ w[f"{name}.weight"].T.astype(float) + w[f"{name}.bias"]

    def layernorm(name, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    half = emb_dim // 2
    angle = t[:, None].astype(float) * 10000.0 ** (-np.arange(half) / half)
    e = np.concatenate([np.cos(angle), np.sin(angle)], -1)
    e = linear("time_mlp.2", mish(linear("time_mlp.0", e)))
    h = linear("affine_in", np.concatenate([z.reshape(len(z), -1).astype(float), e, cond], -1))
    for i in range(blocks):
        net = f"ln_resnet.{i}.net"
        h = h + linear(f"{net}.4", mish(linear(f"{net}.2", layernorm(f"{net}.1", h))))
    return linear("affine_out", h).reshape(z.shape)


@pytest.mark.parametrize(
    "horizon, n_obs, blocks, batch", [(1, 1, 1, 7), (3, 2, 2, 5), (4, 3, 3, 1)]
)
def test_forward_is_the_network_of_the_paper(dataset, horizon, n_obs, blocks, batch):
    rng = np.random.default_rng(0)
    z, cond = (
        rng.standard_normal(s).astype(np.float32) for s in [(batch, horizon, 1), (batch, n_obs * 2)]
    )
    t = rng.integers(0, 5, batch).astype(np.float32)
    with dmc.Model.create(
        dataset, horizon=horizon, n_obs=n_obs, hidden=24, blocks=blocks, emb_dim=16, train_steps=5
    ) as model:
        for name, values in model.tensors().items():  # biases start at 0 and would hide
            model.set_tensor(
                name, (values + 0.1 * rng.standard_normal(values.shape)).astype(np.float32)
            )
        out, expected = model.forward(z, t, cond), idql_mlp(model.tensors(), blocks, 16, z, t, cond)
    assert out.shape == z.shape and np.abs(expected).max() > 0.1
    assert np.abs(out - expected).max() < 1e-5


def test_forward_refuses_wrong_shapes(model, planner):
    z, t, cond = (
        np.zeros((3, 1, 1), np.float32),
        np.zeros(3, np.float32),
        np.zeros((3, 2), np.float32),
    )
    for bad in [
        (z[:, :, 0], t, cond),
        (z, t[:2], cond),
        (z, t, cond[:, :1].copy()),
        (z[:0], t[:0], cond),
    ]:
        with pytest.raises(dmc.DmcShapeError):
            model.forward(*bad)
    with pytest.raises(dmc.DmcArgumentError, match="cond is NULL, a policy needs"):
        model.forward(z, t)
    assert planner.forward(np.zeros((3, 4, 3), np.float32), t).shape == (3, 4, 3)


def test_contract(model, planner, arrays):
    contract = model.describe()
    assert (
        contract["role"],
        contract["obs_dim"],
        contract["act_dim"],
        contract["train_steps"],
    ) == ("policy", 2, 1, 5)
    assert np.allclose(contract["observation"]["shift"], arrays[0].mean(0), atol=1e-5)
    assert (
        contract["parameters"] == model.parameters == sum(a.size for a in model.tensors().values())
    )
    assert model.sizes == (1, 1, 1, 2, 1) and planner.sizes == (4, 3, 1, 2, 1)
    assert planner.describe()["role"] == "planner"


def test_tensors_by_name(model):
    with model.clone() as copy:
        name = "affine_in.weight"
        values = copy.get_tensor(name)
        assert (
            values.shape == copy.tensor_shape(name) == (32, 1 + 16 + 2)
            and name in copy.tensor_names()
        )
        copy.set_tensor(name, values * 2)
        assert np.array_equal(copy.get_tensor(name), values * 2)
        assert np.array_equal(model.get_tensor(name), values)
        with pytest.raises(dmc.DmcKeyError, match='did you mean "affine_in.weight"'):
            copy.get_tensor("affine_in.wieght")
        with pytest.raises(dmc.DmcShapeError, match=r"values has the shape \(19,32\)"):
            copy.set_tensor(name, np.ascontiguousarray(values.T))
        with pytest.raises(dmc.DmcNumericError, match="not finite"):
            copy.set_tensor(name, values * np.float32(np.nan))


def test_seeds_make_the_weights(dataset):
    def weights(seed):
        with dmc.Model.create(dataset, seed=seed, **SMALL) as model:
            return model.get_tensor("affine_in.weight")

    assert np.array_equal(weights(1), weights(1)) and not np.array_equal(weights(1), weights(2))


def test_file_round_trip(model, tmp_path, obs):
    model.save(tmp_path / "cart.dmc")
    with dmc.Model.load(tmp_path / "cart.dmc") as read:
        assert read.describe() == model.describe()
        assert all(
            np.array_equal(a, b) for a, b in zip(read.tensors().values(), model.tensors().values())
        )
        with dmc.Sampler(read, batch=5, seed=3) as a, dmc.Sampler(model, batch=5, seed=3) as b:
            assert np.array_equal(a.sample(obs), b.sample(obs))


def test_damaged_files_are_refused(model, tmp_path):
    """Cut anywhere, or one bit turned anywhere: never a model."""
    good, bad = tmp_path / "good.dmc", tmp_path / "bad.dmc"
    model.save(good)
    data = good.read_bytes()
    rng = np.random.default_rng(0)
    cuts = [data[:n] for n in [0, 1, 7, 8, 9, 100, *rng.integers(0, len(data), 40), len(data) - 1]]
    flips = []
    for at in [0, 5, 8, 20, *rng.integers(0, len(data), 80), len(data) - 1]:
        turned = bytearray(data)
        turned[at] ^= 1 << int(rng.integers(8))
        flips.append(bytes(turned))
    for damaged in cuts + flips + [data + b"\0"]:
        bad.write_bytes(damaged)
        with pytest.raises((dmc.DmcCorruptError, dmc.DmcFormatError)) as raised:
            dmc.Model.load(bad)
        assert "bad.dmc" in str(raised.value)
    with pytest.raises(dmc.DmcNotFoundError):
        dmc.Model.load(tmp_path / "none.dmc")
    with pytest.raises(OSError):
        model.save(tmp_path / "no such folder" / "x.dmc")


def test_bad_options(dataset):
    with pytest.raises(dmc.DmcRangeError, match="blocks"):
        dmc.Model.create(dataset, blocks=0)
    with pytest.raises(dmc.DmcRangeError, match="horizon = 3"):
        dmc.Model.create(
            dataset, network="unet1d_janner", role="planner", horizon=3, obs_norm="minmax"
        )
