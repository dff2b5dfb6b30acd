"""_lib.py — find libdmc.so, check its version, declare its functions.

Looked for in this order: $LIBDMC (a file), beside this package, build/release of the source tree,
the system's loader path. Nothing is tried after a file that cannot be used: a wrong library is a
mistake to be told, not to be worked around.
"""

from __future__ import annotations

import os
from ctypes import CDLL
from pathlib import Path

from ._functions import FUNCTIONS
from ._version import MAJOR, MINOR, PATCH

SONAME = f"libdmc.so.{MAJOR}"


def _find() -> str:
    """Path of the library, or its bare name for the system's loader."""
    if given := os.environ.get("LIBDMC"):
        return given
    here = Path(__file__).resolve()
    for folder in (here.parent, here.parents[3] / "build" / "release"):
        if (folder / SONAME).exists():
            return str(folder / SONAME)
    return SONAME


def _check_version(library: CDLL, name: str) -> None:
    library.dmc_version.restype = FUNCTIONS["dmc_version"][0]
    version = library.dmc_version().decode()
    if version.split(".")[:2] != [str(MAJOR), str(MINOR)]:
        raise ImportError(
            f"{name} is libdmc {version}, this package is for {MAJOR}.{MINOR}.*: "
            "install the two together, or set LIBDMC to the path of the right library"
        )


def _load() -> CDLL:
    name = _find()
    try:
        library = CDLL(name)
        _check_version(library, name)
        for function, (result, *arguments) in FUNCTIONS.items():
            getattr(library, function).restype = result
            getattr(library, function).argtypes = arguments
    except AttributeError as error:
        raise ImportError(f"{name} is not libdmc {MAJOR}.{MINOR}.{PATCH}: {error}") from None
    except OSError as error:
        raise ImportError(
            f"libdmc cannot be loaded: {error}. "
            f"Set LIBDMC to the path of {SONAME}, or run make in the source tree"
        ) from None
    return library


lib = _load()
