"""context.py — threads and device, for objects that should not use the defaults."""

from __future__ import annotations

from typing import Optional

from ._handle import Handle, used_or_null
from ._lib import lib
from ._resource import InUse, Resource
from .options import Options, Value


class Context(Handle):
    """Options: libdmc.options.describe("context"), e.g. threads=4, device="ref64".

    May be shared by any number of objects and threads. Without a context an object runs on one
    thread of the CPU.
    """

    _destroy = "dmc_context_destroy"

    def __init__(self, **options: Value):
        super().__init__(lib.dmc_context_create, Options("context", options))

    @property
    def device(self) -> str:
        """Name of the device and instruction set, e.g. "cpu avx512"."""
        context = self._use()
        with InUse([context]):
            return str(lib.dmc_context_device(context), "utf-8")


def where(context: Optional[Context]) -> Optional[Resource]:
    """The `context` argument of a constructor, as C wants it."""
    return used_or_null("context", context, Context)
