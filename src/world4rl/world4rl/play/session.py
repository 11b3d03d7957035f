"""A dream that somebody steers: one step for each action, started again or elsewhere whenever they like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from world4rl_wm.imagination.dream import Dream
from world4rl_wm.imagination.dream_stream import DreamStep, DreamStream
from world4rl_wm.model.frames import StartStates, to_float
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.protocols import Policy, for_task
from world4rl_wm.reward.model import RewardModel
from world4rl_wm.uncertainty.ensemble import Ensemble
from world4rl_wm.uncertainty.kind import UncertaintyKind


@dataclass(frozen=True)
class Moment:
    """What is seen: step 0 is real. `frame` uint8 ``(C, H, W)``; `uncertainty` as `Rollout.uncertainty`, 0 at first."""

    step: int
    frame: np.ndarray
    success: float
    uncertainty: float


class PlaySession:
    """One running dream.

    The same `seed`, starts and actions give the same dreams: the order of the starts and each dream's noise hang on
    nothing else.

    Attributes:
        moments: those of the running dream, the real one first.
        row: of `starts`, where the running dream began.
    """

    def __init__(
        self,
        world_model: WorldModel,
        judge: RewardModel,
        ensemble: Ensemble,
        starts: StartStates,
        seed: int = 0,
        first: int | None = None,
    ):
        """`first` is the row of `starts` to begin at; None begins at a random one, as all later ones are."""
        self._model, self._judge, self._ensemble, self._starts = world_model, judge, ensemble, starts
        self._seed = seed
        self._random = np.random.default_rng(seed)
        self._dreams = 0
        self.moments: list[Moment] = []
        self._begin(self._random_row() if first is None else first)

    @property
    def rate_hz(self) -> float:
        """Steps per second of the real robot."""
        return self._model.contract.control_rate_hz

    @property
    def kind(self) -> UncertaintyKind:
        """What the uncertainty says."""
        return self._ensemble.kind

    def reset(self) -> Moment:
        """The same start with the same noise: the same actions give the same dream."""
        return self._begin(self.row)

    def new_start(self) -> Moment:
        """Another start, at random, with other noise."""
        self._dreams += 1
        return self._begin(self._random_row())

    def step(self, action: np.ndarray) -> Moment:
        """Do `action` ``(A,)`` in [-1, 1]; beyond that it is clamped, as the safety gate would."""
        clamped = np.clip(np.asarray(action, np.float32), -1, 1)
        step: DreamStep = self._stream.step(torch.from_numpy(clamped).to(self._model.device).unsqueeze(0))
        success, uncertainty = float(step.success_probability[0]), float(step.uncertainty[0])
        self.moments.append(Moment(step.number, step.frames[0].cpu().numpy(), success, uncertainty))
        return self.moments[-1]

    def action_of(self, policy: Policy) -> np.ndarray:
        """What `policy` would do now, ``(A,)``."""
        policy = for_task(policy, str(self._starts.tasks[self.row]))
        return policy.act(self._stream.dream.context[:, -policy.history :])[0].cpu().numpy()

    def _random_row(self) -> int:
        return int(self._random.integers(len(self._starts)))

    def _begin(self, row: int) -> Moment:
        self.row = row
        start = self._starts[row : row + 1]
        dream = Dream.from_start(self._model, start, self._seed + self._dreams)
        self._stream = DreamStream(dream, self._judge, self._ensemble)
        success = float(self._judge.probability(to_float(start.frames).to(self._model.device))[0])
        self.moments = [Moment(0, start.frames[0].numpy(), success, 0.0)]
        return self.moments[0]
