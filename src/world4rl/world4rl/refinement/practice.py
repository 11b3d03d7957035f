"""PPO at work on a policy: in a dream, with real successes to hold on to, and with the policy that it began from."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import Demonstrations
from world4rl_policy.ppo import Ppo, start_kl
from world4rl_policy.ppo_config import PpoConfig
from world4rl_policy.rollouts import VectorEnv
from world4rl_wm.training.share import Share
from world4rl_wm.training.state import Remembers, TrainingState

REFERENCE = 256
"""Real pictures on which the distance from the start policy is measured."""


class Practice:
    """Refines a copy of `start` in `env`. Random numbers come from the CPU: the same on every device."""

    def __init__(
        self,
        start: GaussianPolicy,
        env: VectorEnv,
        demonstrations: Demonstrations,
        config: PpoConfig,
        seed: int,
        share: Share,
    ):
        self._start, self._demonstrations, self._share = start, demonstrations, share
        self._device = next(start.parameters()).device
        self._drawn = torch.Generator("cpu").manual_seed(seed + 1)
        generator = torch.Generator("cpu").manual_seed(seed)
        self._reference, _, *self._tasks = demonstrations.sample(REFERENCE, generator, self._device)
        policy = copy.deepcopy(start).requires_grad_(True)
        self._ppo = Ppo(policy, env, config, self._imitated, seed, share=share)

    def _imitated(self, size: int) -> tuple[Tensor, ...]:
        return self._demonstrations.sample(size, self._drawn, self._device)

    @property
    def policy(self) -> GaussianPolicy:
        """What came out so far: the moving average of the policies that practised."""
        return self._ppo.averaged

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return self._ppo.iteration

    @property
    def over(self) -> bool:
        """Whether all iterations are done."""
        return self.iteration >= self._ppo.config.iterations

    @property
    def settled(self) -> bool:
        """Whether `policy` has left the start policy behind, as far as it depends on the average."""
        return self.iteration >= self._ppo.config.settled_after

    def iterate(self) -> dict[str, float]:
        """One more; returns what to log."""
        return self._ppo.iterate()

    def distance(self, std: float) -> float:
        """KL from the start policy on real pictures, both with the standard deviation `std`; the same number in all
        processes."""
        return self._share.agreed(start_kl(self.policy, self._start, self._reference, std, *self._tasks))

    def state(self, **notes: Remembers) -> TrainingState:
        """All that goes on from iteration to iteration, and `notes`."""
        return self._ppo.training_state({"demonstrations": self._drawn}, notes)
