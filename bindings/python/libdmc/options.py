"""options.py — options by name, as the library lists them; no struct's layout is known here.

>>> libdmc.options.describe("sampler")["eta"]
Option(key='eta', doc='ddim: noise, from 0 (deterministic) to 1 (as ddpm)', ...)
"""

from __future__ import annotations

import numbers
from ctypes import addressof, byref, c_uint64, create_string_buffer
from typing import NamedTuple, Sequence, Union

from ._arguments import text
from ._check import DmcArgumentError, DmcRangeError, DmcShapeError, check
from ._lib import lib
from ._records import OptionInfo

Value = Union[str, int, float, bool, Sequence[Union[str, int, float]]]

KINDS = {
    "context": 1,
    "dataset": 2,
    "model": 3,
    "train": 4,
    "critic": 5,
    "sampler": 6,
    "align": 7,
    "rl": 8,
    "dpo": 9,
    "sft": 10,
    "cascade": 11,
    "sequence": 12,
    "likelihood": 13,
    "online": 14,
    "synth": 15,
}
TYPES = {1: "int32", 2: "uint64", 3: "double", 4: "string", 5: "enum"}


class Option(NamedTuple):
    """One option: numbers have bounds (inclusive), enumerations have choices."""

    key: str
    doc: str
    choices: tuple[str, ...]
    initial: str
    type: str
    min: float
    max: float


def describe(kind: str) -> dict[str, Option]:
    """The options of a kind ("model", "sampler", "rl" ...) in their order."""
    rows: dict[str, Option] = {}
    info = OptionInfo()
    while True:
        try:
            check(lib.dmc_options_describe(number_of(kind), len(rows), byref(info)))
        except DmcRangeError:
            return rows
        option = Option(
            info.key.decode(),
            info.doc.decode(),
            tuple(info.choices.decode().split()),
            info.initial.decode(),
            TYPES[info.type],
            info.min,
            info.max,
        )
        rows[option.key] = option


def number_of(kind: str) -> int:
    """The library's number of a kind."""
    if kind not in KINDS:
        raise DmcArgumentError(f"there are no options of the kind {kind!r}, but: {' '.join(KINDS)}")
    return KINDS[kind]


def _to_text(key: str, value: Value) -> str:
    """A number, text or list as a YAML file would have it."""
    if isinstance(value, str):
        return value
    if isinstance(value, numbers.Integral):  # also bool and numpy's integers
        return str(int(value))
    if isinstance(value, numbers.Real):
        return repr(float(value))
    if isinstance(value, (list, tuple)):
        return ",".join(_to_text(key, item) for item in value)
    raise TypeError(
        f"option {key} must be a number, a text or a list of them, is a {type(value).__name__}"
    )


class Options:
    """An options struct, passed to C as its address, with the texts it points to."""

    def __init__(self, kind: str, values: dict[str, Value]):
        self.kind = number_of(kind)
        self._memory = (c_uint64 * ((lib.dmc_options_size(self.kind) + 7) // 8))()
        self._as_parameter_ = addressof(self._memory)
        self._texts: list[bytes] = []
        check(lib.dmc_options_init(self.kind, self))
        for key, value in values.items():
            self._texts.append(text(key, _to_text(key, value)))
            check(lib.dmc_options_set(self.kind, self, text("option", key), self._texts[-1]))

    def __getitem__(self, key: str) -> str:
        """The value of an option, given or default."""
        size = 64
        while True:
            buffer = create_string_buffer(size)
            try:
                check(lib.dmc_options_get(self.kind, self, text("option", key), buffer, size))
                return buffer.value.decode()
            except DmcShapeError:
                size *= 4
