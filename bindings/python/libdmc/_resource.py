"""_resource.py — a C object, freed once: after its handle let go, and after all that uses it.

Python's own reference counts cannot promise that order: the garbage collector ends cycles,
tracebacks among them, in any order. So every C object knows its users: objects made with it, and
calls that it is an argument of.
"""

from __future__ import annotations

from ctypes import c_void_p
from threading import RLock
from typing import Any, Callable, ClassVar, Iterable, Optional

from ._check import DmcStateError


class Resource:
    """Passed to C as its pointer; `needs` must outlive it, `texts` are strings it may read."""

    __slots__ = ("_as_parameter_", "_destroy", "needs", "_users", "_released", "texts")
    _lock: ClassVar[RLock] = (
        RLock()
    )  # of a few instructions; reentrant, for the garbage collector may run in them

    def __init__(
        self,
        pointer: c_void_p,
        destroy: Callable[[c_void_p], None],
        needs: Iterable[Resource],
        texts: Any = None,
    ):
        self._as_parameter_: Optional[c_void_p] = pointer
        self._destroy = destroy
        self.needs: tuple[Resource, ...] = ()
        self._users: set[int] = set()
        self._released = False
        self.texts = texts
        self.need(*needs)

    def need(self, *others: Resource) -> None:
        """Use these from now on, instead of those before."""
        before, self.needs = self.needs, others
        for other in others:
            other.hold(self)
        for other in before:
            if other not in others:
                other.drop(self)

    def hold(self, user: object) -> None:
        """Not to be freed before drop(user)."""
        with self._lock:
            if self._as_parameter_ is None:
                raise DmcStateError("an object that this call needs was closed by another thread")
            self._users.add(id(user))

    def drop(self, user: object) -> None:
        """The end of hold(user)."""
        with self._lock:
            self._users.discard(id(user))
        self._free_if_unused()

    def release(self) -> None:
        """The handle is closed: free the object now, or with the last drop."""
        self._released = True
        self._free_if_unused()

    def _free_if_unused(self) -> None:
        with self._lock:
            if self._users or not self._released:
                return
            pointer, self._as_parameter_ = self._as_parameter_, None
        if pointer is not None:
            self._destroy(pointer)
            self.need()


class InUse:
    """with InUse(arguments): the resources among them are not freed meanwhile."""

    __slots__ = ("_held",)

    def __init__(self, arguments: Iterable[Any]):
        self._held = [argument for argument in arguments if isinstance(argument, Resource)]

    def __enter__(self) -> None:
        try:
            for resource in self._held:
                resource.hold(self)
        except DmcStateError:
            self.__exit__()
            raise

    def __exit__(self, *exception: object) -> None:
        for resource in self._held:
            resource.drop(self)
