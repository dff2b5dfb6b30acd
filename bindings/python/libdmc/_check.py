"""_check.py — a negative status becomes an exception.

One class per error of status.h, with the number and, as docstring, the text it has there. Each is a
DmcError and also the builtin that Python programs catch for such a failure. A test compares the
classes with the header.
"""

from __future__ import annotations

from ._lib import lib


class DmcError(Exception):
    """A call failed. The text names the function, the argument, its value and the bound."""

    status = 0

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would show the repr


class DmcArgumentError(DmcError, ValueError):
    """invalid argument"""

    status = -1


class DmcRangeError(DmcError, ValueError):
    """value out of range"""

    status = -2


class DmcShapeError(DmcError, ValueError):
    """sizes do not match"""

    status = -3


class DmcKeyError(DmcError, KeyError):
    """unknown option or name"""

    status = -4


class DmcOverflowError(DmcError, OverflowError):
    """size too large"""

    status = -5


class DmcMemoryError(DmcError, MemoryError):
    """out of memory"""

    status = -20


class DmcNotFoundError(DmcError, FileNotFoundError):
    """file or dataset not found"""

    status = -30


class DmcIOError(DmcError, OSError):
    """file could not be read or written"""

    status = -31


class DmcFormatError(DmcError, ValueError):
    """file is not in the expected format"""

    status = -32


class DmcCorruptError(DmcError, ValueError):
    """file is damaged"""

    status = -33


class DmcParseError(DmcError, ValueError):
    """text could not be parsed"""

    status = -34


class DmcDeviceError(DmcError, RuntimeError):
    """device failed or is not there"""

    status = -40


class DmcNumericError(DmcError, ArithmeticError):
    """a value became infinite or not a number"""

    status = -50


class DmcDivergedError(DmcError, ArithmeticError):
    """training diverged"""

    status = -51


class DmcStateError(DmcError, RuntimeError):
    """not possible in this state"""

    status = -60


class DmcCallbackError(DmcError, RuntimeError):
    """a user callback reported failure"""

    status = -61


class DmcDeadlineError(DmcError, TimeoutError):
    """the deadline had passed"""

    status = -62


ERRORS: dict[int, type[DmcError]] = {error.status: error for error in DmcError.__subclasses__()}
STOPPED = 1


def check(status: int) -> int:
    """The status of a success; the exception of a failure, with the library's sentence."""
    if status >= 0:
        return status
    error = ERRORS.get(status, DmcError)(lib.dmc_last_error().decode(errors="replace"))
    error.status = status
    raise error
