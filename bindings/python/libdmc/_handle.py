"""_handle.py — what all objects of the package share: life, calls, and being an argument."""

from __future__ import annotations

from ctypes import byref, c_size_t, c_void_p, create_string_buffer
from threading import Lock
from typing import Any, Callable, ClassVar, Iterable, Optional, TypeVar

from ._check import DmcStateError, check
from ._lib import lib
from ._resource import InUse, Resource
from .options import Options

H = TypeVar("H", bound="Handle")


class Handle:
    """Close it, use it in `with`, or leave it to the garbage collector. close may be called twice.

    An object that others still use (a model with samplers) is freed after them, whatever the order
    of closing.
    """

    _destroy: ClassVar[str]
    _one_thread: ClassVar[bool] = False  # at a time, by the library's rules
    _resource: Optional[Resource] = None

    def __init__(
        self,
        create: Callable[..., int],
        *arguments: Any,
        needs: Optional[Iterable[Resource]] = None,
    ) -> None:
        """create(*arguments, &pointer).

        Unless told otherwise, the new object needs the resources among the arguments.
        """
        pointer = c_void_p()
        if needs is None:
            needs = [argument for argument in arguments if isinstance(argument, Resource)]
        with InUse((*arguments, *needs)):
            check(create(*arguments, byref(pointer)))
            texts = [argument for argument in arguments if isinstance(argument, Options)]
            self._busy = Lock() if self._one_thread else None
            self._resource = Resource(pointer, getattr(lib, self._destroy), needs, texts)

    @classmethod
    def _make(cls: type[H], create: Callable[..., int], *arguments: Any, **more: Any) -> H:
        """For classes whose own constructor is not for users."""
        self = cls.__new__(cls)
        Handle.__init__(self, create, *arguments, **more)
        return self

    @property
    def closed(self) -> bool:
        """True after close."""
        return self._resource is None

    def close(self) -> None:
        """Free the C object, as soon as nothing else uses it."""
        resource, self._resource = self._resource, None
        if resource is not None:
            resource.release()

    def __enter__(self: H) -> H:
        self._use()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<libdmc.{type(self).__name__}{' (closed)' if self.closed else ''}>"

    def _use(self) -> Resource:
        """The C object, or an exception if it is closed."""
        resource = self._resource
        if resource is None:
            raise DmcStateError(f"this {type(self).__name__} is closed")
        return resource

    def _call(self, function: Callable[..., int], *arguments: Any) -> int:
        """function(object, *arguments), checked.

        A second thread is refused where the library allows one.
        """
        arguments = (self._use(), *arguments)
        if self._busy is not None and not self._busy.acquire(blocking=False):
            raise DmcStateError(
                f"this {type(self).__name__} is in use: by another thread, "
                "or by the call that runs this callback"
            )
        try:
            with InUse(arguments):
                return check(self._run(function, *arguments))
        finally:
            if self._busy is not None:
                self._busy.release()

    def _run(self, function: Callable[..., int], *arguments: Any) -> int:
        return function(*arguments)

    def _text(self, function: Callable[..., int]) -> str:
        """What a _describe function writes."""
        need = c_size_t()
        self._call(function, None, 0, byref(need))
        buffer = create_string_buffer(need.value)
        self._call(function, buffer, need, None)
        return buffer.value.decode()


def used(name: str, value: Any, kind: type[Handle]) -> Resource:
    """The C object of an argument; C itself could not tell a model from a dataset."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a libdmc.{kind.__name__}, is a {type(value).__name__}")
    return value._use()


def used_or_null(name: str, value: Any, kind: type[Handle]) -> Optional[Resource]:
    """The same for an argument that may be None."""
    return None if value is None else used(name, value, kind)
