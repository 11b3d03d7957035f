"""The settings of PPO."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PpoConfig:
    """PPO's textbook settings, and what keeps an imagined gain real.

    `horizon` is the number of steps in a batch of roll-outs; in dreams it follows from theirs. `std` is the
    exploration's standard deviation (the paper's upper bound is e^0; tighter stays nearer the data). It is fixed unless
    `learn_std`, which starts there, learns the policy's own and keeps it within `min_std` and `max_std`;
    `entropy_coefficient` weighs the entropy of that one, and is refused with a fixed std.
    `bc_coefficient` weighs the log-likelihood of real successful actions, `kl_coefficient` KL(pi || start policy) on
    the dreamed states. `imagined_bc`, below 1, is the share of each BC batch that comes from the policy's own verified
    successes of the last few iterations, once there are any. `target_kl` ends an update early, `value_warm_up`
    iterations train the value function alone. `normalise_value` has it learn normalised returns. `ema_decay` is that of
    the policy's moving average, per iteration; 0: the average is the newest policy.
    """

    iterations: int = 64
    horizon: int = 15
    epochs: int = 3
    minibatch_size: int = 256
    policy_learning_rate: float = 1e-4
    value_learning_rate: float = 5e-4
    clip: float = 0.2
    gamma: float = 0.97
    gae_lambda: float = 0.95
    std: float = 0.15
    learn_std: bool = False
    min_std: float = 0.02
    max_std: float = 1.0
    entropy_coefficient: float = 0.0
    bc_coefficient: float = 0.02
    bc_batch_size: int = 64
    imagined_bc: float = 0.0
    kl_coefficient: float = 0.0
    target_kl: float = 0.05
    value_warm_up: int = 6
    normalise_value: bool = False
    max_grad_norm: float = 0.5
    ema_decay: float = 0.95

    @property
    def imagined_batch_size(self) -> int:
        """Of each BC batch as many are the policy's own successes; at least one stays real."""
        return min(round(self.imagined_bc * self.bc_batch_size), self.bc_batch_size - 1)

    @property
    def settled_after(self) -> int:
        """Iterations until the moving average is of policies that practised rather than of the start policy, whose
        weight in it has fallen to 1/e by then; all of them where there are fewer."""
        remembered = round(1 / (1 - self.ema_decay))
        return min(self.iterations, self.value_warm_up + remembered)

    def __post_init__(self) -> None:
        for name in ("std", "clip", "target_kl", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"ppo.{name} is {getattr(self, name)}: it must be above 0")
        for name in ("policy_learning_rate", "value_learning_rate", "bc_coefficient", "kl_coefficient"):
            if getattr(self, name) < 0:
                raise ValueError(f"ppo.{name} is {getattr(self, name)}: it must not be below 0")
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"ppo.{name} is {getattr(self, name)}: it must be from 0 to 1")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ppo.ema_decay is {self.ema_decay}: from 0, the newest policy, to below 1")
        if not 0 <= self.imagined_bc < 1:
            raise ValueError(f"ppo.imagined_bc is {self.imagined_bc}: a share from 0 to below 1, some stay real")
        if self.imagined_bc and not (self.bc_coefficient and self.imagined_batch_size):
            raise ValueError(
                f"ppo.imagined_bc is {self.imagined_bc}, but nothing would be imitated: "
                f"ppo.bc_coefficient is {self.bc_coefficient}, and of ppo.bc_batch_size {self.bc_batch_size} "
                f"{self.imagined_batch_size} would be the policy's own"
            )
        if self.entropy_coefficient and not self.learn_std:
            raise ValueError(
                f"ppo.entropy_coefficient is {self.entropy_coefficient}, but the entropy of a fixed std moves nothing: "
                "give ppo.learn_std=true as well, or leave the coefficient at 0"
            )
        if not 0 < self.min_std <= self.max_std:
            raise ValueError(f"min_std {self.min_std} and max_std {self.max_std}: 0 < min_std <= max_std is needed")
        if self.learn_std and not self.min_std <= self.std <= self.max_std:
            raise ValueError(f"std {self.std} starts outside min_std {self.min_std} to max_std {self.max_std}")
