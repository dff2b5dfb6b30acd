"""_callbacks.py — Python functions called from C: their exceptions end the call and leave it."""

from __future__ import annotations

import signal
import threading
from typing import Any, Callable, Optional

import numpy as np

from ._arguments import Floats
from ._check import DmcShapeError


class Guard:
    """Carries an exception through C. Ctrl-C is one: Python could not raise it while C runs."""

    def __init__(self) -> None:
        self.error: Optional[BaseException] = None

    def wrap(self, prototype: Callable[..., Any], function: Callable[..., Any]) -> Any:
        """function as a C function pointer: returns an int, 0 for None, 1 after an exception."""

        def call(*arguments: Any) -> int:
            if self.error is not None:
                return 1
            try:
                return int(function(*arguments) or 0)
            except BaseException as error:
                self.error = error
                return 1

        return prototype(call)

    def run(self, function: Callable[..., int], *arguments: Any) -> int:
        """function(*arguments); what a callback raised is raised here."""
        in_main = threading.current_thread() is threading.main_thread()
        ours = in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if ours:
            signal.signal(signal.SIGINT, self._interrupt)
        try:
            status = function(*arguments)
        finally:
            if ours:
                signal.signal(signal.SIGINT, signal.default_int_handler)
        error, self.error = self.error, None
        if error is not None:
            raise error
        return status

    def _interrupt(self, number: int, frame: Any) -> None:
        """Raised here, the exception could fall between two callbacks and be lost.

        The second Ctrl-C is for a callback that hangs.
        """
        if self.error is not None:
            raise KeyboardInterrupt
        self.error = KeyboardInterrupt()


def copy_in(pointer: Any, *shape: int) -> Floats:
    """A new array with what C lends for the time of a call."""
    return np.ctypeslib.as_array(pointer, shape).copy()


def copy_out(pointer: Any, name: str, value: Any, *shape: int) -> None:
    """Write what a Python function returned to where C wants it."""
    array = np.asarray(value)
    if array.shape != shape:
        raise DmcShapeError(f"{name} has the shape {array.shape}, must be {shape}")
    np.copyto(np.ctypeslib.as_array(pointer, shape), array, casting="same_kind")
