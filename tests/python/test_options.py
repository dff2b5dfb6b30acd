"""Options by name: nothing of a struct is known in Python."""

import gc

import numpy as np
import pytest

import libdmc as dmc
from libdmc.options import KINDS, Options, describe


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_what_the_table_says(kind):
    options = Options(kind, {})
    table = describe(kind)
    assert table
    for key, option in table.items():
        if option.type in ("string", "enum"):
            assert options[key] == option.initial
        else:
            assert float(options[key]) == float(option.initial)


def test_describe():
    option = describe("sampler")["sampler"]
    assert (option.type, option.choices[:3], option.initial) == ("enum", ("ddpm", "ddim", "euler"), "auto")
    assert describe("sampler")["eta"][-2:] == (0, 1) and describe("sampler")["eta"].doc
    with pytest.raises(dmc.DmcArgumentError, match="modle.*context dataset model"):
        describe("modle")


@pytest.mark.parametrize(
    "key, value, text",
    [
        ("horizon", 8, "8"),
        ("horizon", np.int64(8), "8"),
        ("clip", 0.1, "0.1"),
        ("clip", np.float32(0.5), "0.5"),
        ("clip", 1e-5, "1e-05"),
        ("clip", 3, "3"),
        ("seed", 2**64 - 1, str(2**64 - 1)),
        ("network", "unet1d_janner", "unet1d_janner"),
        ("mult", "1,2", "1,2"),
        ("mult", (1, 2, 4), "1,2,4"),
        ("horizon", True, "1"),
    ],
)
def test_values(key, value, text):
    assert Options("model", {key: value})[key] == text


@pytest.mark.parametrize(
    "values, error, words",
    [
        ({"horizn": 4}, dmc.DmcKeyError, 'no option "horizn", did you mean "horizon"'),
        ({"network": "idql_mpl"}, dmc.DmcKeyError, 'did you mean "idql_mlp"'),
        ({"horizon": 0}, dmc.DmcRangeError, "horizon = 0, must be .*1024"),
        ({"horizon": 2**40}, dmc.DmcRangeError, "horizon = 1099511627776"),
        ({"horizon": 1.5}, dmc.DmcParseError, "horizon.*whole number"),
        ({"clip": float("nan")}, dmc.DmcParseError, "clip.*nan"),
        ({"horizon": None}, TypeError, "horizon must be a number, a text or a list"),
        ({"horizon": np.zeros(2)}, TypeError, "horizon must be"),
        ({"network": "idql\0mlp"}, ValueError, "null byte"),
    ],
)
def test_refused_values(dataset, values, error, words):
    with pytest.raises(error, match=words):
        dmc.Model.create(dataset, **values)


def test_texts_live_as_long_as_the_struct():
    options = Options("align", {"lora_targets": "".join(["affine", "_in*"])})
    gc.collect()
    filler = [f"another text {i}" for i in range(1000)]
    assert options["lora_targets"] == "affine_in*" and filler


def test_long_texts_come_back_whole():
    long = ",".join(["layer*"] * 200)
    assert Options("align", {"lora_targets": long})["lora_targets"] == long


def test_context():
    with dmc.Context(device="ref64", threads=2) as context:
        assert context.device.startswith("ref64")
    with pytest.raises(dmc.DmcKeyError, match="device"):
        dmc.Context(device="toaster")
