"""Datasets from arrays and files."""

import numpy as np
import pytest

import libdmc as dmc
from conftest import EPISODES, LENGTH


def test_info(dataset, arrays):
    info = dataset.info()
    returns = arrays[2].reshape(EPISODES, LENGTH).sum(1, dtype=np.float64)
    assert (info.obs_dim, info.act_dim, info.episodes, info.steps, info.longest) == (
        2,
        1,
        EPISODES,
        EPISODES * LENGTH,
        LENGTH,
    )
    assert info.held_out_episodes == sum(dataset.held_out(i) for i in range(EPISODES)) == 3
    assert np.allclose(
        [info.return_mean, info.return_sd, info.return_min, info.return_max],
        [returns.mean(), returns.std(), returns.min(), returns.max()],
        atol=1e-5,
    )
    assert info.asdict()["episodes"] == EPISODES and f"episodes={EPISODES}" in repr(info)


def test_episodes_are_the_rows_and_copies(dataset, arrays):
    episode = dataset.episode(3)
    rows = slice(3 * LENGTH, 4 * LENGTH)
    for got, given in zip(episode, arrays):
        assert np.array_equal(got, given[rows]) and got.flags.owndata
    episode.obs[:] = 7
    assert np.array_equal(dataset.episode(3).obs, arrays[0][rows])
    with pytest.raises(dmc.DmcRangeError, match=f"i = {EPISODES}"):
        dataset.episode(EPISODES)


def test_file_round_trip(dataset, arrays, tmp_path):
    dataset.save(tmp_path / "cart.hdf5")
    with dmc.Dataset.open(tmp_path / "cart.hdf5", held_out=0.1) as read:
        assert read.info().asdict() == dataset.info().asdict()
        assert all(np.array_equal(a, b) for a, b in zip(read.episode(7), dataset.episode(7)))
    with dmc.Dataset.open(str(tmp_path / "cart.hdf5"), max_steps=LENGTH) as short:
        assert short.info().steps == LENGTH


@pytest.mark.parametrize("where, column", [(0, "observations"), (1, "actions"), (2, "rewards")])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(arrays, where, column, value):
    changed = [a.copy() for a in arrays]
    changed[where][11] = value
    with pytest.raises(dmc.DmcNumericError, match=f"{column}: row 11"):
        dmc.Dataset.from_arrays(*changed)


@pytest.mark.parametrize("where, name", [(1, "act"), (2, "rew"), (3, "terminals"), (4, "timeouts")])
def test_lengths_must_agree(arrays, where, name):
    changed = list(arrays)
    changed[where] = changed[where][:-1]
    with pytest.raises(dmc.DmcShapeError, match=f"{name} has the shape"):
        dmc.Dataset.from_arrays(*changed)


def test_flags_are_bool_or_bytes(arrays):
    obs, act, rew, terminals, timeouts = arrays
    with dmc.Dataset.from_arrays(obs, act, rew, terminals, timeouts.astype(np.uint8)) as same:
        assert same.info().episodes == EPISODES
    with dmc.Dataset.from_arrays(obs, act, rew, terminals) as one:
        assert one.info().episodes == 1
    with pytest.raises(TypeError, match="timeouts must be of uint8, is of float64"):
        dmc.Dataset.from_arrays(obs, act, rew, terminals, timeouts.astype(float))


def test_no_rows(arrays):
    with pytest.raises(dmc.DmcShapeError):
        dmc.Dataset.from_arrays(*(a[:0] for a in arrays))


def test_files_that_are_not_there_or_not_datasets(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.hdf5"):
        dmc.Dataset.open(tmp_path / "nothing.hdf5")
    (tmp_path / "text.hdf5").write_text("hello")
    with pytest.raises(dmc.DmcFormatError, match="text.hdf5"):
        dmc.Dataset.open(tmp_path / "text.hdf5")
    with pytest.raises(ValueError, match="null byte"):
        dmc.Dataset.open("a\0b")
