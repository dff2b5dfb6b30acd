"""sampler.py — draw actions from a model."""

from __future__ import annotations

from ctypes import byref, c_int32, c_size_t
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from ._arguments import Floats, Small, flags, floats, small_floats, text, u64, whole
from ._check import check
from ._handle import Handle, used, used_or_null
from ._lib import lib
from ._records import SamplerInfo, SamplerParts
from ._resource import InUse, Resource
from .context import Context, where
from .critic import Critic
from .model import Model
from .options import Options, Value


def _pointer(resource: Optional[Resource]) -> Any:
    return None if resource is None else resource._as_parameter_


def _parts(*parts: Optional[Resource]) -> SamplerParts:
    critic, value, inverse = map(_pointer, parts)
    return SamplerParts(critic=critic, value=value, inverse=inverse)


def _create(
    context: Any,
    model: Resource,
    critic: Optional[Resource],
    value: Optional[Resource],
    inverse: Optional[Resource],
    options: Options,
    out: Any,
) -> int:
    parts = _parts(critic, value, inverse)
    return lib.dmc_sampler_create_with(context, model, byref(parts), options, out)


class Sampler(Handle):
    """Takes all memory when it is made. One thread at a time; many samplers may share a model.

    Options: libdmc.options.describe("sampler"), e.g. sampler="ddim", steps=5, batch=8,
    candidates=16, select="greedy". `value`, a model of role value, is for guide="value"; `critic`
    for guide="critic" and for the choice among candidates. `inverse`, a model of role inverse, gives
    the actions of a planner with states_only, which needs it; their last row repeats the one before.
    """

    _destroy = "dmc_sampler_destroy"
    _one_thread = True

    def __init__(
        self,
        model: Model,
        critic: Optional[Critic] = None,
        *,
        value: Optional[Model] = None,
        inverse: Optional[Model] = None,
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
            used_or_null("inverse", inverse, Model),
            chosen,
        )
        self._made_with = self._use().needs
        horizon = int(chosen["horizon"]) or model.sizes.horizon
        self.sizes = model.sizes._replace(horizon=horizon)
        self.batch, self.candidate_count = int(chosen["batch"]), int(chosen["candidates"])
        self._begun = 2

    @staticmethod
    def size(
        model: Model,
        critic: Optional[Critic] = None,
        *,
        value: Optional[Model] = None,
        inverse: Optional[Model] = None,
        **options: Value,
    ) -> int:
        """Bytes that dmc_sampler_create_in needs for these, for controllers written in C."""
        bytes_ = c_size_t()
        arguments = (
            used("model", model, Model),
            used_or_null("critic", critic, Critic),
            used_or_null("value", value, Model),
            used_or_null("inverse", inverse, Model),
        )
        with InUse(arguments):
            parts = _parts(*arguments[1:])
            chosen = Options("sampler", options)
            check(lib.dmc_sampler_size(arguments[0], byref(parts), chosen, byref(bytes_)))
        return bytes_.value

    def set_image(self, camera: str, pixels: NDArray[Any]) -> None:
        """Of a policy that sees: uint8 (batch,h,w,c), or (h,w,c) with batch = 1, for the next sample.

        Every sample needs one of every camera (Model.cameras); older frames are kept inside.
        """
        frames = flags("pixels", pixels, (-1, -1, -1, -1), (-1, -1, -1))
        self._call(lib.dmc_sampler_set_image, text("camera", camera), frames, frames.size)

    def set_known(
        self, mask: Optional[NDArray[Any]] = None, values: Optional[Floats] = None
    ) -> None:
        """In-painting: what is known of the samples from the next answer on; without arguments nothing.

        mask: bool or uint8 (batch,horizon,columns), True where known; values: float32 of the same
        shape, in the dataset's units. With batch = 1 both may be (horizon,columns). Known entries come
        out of plan and candidates bit for bit; what is not known is not read. reset keeps them.
        """
        if (mask is None) != (values is None):
            raise TypeError("set_known takes mask and values, or neither")
        if mask is None or values is None:
            self._call(lib.dmc_sampler_set_known, None, None, 0)
            return
        rows = (self.sizes.horizon, self.sizes.z_cols)
        shapes = [(self.batch, *rows)] + [rows] * (self.batch == 1)
        known, at = flags("mask", mask, *shapes), floats("values", values, *shapes)
        self._call(lib.dmc_sampler_set_known, known, at, at.size)

    def sample(self, obs: Small, out: Optional[Floats] = None) -> Floats:
        """One control step: actions (batch,horizon,act_dim), in the dataset's units and limits.

        obs (batch,obs_dim) is the newest observation; older ones are kept inside. With batch = 1 it
        may be (obs_dim,), and the answer is (horizon,act_dim). `out` receives the actions in place
        of a new array. After a DmcNumericError (an observation or a result is not finite) `out` holds
        the last good actions and is safe to send.
        """
        obs = self._observation(obs)
        out = self._room(obs.ndim, out)
        self._call(lib.dmc_sampler_sample, obs, obs.size, out, out.size)
        return out

    def sample_until(self, obs: Small, seconds: float, out: Optional[Floats] = None) -> Floats:
        """The same, finished `seconds` from now: steps that would end too late are left out.

        Late by at most one denoising step. info().partial says whether steps were left out. With no
        time at all: DmcDeadlineError, and `out` holds the last good actions.
        """
        deadline = lib.dmc_clock_now() + round(min(max(float(seconds), -1e9), 1e9) * 1e9)
        obs = self._observation(obs)
        out = self._room(obs.ndim, out)
        self._call(lib.dmc_sampler_sample_until, obs, obs.size, deadline, out, out.size)
        return out

    def begin(self, obs: Small) -> None:
        """Begin an answer that is made by step and finish; what was begun before is given up."""
        obs = self._observation(obs)
        self._call(lib.dmc_sampler_begin, obs, obs.size)
        self._begun = obs.ndim

    def step(self) -> int:
        """One denoising step of all candidates; how many are left."""
        left = c_int32()
        self._call(lib.dmc_sampler_step, byref(left))
        return left.value

    def finish(self, out: Optional[Floats] = None) -> Floats:
        """The actions, after the first step at any time; shaped as the observation of begin was."""
        out = self._room(self._begun, out)
        self._call(lib.dmc_sampler_finish, out, out.size)
        return out

    def prefault(self) -> None:
        """Warm code and memory up on the calling thread, then reset."""
        self._call(lib.dmc_sampler_prefault)

    def _observation(self, obs: Small) -> Floats:
        s = self.sizes
        rows = [(self.batch, s.obs_dim)] + [(s.obs_dim,)] * (self.batch == 1)
        return small_floats("obs", obs, *rows)

    def _room(self, dims: int, out: Optional[Floats]) -> Floats:
        """For actions: without the batch where the observation had none."""
        shape = (self.batch, self.sizes.horizon, self.sizes.act_dim)[2 - dims :]
        if out is None:
            return np.empty(shape, np.float32)
        if not floats("out", out, shape).flags.writeable:
            raise TypeError("out is read-only")
        return out

    def info(self) -> SamplerInfo:
        """Of the last answer: steps, candidate chosen, Q, nanoseconds ...; counts since the reset."""
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
