"""Meta-World's scripted policies as experts of this project."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from .names import expert_class


@dataclass(frozen=True)
class MetaWorldExpertConfig:
    """`noise` is the standard deviation added to every translation [action units].

    `damping` scales the translation where an action lasts `damp_from` or more of Meta-World's steps: its policies are
    proportional controllers tuned for one step, and overshoot when an action is held.
    """

    noise: float = 0.0
    damping: float = 0.7
    damp_from: int = 3


class MetaWorldExpert:
    """Asks Meta-World's policy of `task` once per control period of `action_repeat` of its steps."""

    def __init__(self, task: str, action_repeat: int, config: MetaWorldExpertConfig = MetaWorldExpertConfig()) -> None:
        self._policy = expert_class(task)()
        self._noise = config.noise
        self._gain = config.damping if action_repeat >= config.damp_from else 1.0

    def act(self, state: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Action float32 (4,) in [-1, 1] for Meta-World's observation `state` (39,); +1 opens the hand."""
        with warnings.catch_warnings():  # it warns whenever its proportional control is clipped, as is meant
            warnings.simplefilter("ignore")
            action = np.array(self._policy.get_action(state), dtype=np.float64)
        action[:3] *= self._gain
        action[3] *= -1.0  # Meta-World's effort closes the hand
        action = np.clip(action, -1.0, 1.0)
        action[:3] += self._noise * rng.standard_normal(3)
        return np.clip(action, -1.0, 1.0).astype(np.float32)
