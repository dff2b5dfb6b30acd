"""dataset.py — trajectories: what a controller saw, did and was paid."""

from __future__ import annotations

from ctypes import POINTER, byref, c_float, c_int32
from typing import Any, NamedTuple, Optional

from numpy.typing import NDArray

from ._arguments import Floats, Path, flags, floats, path, text, whole
from ._callbacks import copy_in
from ._handle import Handle
from ._lib import lib
from ._records import DatasetInfo
from ._resource import Resource
from .context import Context, where
from .options import Options, Value


class Episode(NamedTuple):
    """Rows of one episode, in the dataset's units: obs (len,S), act (len,A), rew (len,)."""

    obs: Floats
    act: Floats
    rew: Floats


class Dataset(Handle):
    """Made by Dataset.open or Dataset.from_arrays. Read-only, may be shared by threads.

    Options: libdmc.options.describe("dataset"), e.g. reward="range", held_out=0.1.
    """

    _destroy = "dmc_dataset_destroy"

    def __init__(self) -> None:
        raise TypeError("use Dataset.open or Dataset.from_arrays")

    @classmethod
    def open(cls, file: Path, *, context: Optional[Context] = None, **options: Value) -> Dataset:
        """Read an HDF5 file in the D4RL layout; files are not trusted.

        Datasets: observations (n,S), actions (n,A), rewards, terminals, and timeouts if there.
        """
        return cls._make(
            lib.dmc_dataset_open, where(context), path(file), Options("dataset", options)
        )

    @classmethod
    def from_arrays(
        cls,
        obs: Floats,
        act: Floats,
        rew: Floats,
        terminals: NDArray[Any],
        timeouts: Optional[NDArray[Any]] = None,
        *,
        context: Optional[Context] = None,
        **options: Value,
    ) -> Dataset:
        """Copy arrays: obs (n,S), act (n,A), rew (n,); terminals, timeouts (n,) of bool or uint8.

        Episodes end at a terminal, a timeout or the end of the arrays.
        """
        n = len(floats("obs", obs, (-1, -1)))
        floats("act", act, (n, -1))
        floats("rew", rew, (n,))
        ends = flags("terminals", terminals, (n,))
        cuts = None if timeouts is None else flags("timeouts", timeouts, (n,))
        return cls._make(
            lib.dmc_dataset_create,
            where(context),
            n,
            whole("obs_dim", obs.shape[1]),
            whole("act_dim", act.shape[1]),
            obs,
            act,
            rew,
            ends,
            cuts,
            Options("dataset", options),
        )

    def add_images(self, camera: str, pixels: NDArray[Any]) -> None:
        """A camera more: uint8 (n,h,w,c), a frame per step. Before the dataset is used."""
        frames = flags("pixels", pixels, (-1, -1, -1, -1))
        size = [whole(name, n) for name, n in zip("hwc", frames.shape[1:])]
        self._call(
            lib.dmc_dataset_add_images, text("camera", camera), *size, frames, frames.size
        )

    def cameras(self) -> dict[str, tuple[int, int, int]]:
        """The size (h,w,c) of each camera's frames by name."""
        numbers, names = [c_int32() for _ in range(4)], []

        def list_cameras(dataset: Resource) -> int:
            status: int = lib.dmc_dataset_cameras(dataset, *map(byref, numbers))
            names.extend(
                lib.dmc_dataset_camera(dataset, i).decode() for i in range(numbers[0].value)
            )
            return status

        self._call(list_cameras)
        _, h, w, c = (number.value for number in numbers)
        return {name: (h, w, c) for name in names}

    def save(self, file: Path) -> None:
        """Write in the layout that open reads, atomically."""
        self._call(lib.dmc_dataset_save, path(file))

    def info(self) -> DatasetInfo:
        """Counts, widths, and returns per episode."""
        info = DatasetInfo()
        self._call(lib.dmc_dataset_get_info, byref(info))
        return info

    def episode(self, i: int) -> Episode:
        """Rows of episode i, as new arrays."""

        def copy_rows(dataset: Resource, i: int) -> int:
            out = [*map(byref, pointers), byref(length)]
            status: int = lib.dmc_dataset_episode(dataset, i, *out)
            if status >= 0:
                rows.extend(copy_in(p, length.value, *w) for p, w in zip(pointers, widths))
            return status

        rows: list[Floats] = []
        sizes, length = self.info(), c_int32()
        widths: list[tuple[int, ...]] = [(sizes.obs_dim,), (sizes.act_dim,), ()]
        pointers = [POINTER(c_float)() for _ in widths]
        self._call(copy_rows, whole("i", i))
        return Episode(*rows)

    def held_out(self, i: int) -> bool:
        """Is episode i kept for validation?"""
        held = c_int32()
        self._call(lib.dmc_dataset_is_held_out, whole("i", i), byref(held))
        return bool(held.value)
