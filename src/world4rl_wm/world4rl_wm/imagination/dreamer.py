"""Dreams a question that was found good, and learns how long this machine takes for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from world4rl_wm.imagination.dream_context import DreamContext
from world4rl_wm.imagination.dream_pace import DreamPace
from world4rl_wm.imagination.dream_start import DreamStart, repeated
from world4rl_wm.imagination.dream_stream import DreamStep, Watch
from world4rl_wm.imagination.loaded_models import LoadedModels
from world4rl_wm.imagination.request import ImagineRequest
from world4rl_wm.imagination.rollout import Rollout, imagine, likeness
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.protocols import Policy

OVERRUN = 2.0  # times its allowed seconds: a dream that was estimated too short is stopped then
CALIBRATION_SAMPLES = (1, 8, 64)
RECALIBRATE_S = 10.0  # a pace that is older is measured again before a request is refused for it
CALIBRATION_S = 0.2  # no larger batch is tried when the one before took longer for two steps


@dataclass(frozen=True)
class Imagined:
    """An answer: `rollout`, why it ended before its end (empty where it did not), whether a reward model judged it and
    tells its progress, the seconds it took, the task that the world model was told (empty: none), and a note on a
    dream that did not end early (empty: none).
    """

    rollout: Rollout
    stopped: str
    judged: bool
    tells_progress: bool
    compute_s: float
    task: str
    note: str = ""

    @property
    def complete(self) -> bool:
        return not self.stopped


@dataclass(frozen=True)
class Question:
    """A request that was found good: `samples` dreams from `context`, in which `actor` acts, a policy or the actions
    float32 ``(horizon, A)``; `task` empty: not told.
    """

    request: ImagineRequest
    actor: Policy | np.ndarray
    context: DreamContext
    samples: int
    task: str = ""


class _NoJudge:
    """Stands where no reward model is loaded: it knows nothing."""

    def probability(self, frames: Tensor) -> Tensor:
        return torch.full((len(frames),), float("nan"), device=frames.device)

    progress = probability


@dataclass
class Dreamer:
    """Runs the loaded models. Not for two threads at once."""

    models: LoadedModels
    pace: DreamPace = field(default_factory=DreamPace)
    calibrated_s: float = -math.inf  # when, by the monotonic clock

    def step_seconds(self, samples: int, fits: Callable[[float], bool]) -> float | None:
        """What a step of `samples` dreams takes here [s], None where no model was measured.

        Where that does not fit it is measured again: the machine may have been busy, and what is refused is not
        measured by dreaming it.
        """
        seconds = self.pace.step_seconds(samples)
        if seconds is None or fits(seconds) or time.monotonic() - self.calibrated_s < RECALIBRATE_S:
            return seconds
        self.calibrate()
        return self.pace.step_seconds(samples)

    def calibrate(self) -> None:
        """Measure how fast the loaded world model dreams here; its first steps, which are slow, are then over too."""
        self.pace.forget()
        model = self.models.world_model
        if model is None:
            return
        contract, shape = model.contract, model.config.denoiser
        size = (model.history, shape.image_channels, shape.image_size, shape.image_size)
        start = DreamContext(np.zeros(size, np.uint8), np.zeros((model.history - 1, contract.action_dim), np.float32))
        for samples in CALIBRATION_SAMPLES:
            for horizon in (1, 2):  # the first is to get warm, and does not count
                request = ImagineRequest(horizon, return_frames=False)
                actions = np.zeros((horizon, contract.action_dim), np.float32)
                seconds = self.dream(Question(request, actions, start, samples), model).compute_s
            if seconds > CALIBRATION_S:
                break
        self.calibrated_s = time.monotonic()

    def dream(
        self,
        question: Question,
        model: WorldModel,
        max_seconds: float = math.inf,
        watch: Watch = Watch(),  # noqa: B008 (frozen)
    ) -> Imagined:
        """Dream `question`; it is stopped where it takes much longer than `max_seconds`."""
        stopped = ""

        def step_done(step: DreamStep) -> bool:
            nonlocal stopped
            if not watch.step(step):
                stopped = "as was asked"
            elif time.monotonic() - started > OVERRUN * max_seconds:
                stopped = f"for it takes longer than estimated: {max_seconds:g} s are allowed"
            return not stopped

        started, horizon = time.monotonic(), question.request.horizon
        rollout = self._rollout(question, model, replace(watch, step=step_done))
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)
        seconds, steps = time.monotonic() - started, rollout.actions.shape[1]
        if steps > 1:  # one alone may have been the first of its size
            self.pace.measured(question.samples, seconds / steps)
        message = f"stopped after {steps} of {horizon} steps, {stopped}" if steps < horizon else ""
        judge = self.models.reward_model
        tells_progress = judge is not None and judge.tells_progress
        note = likeness(model, rollout)
        return Imagined(rollout, message, judge is not None, tells_progress, seconds, question.task, note)

    def _rollout(self, question: Question, model: WorldModel, watch: Watch) -> Rollout:
        request, actor, samples = question.request, question.actor, question.samples
        return imagine(
            model,
            self.models.reward_model or _NoJudge(),
            DreamStart.of(question.context, model, samples, request.seed, question.task),
            repeated(actor, samples, model.device) if isinstance(actor, np.ndarray) else actor,
            request.horizon,
            self.models.ensemble,
            watch,
            request.return_frames,
        )
