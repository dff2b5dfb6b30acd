"""What may be passed as an array, and what is refused before C sees it."""

import numpy as np
import pytest

import libdmc as dmc


@pytest.fixture
def sampler(model):
    with dmc.Sampler(model, batch=4) as sampler:
        yield sampler


@pytest.fixture
def good():
    return np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)


@pytest.mark.parametrize(
    "change, words",
    [
        (
            lambda a: a.astype(np.float64),
            r"obs must be of float32, is of float64: use obs.astype\('float32'\)",
        ),
        (lambda a: a.astype(np.int32), "is of int32"),
        (lambda a: a.astype(">f4"), "is of >f4"),
        (lambda a: a.astype(object), "is of object"),
        (lambda a: np.asfortranarray(a), "C-contiguous.*ascontiguousarray"),
        (lambda a: np.repeat(a, 2, axis=0)[::2], "C-contiguous"),
        (lambda a: a[::-1], "C-contiguous"),
        (
            lambda a: np.frombuffer(b"\0" + a.tobytes(), np.float32, 8, 1).reshape(4, 2),
            "C-contiguous",
        ),
        (lambda a: memoryview(a), "must be a numpy array of float32, is a memoryview"),
        (lambda a: None, "is a NoneType"),
        (lambda a: {1: 2}, "is a dict"),
    ],
)
def test_wrong_kinds_are_type_errors(sampler, good, change, words):
    with pytest.raises(TypeError, match=words):
        sampler.sample(change(good))


@pytest.mark.parametrize("shape", [(2, 4), (4, 2, 1), (8,), (5, 2), (0, 2), (4, 1)])
def test_wrong_shapes(sampler, shape):
    with pytest.raises(dmc.DmcShapeError, match=r"obs has the shape \(.*must be \(4,2\)"):
        sampler.sample(np.zeros(shape, np.float32))


def test_lists_are_converted_where_they_are_small(sampler, good, model):
    expected = sampler.sample(good)
    sampler.reset(0)
    assert np.array_equal(sampler.sample(good.tolist()), expected)
    with dmc.Sampler(model) as one:
        first = one.sample([0.5, 0.25])
        one.reset()
        assert first.shape == (1, 1) and np.array_equal(
            one.sample(np.array([[0.5, 0.25]], np.float32))[0], first
        )
    with pytest.raises(ValueError):
        sampler.sample(["a", "b"])


def test_large_arrays_are_not_converted(arrays):
    with pytest.raises(TypeError, match="obs must be a numpy array"):
        dmc.Dataset.from_arrays(arrays[0].tolist(), *arrays[1:])


def test_the_array_itself_is_read_and_results_are_new(sampler, good):
    kept = good.copy()
    a, b = sampler.sample(good), sampler.sample(good)
    assert np.array_equal(good, kept)
    assert a.shape == (4, 1, 1) and a.dtype == np.float32 and not np.shares_memory(a, b)
    held = a.copy()
    sampler.sample(good * 0)
    assert np.array_equal(a, held)


def test_out_is_filled_and_returned(sampler, good):
    expected = sampler.sample(good)
    sampler.reset(0)
    out = np.full((4, 1, 1), np.nan, np.float32)
    assert sampler.sample(good, out=out) is out and np.array_equal(out, expected)
    out.flags.writeable = False
    with pytest.raises(TypeError, match="read-only"):
        sampler.sample(good, out=out)
    with pytest.raises(TypeError, match="out must be of float32"):
        sampler.sample(good, out=np.zeros((4, 1, 1)))
    with pytest.raises(dmc.DmcShapeError, match="out"):
        sampler.sample(good, out=np.zeros((4, 1), np.float32))


@pytest.mark.parametrize(
    "n, words",
    [(2**31, "n = 2147483648 does not fit a signed integer of 32 bits"), (-(2**40), "signed")],
)
def test_integers_are_not_cut(critic, n, words):
    with pytest.raises(dmc.DmcRangeError, match=words):
        critic.step(n)


def test_seeds_are_unsigned(sampler):
    sampler.reset(2**64 - 1)
    for seed in (-1, 2**64):
        with pytest.raises(dmc.DmcRangeError, match="unsigned integer of 64 bits"):
            sampler.reset(seed)
    with pytest.raises(TypeError):
        sampler.reset(1.5)
