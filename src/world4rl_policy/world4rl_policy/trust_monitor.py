"""Watches a policy at work: where the world stays other than the world model expects, nobody should act on it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from world4rl_policy.surprise import surprise
from world4rl_policy.trust_limit import TrustLimit
from world4rl_wm.imagination.dream_context import padded
from world4rl_wm.model.frames import Window, to_float, to_uint8
from world4rl_wm.model.world_model import WorldModel

A_PERIOD = (0.5, 1.5)  # what two successive frames may lie apart, in control periods


@dataclass(frozen=True)
class TrustReport:
    """`score`, `part` (what surprised most) and `above` (steps in a row above the limit) of the last check; how many
    steps were checked, and how many could not be: no known action between two frames."""

    score: float
    limit: float
    part: str
    above: int
    checked: int
    unknown: int


@dataclass
class _Seen:
    stamp_ns: int
    frame: np.ndarray  # as seen, or as predicted where it was not believed
    proprio: np.ndarray


class TrustMonitor:
    """One check per acted observation: `saw` and `executed` tell what happened, `check` judges the newest step.

    A picture that surprises is not believed: from there on the world model's own prediction stands in its place, so
    that what covers a camera stays surprising, while a flaw of one picture passes.

    Any thread may call anything; one at a time `check`, which takes the world model's time outside the lock.
    """

    def __init__(
        self, model: WorldModel, limit: TrustLimit, threshold: float = 0.0, steps: int = 0, task: str = ""
    ) -> None:
        """`threshold` and `steps` above 0 replace those of `limit`; `task` as for `surprise`."""
        self.model, self.task = model, task
        self.limit, self.steps = threshold or limit.limit, steps or limit.steps
        self._parts, self._scales = tuple(limit.scales), np.array(list(limit.scales.values()))
        self._lock = threading.Lock()
        self._seen: deque[_Seen] = deque(maxlen=model.history + 1)
        self._executed: deque[tuple[int, np.ndarray]] = deque(maxlen=4 * model.history)
        self.restart()

    def restart(self) -> None:
        """A new episode begins."""
        with self._lock:
            self._seen.clear()
            self._from_start = True
            self._report = TrustReport(0.0, self.limit, "", 0, 0, 0)

    @property
    def report(self) -> TrustReport:
        return self._report

    def saw(self, stamp_ns: int, frame: np.ndarray, proprio: np.ndarray) -> None:
        """What the policy has just acted on: uint8 ``(C, H, W)`` and float32 ``(P,)``."""
        with self._lock:
            if len(self._seen) == self._seen.maxlen:
                self._from_start = False  # the episode's first frame is gone: no more padding
            self._seen.append(_Seen(stamp_ns, frame, proprio))

    def executed(self, stamp_ns: int, values: Sequence[float]) -> None:
        """An action of any source that the gate has executed, stamped as the observation that it was decided on."""
        action = np.asarray(values, np.float32)
        if action.shape == (self.model.contract.action_dim,) and np.isfinite(action).all():
            with self._lock:
                self._executed.append((stamp_ns, action.clip(-1, 1)))

    def check(self) -> str:
        """Judge the step to the newest frame; why the policy is not to be trusted, empty while it is."""
        with self._lock:
            before = self._report
            window = self._window()
            if window is None:
                unknown = before.unknown + (len(self._seen) > 1)
                self._report = TrustReport(0.0, self.limit, "", 0, before.checked, unknown)
                return ""
            judged = self._seen[-1]
        surprises, predicted = surprise(self.model, window, self.task)
        relative = surprises / self._scales
        score, part = float(relative.max()), self._parts[int(relative.argmax())]
        with self._lock:
            if self._report is not before:
                return ""  # a new episode has begun meanwhile
            above = before.above + 1 if not score <= self.limit else 0  # NaN is no trust either
            self._report = TrustReport(score, self.limit, part, above, before.checked + 1, before.unknown)
            if above:
                judged.frame = to_uint8(predicted)[0].cpu().numpy()
        if above < self.steps:
            return ""
        return (
            f"not trusted: {part} surprises the world model {score / self.limit:.1f} times as much as the limit "
            f"allows, for {above} steps; look at the cameras and the scene, then enable again"
        )

    def _window(self) -> Window | None:
        """The newest step and its past, one window; None where it is not known what led there."""
        seen, actions = self._known_past()
        if len(seen) < 2 or (len(seen) <= self.model.history and not self._whole_episode(len(seen))):
            return None
        past, target = seen[:-1], seen[-1]
        frames, proprio = np.stack([s.frame for s in past]), np.stack([s.proprio for s in past])
        context = padded(frames, np.stack(actions)[:-1], self.model.history, proprio)
        assert context.proprio is not None
        steps = np.concatenate([context.actions, actions[-1][None]])
        arrays = (context.frames, steps, target.frame, context.proprio, target.proprio)
        shown, done, seen_now, told, measured = (torch.from_numpy(np.array(a)).unsqueeze(0) for a in arrays)
        return Window(to_float(shown), done, to_float(seen_now), told, measured)

    def _whole_episode(self, known: int) -> bool:
        return self._from_start and known == len(self._seen)

    def _known_past(self) -> tuple[list[_Seen], list[np.ndarray]]:
        """The newest frames that lie a period apart with an executed action between each two, and these actions."""
        period_ns = self.model.contract.period_s * 1e9
        done = dict(self._executed)
        seen = list(self._seen)
        known, actions = seen[-1:], list[np.ndarray]()
        for earlier, later in zip(seen[-2::-1], seen[:0:-1], strict=True):
            gap = (later.stamp_ns - earlier.stamp_ns) / period_ns
            if not A_PERIOD[0] <= gap <= A_PERIOD[1] or earlier.stamp_ns not in done:
                break
            known.insert(0, earlier)
            actions.insert(0, done[earlier.stamp_ns])
        return known, actions
