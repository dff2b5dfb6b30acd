"""libdmc — train, sample and reward-align diffusion models for control.

    import libdmc as dmc
    with dmc.Model.load("policy.dmc") as model, dmc.Sampler(model) as sampler:
        actions = sampler.sample(observation)          # (horizon, act_dim)

Arrays are C-contiguous float32 and passed as they are; results are new arrays. Options are
keywords, listed by dmc.options.describe. Failures are exceptions derived from DmcError. Every object
has close and works in `with`.
"""

from . import _lib, options
from ._check import (
    DmcArgumentError,
    DmcCallbackError,
    DmcCorruptError,
    DmcDeadlineError,
    DmcDeviceError,
    DmcDivergedError,
    DmcError,
    DmcFormatError,
    DmcIOError,
    DmcKeyError,
    DmcMemoryError,
    DmcNotFoundError,
    DmcNumericError,
    DmcOverflowError,
    DmcParseError,
    DmcRangeError,
    DmcShapeError,
    DmcStateError,
)
from ._records import (
    AlignProgress,
    AlignReport,
    CriticMetrics,
    DatasetInfo,
    OnlineReport,
    SamplerInfo,
    TrainMetrics,
)
from .aligner import Aligner
from .context import Context
from .critic import Critic
from .dataset import Dataset
from .env import CUT, Env, collect, evaluate
from .model import Model
from .replay import Replay, Transitions
from .sampler import Sampler
from .synth import Synth
from .trainer import Trainer

__version__: str = _lib.lib.dmc_version().decode()
__all__ = [
    "AlignProgress",
    "AlignReport",
    "Aligner",
    "CUT",
    "Context",
    "Critic",
    "CriticMetrics",
    "Dataset",
    "DatasetInfo",
    "DmcArgumentError",
    "DmcCallbackError",
    "DmcCorruptError",
    "DmcDeadlineError",
    "DmcDeviceError",
    "DmcDivergedError",
    "DmcError",
    "DmcFormatError",
    "DmcIOError",
    "DmcKeyError",
    "DmcMemoryError",
    "DmcNotFoundError",
    "DmcNumericError",
    "DmcOverflowError",
    "DmcParseError",
    "DmcRangeError",
    "DmcShapeError",
    "DmcStateError",
    "Env",
    "Model",
    "OnlineReport",
    "Replay",
    "Sampler",
    "SamplerInfo",
    "Synth",
    "TrainMetrics",
    "Trainer",
    "Transitions",
    "collect",
    "evaluate",
    "options",
]
