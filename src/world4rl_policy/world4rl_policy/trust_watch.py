"""The trust monitor at work beside a policy: after an action has gone, in a thread of its own, never in its way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from world4rl_data.contract import TaskContract
from world4rl_data.observation import Observation
from world4rl_policy.surprise import surprise
from world4rl_policy.trust_limit import TrustError, TrustLimit
from world4rl_policy.trust_monitor import TrustMonitor
from world4rl_policy.woken_thread import WokenThread
from world4rl_wm.devices import resolve_device
from world4rl_wm.imagination.asked_task import asked_task
from world4rl_wm.model.frames import Window
from world4rl_wm.model.world_model import WorldModel


class TrustWatch:
    """Checks at most once per action, and skips those that come while it still works."""

    def __init__(self, monitor: TrustMonitor, on_alarm: Callable[[str], None]) -> None:
        """`on_alarm` gets the reason why the policy must stop, in this watch's thread."""
        self.monitor = monitor
        self.skipped = 0
        self._on_alarm = on_alarm
        self._thread = WokenThread("trust", self._check, self._on_error)

    @classmethod
    def load(
        cls,
        checkpoint: Path,
        device: str,
        threshold: float,
        steps: int,
        on_alarm: Callable[[str], None],
        task: str = "",
    ) -> TrustWatch:
        """The watch of a world model's folder with its `trust.json`, warmed up.

        `task` is for a world model of several tasks: the policy's; empty: the one that has the contract's name.

        Raises:
            CheckpointError, TrustError: the folder holds no world model, or no limit that fits it.
            Refusal, TrustError: the world model has learned several tasks, but not this one.
        """
        model = WorldModel.load(checkpoint, resolve_device(device))
        limit = TrustLimit.load(checkpoint, model)
        told = _told(model, task)
        _warm_up(model, told)
        return cls(TrustMonitor(model, limit, threshold, steps, told), on_alarm)

    @property
    def contract(self) -> TaskContract:
        """What the world model has learned; the policy's must be the same."""
        return self.monitor.model.contract

    def restart(self) -> None:
        """A new episode begins."""
        self.monitor.restart()
        self.skipped = 0

    def acted(self, observation: Observation) -> None:
        """An action on this has gone: time for a check, unless the last one is still under way."""
        self.monitor.saw(observation.stamp_ns, observation.frame, observation.proprio)
        if self._thread.busy:
            self.skipped += 1
        else:
            self._thread.wake()

    def close(self) -> None:
        """End the thread."""
        self._thread.close()

    def told(self) -> dict[str, object]:
        """For the diagnostics."""
        report = self.monitor.report
        return {
            "surprise [limit = 1]": f"{report.score / report.limit:.2f}",
            "most surprising": report.part,
            "steps checked": report.checked,
            "steps skipped, busy": self.skipped,
            "steps not checked, unknown action": report.unknown,
        }

    def _check(self) -> None:
        reason = self.monitor.check()
        if reason:
            self._on_alarm(reason)

    def _on_error(self, error: Exception) -> None:
        self._on_alarm(f"not trusted: the world model failed ({type(error).__name__}: {error})")


def _told(model: WorldModel, task: str) -> str:
    """What the world model is told: as for a dream, but never nothing, for its limit was found with the task told."""
    if not model.config.tasks:
        return ""  # then `task` is the policy's own matter
    told = asked_task(task, "", model)
    if not told:
        known = ", ".join(model.config.tasks)
        raise TrustError(f"the world model that watches has learned {known}: name the policy's task")
    return told


def _warm_up(model: WorldModel, task: str) -> None:
    """Predict once from black frames, so that the first check takes no longer than the others."""
    d = model.config.denoiser
    frame = (d.image_channels, d.image_size, d.image_size)
    shapes = (
        (1, d.history, *frame),
        (1, d.history, d.action_dim),
        (1, *frame),
        (1, 2, d.proprio_dim),
        (1, d.proprio_dim),
    )
    surprise(model, Window(*(torch.zeros(shape, device=model.device) for shape in shapes)), task)
