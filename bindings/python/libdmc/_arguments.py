"""_arguments.py — Python values as C arguments.

Checked here is what C cannot see: shapes, integers that would be cut, texts that would be cut.
"""

from __future__ import annotations

import operator
import os
from ctypes import c_int32, c_uint64, sizeof
from typing import Any, Sequence, Union

import numpy as np
from numpy.typing import NDArray

from ._array import BYTES, FLOATS
from ._check import DmcRangeError, DmcShapeError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Small = Union[Floats, Sequence[float], Sequence[Sequence[float]], float]
Path = Union[str, "os.PathLike[str]"]


def whole(name: str, value: Any, kind: type = c_int32) -> int:
    """An integer that fits the C type; ctypes itself would cut it."""
    number = operator.index(value)
    if kind(number).value != number:
        sign = "signed" if kind(-1).value < 0 else "unsigned"
        raise DmcRangeError(
            f"{name} = {number} does not fit a {sign} integer of {8 * sizeof(kind)} bits"
        )
    return number


def u64(name: str, value: Any) -> int:
    """An unsigned integer of 64 bits."""
    return whole(name, value, c_uint64)


def text(name: str, value: str | bytes) -> bytes:
    """A C string; a NUL inside would cut it."""
    raw = value.encode() if isinstance(value, str) else value
    if not isinstance(raw, bytes):
        raise TypeError(f"{name} must be a text, is a {type(value).__name__}")
    if b"\0" in raw:
        raise ValueError(f"{name} = {value!r} has a null byte")
    return raw


def path(value: Path) -> bytes:
    """The file's name as the system wants it."""
    return text("path", os.fsencode(value))


def shaped(name: str, array: NDArray[Any], *shapes: tuple[int, ...]) -> NDArray[Any]:
    """The array, if it has one of the shapes; -1 is any size."""
    for shape in shapes:
        if len(shape) == array.ndim and all(
            want in (-1, size) for want, size in zip(shape, array.shape)
        ):
            return array
    wanted = " or ".join(
        "(" + ",".join("any" if n < 0 else str(n) for n in shape) + ")" for shape in shapes
    )
    raise DmcShapeError(
        f"{name} has the shape ({','.join(map(str, array.shape))}), must be {wanted}"
    )


def floats(name: str, array: Any, *shapes: tuple[int, ...]) -> Floats:
    """A float32 array in C order of one of the shapes, as it is."""
    return shaped(name, FLOATS.check(name, array), *shapes)


def small_floats(name: str, value: Any, *shapes: tuple[int, ...]) -> Floats:
    """The same; numbers and lists, which are small, are converted."""
    if isinstance(value, (list, tuple, int, float, np.number)):
        value = np.array(value, np.float32)
    return floats(name, value, *shapes)


def flags(name: str, array: Any, *shapes: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array of bool or uint8 as bytes, without a copy."""
    if isinstance(array, np.ndarray) and array.dtype == np.bool_:
        array = array.view(np.uint8)
    return shaped(name, BYTES.check(name, array), *shapes)
