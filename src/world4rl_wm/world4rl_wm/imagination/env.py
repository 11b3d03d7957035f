"""The world model as an environment: shaped like gymnasium's vector environments, tensors stay on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from torch import Tensor

from world4rl_wm.imagination.dream import Dream
from world4rl_wm.imagination.start_sampler import StartSampler
from world4rl_wm.model.frames import StartStates
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.model import RewardModel
from world4rl_wm.reward.task_rewards import RowRewards, TaskRewards, reader_of
from world4rl_wm.training.share import Share
from world4rl_wm.uncertainty.ensemble import Companions, Ensemble


@dataclass(frozen=True)
class ImaginationConfig:
    """`num_envs` dreams; success means `hits` frames in a row above the threshold, the first of them after at most
    `horizon` steps. A dream that is then in the middle of them goes on until it is known whether they last.

    What keeps a dream from being exploited: a dream ends without success where its uncertainty is above
    `max_uncertainty` (None: never), and every step costs `uncertainty_penalty` times the uncertainty. Both in the
    ensemble's units, which is needed for them. `progress_reward` times the gain in the first reward model's progress
    is a dense reward besides that of success.

    An observation shows the newest `observed_frames`, at most the world model's history; a refinement shows as many as
    its policy looks back on.

    `key_frames`: share of the dreams that begin at key frames, in the middle of real episodes; the others begin at
    first frames. Every dream has the whole `horizon`.
    """

    num_envs: int = 64
    horizon: int = 15
    hits: int = 2
    observed_frames: int = 2
    max_uncertainty: float | None = None
    uncertainty_penalty: float = 0.0
    progress_reward: float = 0.0
    key_frames: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.key_frames <= 1:
            raise ValueError(f"imagination.key_frames is {self.key_frames}: a share lies between 0 and 1")

    @property
    def max_steps(self) -> int:
        """Steps after which every dream is over."""
        return self.horizon + self.hits - 1

    @property
    def needs_uncertainty(self) -> bool:
        """Whether an ensemble has to dream along."""
        return self.max_uncertainty is not None or self.uncertainty_penalty != 0


def _limit(value: float | None) -> float:
    return float("inf") if value is None else value


def _read(readers: Sequence[RewardModel | RowRewards], frames: Tensor) -> tuple[Tensor, Tensor]:
    """Each reader's probability that a frame shows success, ``(readers, B)``, and whether all call it one, ``(B,)``."""
    probability = torch.stack([reader.probability(frames) for reader in readers])
    limits = [torch.as_tensor(reader.threshold, device=frames.device) for reader in readers]
    return probability, torch.stack([p > limit for p, limit in zip(probability, limits, strict=True)]).all(0)


class ImaginationEnv:
    """Frozen world model plus frozen reward models.

    The reward is 1 in the step in which success is reached, else 0, unless the configuration adds to it; the episode
    then terminates. With several world models the dreams are dealt out evenly among them; with several reward models
    *all* must agree on a success. `TaskRewards` has each dream read by the reward model of its own task.

    Observations are float ``(num_envs, observed_frames, C, H, W)`` in [-1, 1]. Episodes start at random rows of
    `starts`, as `StartSampler` draws them: beginnings of real episodes, or key frames too. There is no autoreset: all
    dreams of a batch run in step, and `reset` starts the next batch; steps after an episode's end are masked by the
    caller. Who wants every dream to start anew as soon as it ends resets those alone, gymnasium's way:
    ``options={"reset_mask": ended}``.

    A `witness` decides nothing: with one, ``info["verified"]``, int64 ``(num_envs,)``, has in the step in which a
    success is reached the number of frames in a row that show it, where the witness agrees on all of them; else 0.

    With an `ensemble`, ``info["uncertainty"]`` ``(num_envs,)`` says how unsure each new frame is: what its kind means.

    Several processes dream the batch of the configuration together, each its `share`; `num_envs` is what this one has.
    Tensors are on the world model's device, but for ``info["start"]``, which counts rows in memory.
    """

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.DISABLED}

    def __init__(
        self,
        world_models: list[WorldModel],
        reward_models: Sequence[RewardModel | TaskRewards],
        starts: StartStates,
        config: ImaginationConfig,
        ensemble: Ensemble | None = None,
        share: Share = Share(),  # noqa: B008 (frozen)
        witness: RewardModel | TaskRewards | None = None,
    ):
        self.share, self.witness = share, witness
        self.num_envs = share.size(config.num_envs, "imagination.num_envs")
        if self.num_envs % len(world_models):
            raise ValueError(f"num_envs {self.num_envs} must be a multiple of the {len(world_models)} world models")
        if config.needs_uncertainty and (ensemble is None or not (ensemble.models or ensemble.noise_dreams)):
            raise ValueError("max_uncertainty and uncertainty_penalty need an ensemble that dreams along")
        if config.progress_reward and not reward_models[0].tells_progress:
            raise ValueError("progress_reward needs a reward model that has learned progress (reward.network.progress)")
        self.config = config
        self.world_models, self.reward_models = world_models, reward_models
        self.ensemble = ensemble or Ensemble()
        self.starts, self._sampler = starts, StartSampler(starts, config.key_frames)
        denoiser = world_models[0].config.denoiser
        if not 1 <= config.observed_frames <= denoiser.history:
            raise ValueError(
                f"observed_frames is {config.observed_frames}, but of a dream the newest {denoiser.history} are known: "
                "a policy can look back on 1 to as many"
            )
        pixels = (config.observed_frames, denoiser.image_channels, denoiser.image_size, denoiser.image_size)
        self.single_observation_space = spaces.Box(-1.0, 1.0, pixels, np.float32)
        self.single_action_space = spaces.Box(-1.0, 1.0, (denoiser.action_dim,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._generator = torch.Generator()
        self._dreams: list[Dream] = []
        self._beside: list[Companions] = []
        self._readers: list[RewardModel | RowRewards] = []
        self._witnesses: list[RewardModel | RowRewards] = []  # one, or none

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks of the running dreams, `num_envs` of them."""
        return [task for dream in self._dreams for task in dream.tasks or ()]

    def reset(
        self, *, seed: int | None = None, rows: Tensor | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Start a batch of dreams, at `rows` of the start states, those of all processes, or at random ones.

        With ``options["reset_mask"]``, bool ``(num_envs,)``, only those start anew; ``info["start"]`` of others is -1.
        ``info["tasks"]`` names the tasks of all.

        Raises:
            ValueError: a mask where no batch was started before, or several processes share the batch.
        """
        if seed is not None:
            self._generator.manual_seed(seed)
        if options and "reset_mask" in options:
            return self._restart(torch.as_tensor(options["reset_mask"], dtype=torch.bool, device="cpu"))
        if rows is None:
            rows = self._sampler.draw(self.config.num_envs, self._generator)
        rows = self.share.keep(rows)
        parts = self.starts[rows].split(self.num_envs // len(self.world_models))
        noise_seed = int(torch.randint(2**31, (), generator=self._generator, device="cpu"))
        self._dreams = [
            Dream.from_start(model, part, noise_seed + i, self.share)
            for i, (model, part) in enumerate(zip(self.world_models, parts, strict=True))
        ]
        self._beside = [self.ensemble.along(dream) for dream in self._dreams]
        self._choose_readers()
        device = self.world_models[0].device
        self._streak = torch.zeros(self.num_envs, dtype=torch.long, device=device)
        self._witnessed = torch.zeros_like(self._streak)
        self._alive = torch.ones(self.num_envs, dtype=torch.bool, device=device)
        self._steps = torch.zeros_like(self._streak)
        self._progress = self._progress_of(torch.cat([dream.context[:, -1] for dream in self._dreams]))
        return self._observation(), {"start": rows, "tasks": self.tasks}

    def _restart(self, mask: Tensor) -> tuple[Tensor, dict[str, Any]]:
        if self.share.count > 1:
            raise ValueError("a batch that several processes share starts as a whole: reset without reset_mask")
        if not self._dreams:
            raise ValueError("no dreams are running that a reset_mask could choose from: reset without it first")
        rows = torch.full((self.num_envs,), -1, device="cpu")
        rows[mask] = self._sampler.draw(int(mask.sum()), self._generator)
        pieces = [piece.chunk(len(self._dreams)) for piece in (mask, rows)]
        for dream, beside, which, starts in zip(self._dreams, self._beside, *pieces, strict=True):
            if which.any():
                fresh = Dream.from_start(dream.world_model, self.starts[starts[which]])
                dream.restart(which, fresh)
                beside.restart(which, fresh)
        self._choose_readers()
        ended = mask.to(self._streak.device)
        self._streak[ended], self._witnessed[ended], self._steps[ended], self._alive[ended] = 0, 0, 0, True
        fresh = self._progress_of(torch.cat([dream.context[:, -1] for dream in self._dreams]))
        self._progress = torch.where(ended, fresh, self._progress)
        return self._observation(), {"start": rows, "tasks": self.tasks}

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Do `actions` ``(num_envs, A)``; observation, reward, terminated, truncated, info (as gymnasium).

        ``info`` has, each ``(num_envs,)``: ``success``, bool, whether it is reached in this step; ``probability``, in
        [0, 1], that the new frame shows success, the least of all reward models', each of which has a threshold of its
        own, so that it alone does not tell what counts; ``uncertainty``, 0 without an ensemble; and with a witness
        ``verified``.
        """
        parts = actions.clamp(-1, 1).chunk(len(self._dreams))
        imagined = [dream.step(part) for dream, part in zip(self._dreams, parts, strict=True)]
        frames = torch.cat(imagined)
        probability, hit = _read(self._readers, frames)
        self._streak = torch.where(hit, self._streak + 1, 0)
        done = zip(self._beside, parts, imagined, strict=True)
        uncertainty = torch.cat([beside.step(part, frame) for beside, part, frame in done])
        believed = self._alive & (uncertainty <= _limit(self.config.max_uncertainty))
        success = believed & (self._streak >= self.config.hits)
        terminated = success | (self._alive & ~believed)
        self._steps = self._steps + 1
        lasting = self._streak > 0
        truncated = self._alive & ~terminated & (self._steps >= self.config.horizon) & ~lasting
        reward = success.float() + self._alive * self._dense_reward(frames, uncertainty)
        self._alive = self._alive & ~(terminated | truncated)
        info = {"success": success, "probability": probability.min(0).values, "uncertainty": uncertainty}
        if self._witnesses:
            _, agreed = _read(self._witnesses, frames)
            self._witnessed = torch.where(agreed, self._witnessed + 1, 0)
            info["verified"] = torch.where(success & (self._witnessed >= self._streak), self._streak, 0)
        return self._observation(), reward, terminated, truncated, info

    def _choose_readers(self) -> None:
        """Those of the running dreams' tasks."""
        self._readers = [reader_of(model, self.tasks) for model in self.reward_models]
        self._witnesses = [] if self.witness is None else [reader_of(self.witness, self.tasks)]

    def _dense_reward(self, frames: Tensor, uncertainty: Tensor) -> Tensor:
        """``(num_envs,)`` for progress made and against uncertainty; nothing unless configured."""
        before, self._progress = self._progress, self._progress_of(frames)
        gained = self.config.progress_reward * (self._progress - before)
        return gained - self.config.uncertainty_penalty * uncertainty

    def _progress_of(self, frames: Tensor) -> Tensor:
        """``(num_envs,)``; zeros where it earns nothing, so that its network need not run."""
        if not self.config.progress_reward:
            return torch.zeros(len(frames), device=frames.device)
        return self._readers[0].progress(frames)

    def _observation(self) -> Tensor:
        return torch.cat([dream.context[:, -self.config.observed_frames :] for dream in self._dreams])

    def close(self) -> None:
        """Nothing to release; part of the environment contract."""
