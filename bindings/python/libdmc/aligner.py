"""aligner.py — move a model towards a reward without leaving what it knows."""

from __future__ import annotations

from ctypes import byref, c_void_p
from functools import partial
from typing import Any, Callable, Mapping, Optional, Union

import numpy as np

from ._arguments import Floats, Path, path
from ._callbacks import Guard, copy_in, copy_out
from ._check import STOPPED
from ._handle import Handle, used, used_or_null
from ._lib import lib
from ._records import PAIRS_FN, PROGRESS_FN, REWARD_FN, SCORE_FN, SCORES_FN
from ._records import AlignProgress, AlignReport, OnlineReport
from ._resource import Resource
from .context import Context, where
from .critic import Critic
from .dataset import Dataset
from .env import Env, callbacks_of
from .model import Model
from .options import Options, Value
from .replay import Replay

Reward = Callable[[Floats, Floats, bool], Union[Floats, tuple[Floats, Floats]]]
Score = Callable[[Model], Union[float, tuple[float, float]]]
Pairs = Callable[[Floats], Union[tuple[Floats, Floats], tuple[Floats, Floats, Floats]]]
Scores = Callable[[Model], Floats]
Progress = Callable[[AlignProgress], Any]
Settings = Optional[Mapping[str, Value]]


class Aligner(Handle):
    """Holds an adapter over a frozen model and trains it by reinforcement (rl), preferences (dpo),
    best samples (sft), a second network (cascade), or several of them in passes (sequence).

    Rewards come from the critic or from set_reward. Each method starts from the adapter as it is,
    keeps the best weights and returns an AlignReport. An exception in a callback, Ctrl-C too, ends
    the method and is raised by it. Options: libdmc.options.describe("align"); of the methods "rl",
    "dpo", "sft", "cascade", "sequence".
    """

    _destroy = "dmc_aligner_destroy"
    _one_thread = True

    def __init__(
        self,
        model: Model,
        dataset: Dataset,
        critic: Optional[Critic] = None,
        *,
        context: Optional[Context] = None,
        **options: Value,
    ):
        super().__init__(
            lib.dmc_aligner_create,
            where(context),
            used("model", model, Model),
            used("dataset", dataset, Dataset),
            used_or_null("critic", critic, Critic),
            Options("align", options),
        )
        self._made_with = self._use().needs
        self._more: dict[str, list[Resource]] = {}
        self._context = model._context
        self._sizes, self._planner = model.sizes, model.describe()["role"] == "planner"
        self._guard = Guard()
        self._callbacks: dict[str, Any] = {}
        self.set_progress(None)

    def _run(self, function: Callable[..., int], *arguments: Any) -> int:
        return self._guard.run(function, *arguments)

    # ---- callbacks

    def set_reward(self, function: Optional[Reward], gradient: bool = False) -> None:
        """function(z, obs, want_grad) -> r (n,), or (r, dr/dz) if want_grad; None: the critic.

        z (n,horizon,columns) are samples, obs (n,n_obs*obs_dim) their conditions (a planner's first
        state), both in the dataset's units. gradient=True promises the derivative, without which
        rl(method="qvpg") is refused.
        """
        call = None if function is None else self._reward(function)
        self._set("reward", lib.dmc_aligner_set_reward, REWARD_FN, call, int(gradient))

    def set_coherency(self, function: Optional[Callable[[Floats, Floats], Floats]]) -> None:
        """function(z, obs) -> coherency (n,) of samples, whose mean every evaluation reports.

        z and obs are as in set_reward. None: none.
        """
        call = None
        if function is not None:
            call = self._reward(lambda z, obs, want_grad: function(z, obs))
        self._set("coherency", lib.dmc_aligner_set_coherency, REWARD_FN, call)

    def _reward(self, function: Reward) -> Callable[..., None]:
        s = self._sizes
        condition = s.obs_dim if self._planner else s.n_obs * s.obs_dim

        def call(_: Any, n: int, z: Any, obs: Any, r: Any, grad: Any) -> None:
            samples, conditions = copy_in(z, n, s.horizon, s.z_cols), copy_in(obs, n, condition)
            result = function(samples, conditions, bool(grad))
            values, slope = result if isinstance(result, tuple) else (result, None)
            copy_out(r, "the reward", values, n)
            if grad:
                copy_out(grad, "the gradient of the reward", slope, n, s.horizon, s.z_cols)

        return call

    def set_score(self, function: Optional[Score]) -> None:
        """function(model) -> score, or (mean, standard error); higher is better.

        None: the reward on a fixed bank of conditions.
        """
        call = None if function is None else self._score(function)
        self._set("score", lib.dmc_aligner_set_score, SCORE_FN, call)

    def _score(self, function: Score) -> Callable[..., None]:
        context = self._context

        def call(_: Any, borrowed: int, mean: Any, se: Any) -> None:
            # The model is only lent: give away a copy, which may outlive the call.
            result = function(Model._in(context, lib.dmc_model_clone, c_void_p(borrowed)))
            mean[0], se[0] = map(float, result if isinstance(result, tuple) else (result, 0))

        return call

    def set_pairs(self, function: Optional[Pairs]) -> None:
        """function(obs) -> (win, lose), or (win, lose, obs) with other conditions: what
        dpo(pairs="callback") learns from.

        obs (n,n_obs*obs_dim) are conditions of the dataset (a planner's first state), win and lose
        (n,horizon,columns) the better and the worse sample, all in the dataset's units.
        """
        call = None if function is None else self._pairs(function)
        self._set("pairs", lib.dmc_aligner_set_pairs, PAIRS_FN, call)

    def _pairs(self, function: Pairs) -> Callable[..., None]:
        s = self._sizes
        width = s.obs_dim if self._planner else s.n_obs * s.obs_dim

        def call(_: Any, n: int, obs: Any, win: Any, lose: Any) -> None:
            better, worse, *conditions = function(copy_in(obs, n, width))
            copy_out(win, "the winners", better, n, s.horizon, s.z_cols)
            copy_out(lose, "the losers", worse, n, s.horizon, s.z_cols)
            if conditions:
                copy_out(obs, "the conditions", conditions[0], n, width)

        return call

    def set_scores(self, function: Optional[Scores], episodes: int = 0) -> None:
        """function(model) -> scores (episodes,), of the same episodes every time.

        In place of set_score: differences are then taken episode by episode. None: as if there
        were no such function.
        """
        call = None if function is None else self._scores(function)
        self._set("scores", lib.dmc_aligner_set_scores, SCORES_FN, call, episodes)

    def _scores(self, function: Scores) -> Callable[..., None]:
        context = self._context

        def call(_: Any, borrowed: int, n: int, scores: Any) -> None:
            model = Model._in(context, lib.dmc_model_clone, c_void_p(borrowed))
            copy_out(scores, "the scores", function(model), n)

        return call

    def set_progress(self, function: Optional[Progress]) -> None:
        """function(progress) after every update.

        A true result stops the method, which keeps the best weights so far.
        """

        def call(_: Any, progress: Any) -> bool:
            return function is not None and bool(function(AlignProgress.of(progress.contents)))

        self._set("progress", lib.dmc_aligner_set_progress, PROGRESS_FN, call)

    def set_judge(self, judge: Optional[Critic]) -> None:
        """A critic that has not seen the other's episodes, which the score is then of.

        split="first_half" makes one that trains, split="second_half" one that judges. A score
        callback goes before it; None: the score is of the reward.
        """
        resource = used_or_null("judge", judge, Critic)
        self._call(lib.dmc_aligner_set_judge, resource)
        self._need("judge", resource)

    def set_ledger(self, file: Optional[Path]) -> None:
        """Append every evaluation and decision to this file, a JSON object per line; None: no more."""
        self._call(lib.dmc_aligner_set_ledger, None if file is None else path(file))

    def _set(self, name: str, setter: Any, prototype: Any, call: Any, *more: int) -> None:
        """Give C a callback, or NULL for None; then let go of the one before."""
        callback = prototype() if call is None else self._guard.wrap(prototype, call)
        self._call(setter, callback, None, *more)
        self._callbacks[name] = callback

    def set_inverse(self, inverse: Optional[Model]) -> None:
        """The model of role inverse through which the critic judges a planner with states_only."""
        resource = used_or_null("inverse", inverse, Model)
        self._call(lib.dmc_aligner_set_inverse, resource)
        self._need("inverse", resource)

    def _need(self, role: str, resource: Optional[Resource]) -> None:
        """Another object that must outlive this one, in place of the one before in that role."""
        self._more[role] = [] if resource is None else [resource]
        self._use().need(*self._made_with, *(r for one in self._more.values() for r in one))

    # ---- methods

    def rl(self, **options: Value) -> AlignReport:
        """Policy gradients over the last denoising steps: method="qvpg", "ppo" or "reinforce"."""
        return self._align(lib.dmc_align_rl, Options("rl", options))

    def dpo(self, **options: Value) -> AlignReport:
        """Preferences between the best and the worst of a pool of candidates."""
        return self._align(lib.dmc_align_dpo, Options("dpo", options))

    def sft(self, **options: Value) -> AlignReport:
        """Supervised fine-tuning on the best of a pool of candidates."""
        return self._align(lib.dmc_align_sft, Options("sft", options))

    def cascade(self, **options: Value) -> AlignReport:
        """A second network that improves the samples of the first."""
        return self._align(lib.dmc_align_cascade, Options("cascade", options))

    def sequence(
        self,
        *,
        rl_options: Settings = None,
        dpo_options: Settings = None,
        sft_options: Settings = None,
        cascade_options: Settings = None,
        **options: Value,
    ) -> AlignReport:
        """Several methods in passes: order="rl,dpo,sft", passes=2, cascade=1."""
        stages = {
            "rl": rl_options,
            "dpo": dpo_options,
            "sft": sft_options,
            "cascade": cascade_options,
        }
        return self._align(
            lib.dmc_align_sequence,
            Options("sequence", options),
            *(Options(kind, dict(settings or {})) for kind, settings in stages.items()),
        )

    def online(
        self,
        critic: Critic,
        env: Env,
        replay: Replay,
        *,
        rl_options: Settings = None,
        dpo_options: Settings = None,
        sft_options: Settings = None,
        **options: Value,
    ) -> OnlineReport:
        """Go on while acting: in every round collect episodes, teach the critic, align.

        Options: libdmc.options.describe("online"), e.g. method="rl", rounds=10, episodes=8, utd=1.
        """
        chosen, report = Options("online", options), OnlineReport()
        stages = {"rl": rl_options, "dpo": dpo_options, "sft": sft_options}
        returns = np.empty((int(chosen["rounds"]), int(chosen["episodes"])))
        report._returns = returns.ctypes.data
        simulator = callbacks_of(env, self._guard, self._sizes.obs_dim, self._sizes.act_dim)
        status = self._call(
            lib.dmc_align_online,
            used("critic", critic, Critic),
            byref(simulator),
            used("replay", replay, Replay),
            chosen,
            *(Options(kind, dict(settings or {})) for kind, settings in stages.items()),
            byref(report),
        )
        report.stopped, report.returns = status == STOPPED, returns[: report.rounds]
        return report

    def _align(self, method: Callable[..., int], *options: Options) -> AlignReport:
        report = AlignReport()
        report.stopped = self._call(method, *options, byref(report)) == STOPPED
        return report

    # ---- results

    def reset(self) -> None:
        """Forget the adapter: back to the foundation."""
        self._call(lib.dmc_aligner_reset)

    def publish(self) -> Model:
        """A new model with the adapter merged, and the cascade if one was trained."""
        return Model._in(self._context, partial(self._call, lib.dmc_aligner_publish))

    def save(self, file: Path) -> None:
        """Write the adapter alone."""
        self._call(lib.dmc_aligner_save, path(file))

    def load(self, file: Path) -> None:
        """Read an adapter made for the same foundation."""
        self._call(lib.dmc_aligner_load, path(file))

    def checkpoint(self, file: Path) -> None:
        """Write all that a run needs to go on, after a stop or between two methods."""
        self._call(lib.dmc_aligner_checkpoint, path(file))

    def resume(self, file: Path) -> None:
        """Read a checkpoint; the next call, of the same method, goes on where it was taken."""
        self._call(lib.dmc_aligner_resume, path(file))
