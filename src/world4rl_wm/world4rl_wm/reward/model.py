"""Reward model C of the paper: the probability that a frame shows the task done; and beside it, how far the task is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from world4rl_data.contract import TaskContract
from world4rl_wm.checkpoint import load_checkpoint, save_checkpoint
from world4rl_wm.reward.network import RewardNetwork, reward_network

KIND = "reward_model"


@dataclass(frozen=True)
class RewardConfig(RewardNetwork):
    """The network, and what was found when it was calibrated.

    `threshold` turns the probability into the paper's reward in {0, 1}. The probability is that of the network's
    log-odds times `scale` plus `shift` (Platt, 1999); 1 and 0 leave it as the network gives it.
    """

    threshold: float = 0.5
    scale: float = 1.0
    shift: float = 0.0


class RewardModel(nn.Module):
    """Reads single frames ``(B, C, H, W)`` in [-1, 1].

    Progress has a network of its own: whether it is learned changes nothing about the verdicts.
    """

    def __init__(self, config: RewardConfig, contract: TaskContract):
        super().__init__()
        self.config = config
        self.contract = contract
        size = contract.images[0].height
        self.net = reward_network(config, size, config.dropout)
        self.progress_net = reward_network(config, size, 0.0) if config.progress else None

    @property
    def threshold(self) -> float:
        return self.config.threshold

    @property
    def tells_progress(self) -> bool:
        """Whether it has learned that."""
        return self.progress_net is not None

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def logits(self, frames: Tensor) -> Tensor:
        """``(B,)`` log-odds of success as the network gives them: those that are trained."""
        return self.net(frames).squeeze(-1)

    @torch.no_grad()
    def probability(self, frames: Tensor) -> Tensor:
        """``(B,)`` probability of success in [0, 1]."""
        return torch.sigmoid(self.config.scale * self.logits(frames) + self.config.shift)

    @torch.no_grad()
    def progress(self, frames: Tensor) -> Tensor:
        """``(B,)`` share of the time to success that has passed, in [0, 1]; NaN where that was not learned."""
        if self.progress_net is None:
            return torch.full((len(frames),), float("nan"), device=frames.device)
        return torch.sigmoid(self.progress_net(frames).squeeze(-1))

    def save(self, path: Path | str, **meta: Any) -> Path:
        return save_checkpoint(path, KIND, self.state_dict(), asdict(self.config), self.contract, **meta)

    @classmethod
    def load(
        cls, path: Path | str, device: str | torch.device = "cpu", contract: TaskContract | None = None
    ) -> RewardModel:
        """Read a checkpoint folder for inference: frozen and in evaluation mode.

        Raises:
            CheckpointError, ContractMismatch: as `load_checkpoint`.
        """
        checkpoint = load_checkpoint(path, KIND, contract)
        return checkpoint.into(lambda config, own: cls(RewardConfig(**config), own), device).requires_grad_(False)
