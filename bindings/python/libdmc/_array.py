"""_array.py — numpy arrays as C pointers: the memory is passed as it is or not at all."""

from __future__ import annotations

from ctypes import c_void_p
from typing import Any

import numpy as np


class ArrayOf:
    """A parameter `T *` of a C function: takes an array of one dtype in C order, or None for NULL.

    ctypes keeps arguments alive until the call returns: the pointer never outlives its array.
    """

    def __init__(self, dtype: type):
        self.dtype = np.dtype(dtype)

    def check(self, name: str, array: Any) -> np.ndarray:
        """The array itself; a TypeError that says what to do if it cannot be passed as it is."""
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"{name} must be a numpy array of {self.dtype}, is a {type(array).__name__}"
            )
        if array.dtype != self.dtype:
            raise TypeError(
                f"{name} must be of {self.dtype}, is of {array.dtype}: "
                f"use {name}.astype('{self.dtype}')"
            )
        if not (array.flags.c_contiguous and array.flags.aligned):
            raise TypeError(
                f"{name} must be C-contiguous, has strides {array.strides}: "
                f"use numpy.ascontiguousarray({name})"
            )
        return array

    def from_param(self, array: np.ndarray | None) -> c_void_p | None:
        return None if array is None else c_void_p(self.check("array", array).ctypes.data)


FLOATS = ArrayOf(np.float32)
DOUBLES = ArrayOf(np.float64)
BYTES = ArrayOf(np.uint8)
