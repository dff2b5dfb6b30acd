"""sampler.py — draw actions from a model."""

from __future__ import annotations

from ctypes import byref
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from ._arguments import Floats, Small, flags, floats, small_floats, text, u64, whole
from ._handle import Handle, used, used_or_null
from ._lib import lib
from ._records import SamplerInfo, SamplerParts
from ._resource import Resource
from .context import Context, where
from .critic import Critic
from .model import Model
from .options import Options, Value


def _pointer(resource: Optional[Resource]) -> Any:
    return None if resource is None else resource._as_parameter_


def _create(
    context: Any,
    model: Resource,
    critic: Optional[Resource],
    value: Optional[Resource],
    options: Options,
    out: Any,
) -> int:
    parts = SamplerParts(critic=_pointer(critic), value=_pointer(value))
    return lib.dmc_sampler_create_with(context, model, byref(parts), options, out)


class Sampler(Handle):
    """Takes all memory when it is made. One thread at a time; many samplers may share a model.

    Options: libdmc.options.describe("sampler"), e.g. sampler="ddim", steps=5, batch=8,
    candidates=16, select="greedy". `value`, a model of role value, is for guide="value"; `critic`
    for guide="critic" and for the choice among candidates.
    """

    _destroy = "dmc_sampler_destroy"
    _one_thread = True

    def __init__(
        self,
        model: Model,
        critic: Optional[Critic] = None,
        *,
        value: Optional[Model] = None,
        context: Optional[Context] = None,
        **options: Value,
    ):
        chosen = Options("sampler", options)
        super().__init__(
            _create,
            where(context),
            used("model", model, Model),
            used_or_null("critic", critic, Critic),
            used_or_null("value", value, Model),
            chosen,
        )
        self._made_with = self._use().needs
        horizon = int(chosen["horizon"]) or model.sizes.horizon
        self.sizes = model.sizes._replace(horizon=horizon)
        self.batch, self.candidate_count = int(chosen["batch"]), int(chosen["candidates"])

    def set_image(self, camera: str, pixels: NDArray[Any]) -> None:
        """Of a policy that sees: uint8 (batch,h,w,c), or (h,w,c) with batch = 1, for the next sample.

        Every sample needs one of every camera (Model.cameras); older frames are kept inside.
        """
        frames = flags("pixels", pixels, (-1, -1, -1, -1), (-1, -1, -1))
        self._call(lib.dmc_sampler_set_image, text("camera", camera), frames, frames.size)

    def sample(self, obs: Small, out: Optional[Floats] = None) -> Floats:
        """One control step: actions (batch,horizon,act_dim), in the dataset's units and limits.

        obs (batch,obs_dim) is the newest observation; older ones are kept inside. With batch = 1 it
        may be (obs_dim,), and the answer is (horizon,act_dim). `out` receives the actions in place
        of a new array. After a DmcNumericError (an observation or a result is not finite) `out` holds
        the last good actions and is safe to send.
        """
        s = self.sizes
        rows = [(self.batch, s.obs_dim)] + [(s.obs_dim,)] * (self.batch == 1)
        obs = small_floats("obs", obs, *rows)
        shape = (self.batch, s.horizon, s.act_dim)[2 - obs.ndim :]
        if out is None:
            out = np.empty(shape, np.float32)
        elif not floats("out", out, shape).flags.writeable:
            raise TypeError("out is read-only")
        self._call(lib.dmc_sampler_sample, obs, obs.size, out, out.size)
        return out

    def info(self) -> SamplerInfo:
        """Of the last sample call: steps, candidate chosen, clamped entries, Q, nanoseconds."""
        info = SamplerInfo()
        self._call(lib.dmc_sampler_get_info, byref(info))
        return info

    def plan(self, b: int = 0) -> Floats:
        """The chosen sample of condition b, (horizon,z_cols): a planner's has states, too."""
        out = np.empty((self.sizes.horizon, self.sizes.z_cols), np.float32)
        self._call(lib.dmc_sampler_plan, whole("b", b), out, out.size)
        return out

    def candidates(self) -> Floats:
        """All samples of the last call, (batch,candidates,horizon,columns)."""
        out = np.empty(
            (self.batch, self.candidate_count, self.sizes.horizon, self.sizes.z_cols), np.float32
        )
        self._call(lib.dmc_sampler_candidates, out, out.size)
        return out

    def reset(self, seed: int = 0) -> None:
        """Forget past observations and start the noise over with this seed."""
        self._call(lib.dmc_sampler_reset, u64("seed", seed))

    def rebind(self, model: Model) -> None:
        """Use the weights of another model of the same contract from now on."""

        def rebind(sampler: Resource, new: Resource) -> int:
            status: int = lib.dmc_sampler_rebind(sampler, new)
            if status >= 0:
                sampler.need(*self._made_with, new)  # the first model's network stays in use
            return status

        self._call(rebind, used("model", model, Model))

    @property
    def memory(self) -> int:
        """Bytes held, without the model, the critic and a context that others share."""
        return self._call(lib.dmc_sampler_memory)
