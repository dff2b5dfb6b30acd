"""_records.py — the structs that the library fills or reads once, and the types of its callbacks.

Options are not among them: they are set by name (options.py). tests/python/test_declarations.py
compares sizes and offsets with the C compiler.
"""

from __future__ import annotations

from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_float, c_int32, c_int64
from ctypes import c_size_t, c_uint32, c_uint64, c_void_p, sizeof
from typing import Annotated, Any, Callable, TypeVar, get_type_hints

Int = Annotated[int, c_int32]
Long = Annotated[int, c_int64]
Count = Annotated[int, c_uint64]
Real = Annotated[float, c_double]
Text = Annotated[bytes, c_char_p]
Pointer = Annotated[int, c_void_p]


class Record(Structure):
    """A struct that begins with its own size."""

    struct_size: int

    def __init__(self, **values: Any) -> None:
        super().__init__(struct_size=sizeof(self), **values)

    def asdict(self) -> dict[str, Any]:
        """The fields by name."""
        names = [
            name.lstrip("_")
            for name, *_ in self._fields_
            if name not in ("struct_size", "reserved0")
        ]
        return {name.rstrip("_"): getattr(self, name) for name in names}

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.asdict().items())
        return f"{type(self).__name__}({fields})"


R = TypeVar("R", bound=type[Record])


def record(cls: R) -> R:
    """Lay out the annotated attributes of a Record, in order, behind struct_size."""
    hints = get_type_hints(cls, include_extras=True)
    own = [
        (name, hints[name].__metadata__[0])
        for name in cls.__annotations__
        if hasattr(hints[name], "__metadata__")
    ]
    cls._fields_ = [("struct_size", c_uint32), *own]
    return cls


@record
class DatasetInfo(Record):
    """What Dataset.info returns: counts, and undiscounted returns per episode."""

    obs_dim: Int
    act_dim: Int
    episodes: Int
    held_out_episodes: Int
    longest: Int
    steps: Count
    return_mean: Real
    return_sd: Real
    return_min: Real
    return_max: Real


@record
class TrainMetrics(Record):
    """What Trainer.step returns: `step` counts all updates so far, `loss` is this call's mean."""

    step: Int
    loss: Real
    grad_norm: Real
    lr: Real
    seconds: Real


@record
class CriticMetrics(Record):
    """What Critic.step returns: losses are this call's means; q_mean, v_mean the last batch's."""

    step: Int
    q_loss: Real
    v_loss: Real
    q_mean: Real
    v_mean: Real
    seconds: Real


@record
class SamplerParts(Record):
    """What a sampler may use besides its model."""

    reserved0: Annotated[int, c_uint32]
    critic: Pointer
    value: Pointer
    inverse: Pointer


@record
class SamplerInfo(Record):
    """What Sampler.info returns: the last answer, and counts since the sampler was made or reset.

    `chosen` is -1 for the mean and held actions, `q` is NaN without a critic; `held` and `partial`
    are 0 or 1; from `calls` on all answers are counted.
    """

    steps: Int
    chosen: Int
    clamped: Int
    q: Real
    nanoseconds: Long
    planned: Int
    held: Int
    partial: Int
    reserved0: Int
    call: Count
    seed: Count
    calls: Long
    partials: Long
    holds: Long
    clampings: Long
    longest_step: Long


@record
class AlignProgress(Record):
    """What a progress function is given; NaN where the method has no such number."""

    update: Int
    updates: Int
    pass_: Int
    _stage: Text
    score: Real
    best: Real
    loss: Real
    kl: Real
    reward: Real
    seconds: Real
    grad_norm: Real
    loss_z: Real
    norm_ratio: Real
    lr_scale: Real
    kl_foundation: Real
    unlikely: Real
    spread: Real
    entropy: Real
    coherency: Real
    disagreement: Real

    @property
    def stage(self) -> str:
        """Of a sequence, or the method itself: rl, dpo, sft, cascade."""
        return self._stage.decode()

    @classmethod
    def of(cls, borrowed: AlignProgress) -> AlignProgress:
        """A copy of what C lends for one call, with a text of its own."""
        copy = cls.from_buffer_copy(borrowed)
        copy._stage = borrowed._stage
        return copy


@record
class AlignReport(Record):
    """What an alignment method achieved; `stopped`: the progress function ended it early.

    `end` tells why the last stage did: 1 its updates were done, 2 it converged, 3 it collapsed.
    """

    updates: Int
    rollbacks: Int
    accepted: Int
    before: Real
    after: Real
    before_se: Real
    after_se: Real
    kl: Real
    seconds: Real
    warnings: Int
    end: Int
    unlikely: Real
    spread: Real
    entropy: Real
    coherency: Real
    disagreement: Real

    stopped = False


@record
class OnlineReport(Record):
    """What Aligner.online achieved; `stopped`: the progress function ended it early.

    returns (rounds,episodes): of every episode that was collected. NaN: no evaluation.
    """

    rounds: Int
    _returns: Pointer
    steps: Long
    critic_updates: Long
    updates: Int
    rollbacks: Int
    restored: Int
    reserved0: Int
    before: Real
    before_se: Real
    after: Real
    after_se: Real
    q_loss: Real
    v_loss: Real
    kl: Real
    seconds: Real

    stopped = False
    returns: Any = None


class OptionInfo(Structure):
    """A row of a field table: options.describe makes an Option of it."""

    _fields_ = [
        ("key", c_char_p),
        ("doc", c_char_p),
        ("choices", c_char_p),
        ("initial", c_char_p),
        ("type", c_int32),
        ("reserved0", c_int32),
        ("min", c_double),
        ("max", c_double),
    ]


_floats = POINTER(c_float)
REWARD_FN = CFUNCTYPE(c_int32, c_void_p, c_size_t, _floats, _floats, _floats, _floats)
SCORE_FN = CFUNCTYPE(c_int32, c_void_p, c_void_p, POINTER(c_double), POINTER(c_double))
PAIRS_FN = CFUNCTYPE(c_int32, c_void_p, c_size_t, _floats, _floats, _floats)
SCORES_FN = CFUNCTYPE(c_int32, c_void_p, c_void_p, c_int32, POINTER(c_double))
PROGRESS_FN = CFUNCTYPE(c_int32, c_void_p, POINTER(AlignProgress))
RESET_FN = CFUNCTYPE(c_int32, c_void_p, c_int32, c_uint64, _floats)
STEP_FN = CFUNCTYPE(
    c_int32, c_void_p, c_int32, _floats, _floats, POINTER(c_double), POINTER(c_int32)
)


@record
class Env(Record):
    """dmc_env: the callbacks behind evaluate."""

    obs_dim: Int
    act_dim: Int
    max_steps: Int
    count: Int
    reserved0: Int
    user: Pointer
    reset: Annotated[Callable[..., int], RESET_FN]
    step: Annotated[Callable[..., int], STEP_FN]
