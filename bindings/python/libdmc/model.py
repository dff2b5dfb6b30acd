"""model.py — a diffusion model for control: network, noise process, normaliser, contract."""

from __future__ import annotations

import json
from ctypes import byref, c_int32
from functools import partial
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from ._arguments import Doubles, Floats, Path, floats, path, text
from ._handle import Handle, used
from ._lib import lib
from ._resource import Resource
from .context import Context, where
from .dataset import Dataset
from .options import Options, Value


class Sizes(NamedTuple):
    """A sample z is (horizon, z_cols); a policy's condition is n_obs observations."""

    horizon: int
    z_cols: int
    n_obs: int
    obs_dim: int
    act_dim: int


class Model(Handle):
    """Made by Model.create or Model.load, or published by a Trainer or an Aligner.

    A policy draws actions (horizon,act_dim) given observations; a planner draws rows
    [state | action], (horizon,obs_dim+act_dim). May be shared by samplers and threads.
    Options: libdmc.options.describe("model"), e.g. role="planner", horizon=32.
    """

    _destroy = "dmc_model_destroy"
    _context: Optional[Resource]

    def __init__(self) -> None:
        raise TypeError("use Model.create or Model.load")

    @classmethod
    def create(
        cls, dataset: Dataset, *, context: Optional[Context] = None, **options: Value
    ) -> Model:
        """An untrained model: widths, normaliser and action limits come from the data."""
        place = where(context)
        return cls._in(
            place,
            lib.dmc_model_create,
            place,
            used("dataset", dataset, Dataset),
            Options("model", options),
        )

    @classmethod
    def load(cls, file: Path, *, context: Optional[Context] = None) -> Model:
        """Read a model file; its digest is checked first."""
        place = where(context)
        return cls._in(place, lib.dmc_model_load, place, path(file))

    def save(self, file: Path) -> None:
        """Write weights and contract, atomically; any safetensors reader can open the file."""
        self._call(lib.dmc_model_save, path(file))

    def clone(self) -> Model:
        """An independent copy."""
        return Model._in(self._context, partial(self._call, lib.dmc_model_clone))

    @classmethod
    def _in(cls, context: Optional[Resource], create: Callable[..., int], *arguments: Any) -> Model:
        """A model needs nothing of what it was made from but the context; its copies share it."""
        model = cls._make(create, *arguments, needs=() if context is None else (context,))
        model._context = context
        return model

    def describe(self) -> dict[str, Any]:
        """The whole contract."""
        contract: dict[str, Any] = json.loads(self._text(lib.dmc_model_describe))
        return contract

    @property
    def sizes(self) -> Sizes:
        """Of a sample, the condition, one observation and one action."""
        numbers = [c_int32() for _ in Sizes._fields]
        self._call(lib.dmc_model_sizes, *map(byref, numbers))
        return Sizes(*(number.value for number in numbers))

    @property
    def cameras(self) -> dict[str, tuple[int, int, int]]:
        """Of a policy that sees: the size (h,w,c) of each camera's frames by name; else empty."""
        numbers, names = [c_int32() for _ in range(4)], []

        def list_cameras(model: Resource) -> int:
            status: int = lib.dmc_model_cameras(model, *map(byref, numbers))
            names.extend(lib.dmc_model_camera(model, i).decode() for i in range(numbers[0].value))
            return status

        self._call(list_cameras)
        _, h, w, c = (number.value for number in numbers)
        return {name: (h, w, c) for name in names}

    @property
    def parameters(self) -> int:
        """Number of network parameters."""
        return self._call(lib.dmc_model_parameters)

    @property
    def memory(self) -> int:
        """Bytes held, without a context that others share."""
        return self._call(lib.dmc_model_memory)

    def forward(self, z: Floats, t: Floats, cond: Optional[Floats] = None) -> Floats:
        """The network alone, f(z, t, cond), in normalised units.

        z (B,horizon,z_cols); t (B,), 0..T-1; cond (B,n_obs*obs_dim) for a policy, in each row
        followed by n_obs frames of every camera as numbers from -1 to 1; (B,2) for a planner with
        returns, (return, 1) or (0, 0); None for other planners.
        Returns (B,horizon,z_cols), of role value (B,), of role inverse (B,act_dim).
        """
        sizes, role = self.sizes, self.describe()["role"]
        batch = len(floats("z", z, (-1, sizes.horizon, sizes.z_cols)))
        floats("t", t, (batch,))
        if cond is not None:
            frame = sum(h * w * c for h, w, c in self.cameras.values())
            width = sizes.n_obs * (sizes.obs_dim + frame)
            floats("cond", cond, (batch, 2 if self.describe()["returns"] else width))
        regressed = {"value": (batch,), "inverse": (batch, sizes.act_dim)}
        out = np.empty(regressed.get(role, z.shape), np.float32)
        self._call(lib.dmc_model_forward, batch, z, t, cond, out)
        return out

    def likelihood(self, z: Floats, obs: Optional[Floats] = None, **options: Value) -> Doubles:
        """How likely samples are: nats per entry that is not known, of the normalised sample.

        z (B,horizon,z_cols) in dataset units. obs for a policy (B,n_obs*obs_dim), oldest first, in
        each row followed by n_obs frames of every camera as numbers from -1 to 1; for a planner
        (B,obs_dim), the current state, or None where z has it in row 0. Returns (B,) of float64.
        Options: libdmc.options.describe("likelihood"), e.g. method="flow_exact", steps=50.
        """
        sizes = self.sizes
        batch = len(floats("z", z, (-1, sizes.horizon, sizes.z_cols)))
        if obs is not None:
            frame = sum(h * w * c for h, w, c in self.cameras.values())
            floats("obs", obs, (batch, sizes.n_obs * (sizes.obs_dim + frame)))
        out = np.empty(batch, np.float64)
        self._call(lib.dmc_likelihood, Options("likelihood", options), batch, obs, z, out)
        return out

    def tensor_names(self) -> list[str]:
        """PyTorch names, in the model file's order."""
        names: list[str] = []

        def list_names(model: Resource) -> int:
            names.extend(
                lib.dmc_model_tensor_name(model, i).decode()
                for i in range(lib.dmc_model_tensor_count(model))
            )
            return 0

        self._call(list_names)
        return names

    def tensors(self) -> dict[str, Floats]:
        """Copies of all weights by name."""
        return {name: self.get_tensor(name) for name in self.tensor_names()}

    def tensor_shape(self, name: str) -> tuple[int, ...]:
        """The shape PyTorch would have."""
        rank, shape = c_int32(), (c_int32 * 4)()
        self._call(lib.dmc_model_tensor_sizes, text("name", name), byref(rank), shape)
        return tuple(shape[: rank.value])

    def get_tensor(self, name: str) -> Floats:
        """A copy of one tensor."""
        out = np.empty(self.tensor_shape(name), np.float32)
        self._call(lib.dmc_model_get_tensor, text("name", name), out, out.size)
        return out

    def set_tensor(self, name: str, values: Floats) -> None:
        """Replace one tensor; not while another thread uses the model."""
        floats("values", values, self.tensor_shape(name))
        self._call(lib.dmc_model_set_tensor, text("name", name), values, values.size)
