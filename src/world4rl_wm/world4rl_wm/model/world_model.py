"""The frozen simulator in the policy's head: predicts the next frame from four frames and four actions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from world4rl_data.contract import TaskContract
from world4rl_wm.checkpoint import load_checkpoint, save_checkpoint
from world4rl_wm.model import edm
from world4rl_wm.model.composition import composed
from world4rl_wm.model.denoiser import Denoiser, DenoiserConfig
from world4rl_wm.model.edm import EdmConfig
from world4rl_wm.model.frames import Window
from world4rl_wm.model.state_model import StateModel
from world4rl_wm.model.task_table import TaskTable
from world4rl_wm.precision import autocast
from world4rl_wm.training.draws import Draws

KIND = "world_model"
PROPRIO_NOISE = 0.03
"""Standard deviation of the noise on the proprioception shown in training, in units of its spread."""


@dataclass(frozen=True)
class WorldModelConfig:
    """Network, noise levels, and `change_scale`: the typical size of a pixel's change in one step, in [-1, 1] units.

    A pixel whose change, averaged with its neighbours', is below `still_change` in every colour stays as it is: what a
    small network leaves of the noise there would add up over a dream. 0: every pixel changes.

    `tasks` names the tasks that a denoiser with a `task_dim` is told; training takes them from its episodes.
    """

    denoiser: DenoiserConfig
    edm: EdmConfig = field(default_factory=EdmConfig)
    change_scale: float = 0.25
    tasks: tuple[str, ...] = ()
    still_change: float = 0.0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WorldModelConfig:
        denoiser = dict(values["denoiser"])
        denoiser["widths"] = tuple(denoiser["widths"])
        tasks = tuple(values.get("tasks", ()))
        return cls(
            DenoiserConfig(**denoiser),
            EdmConfig(**values["edm"]),
            values["change_scale"],
            tasks,
            values.get("still_change", 0.0),
        )

    def told(self, tasks: Iterable[str]) -> WorldModelConfig:
        """With the names of these tasks, where the denoiser is told the task and none are named yet."""
        named = self.tasks or not self.denoiser.task_dim
        return self if named else replace(self, tasks=tuple(sorted(set(tasks))))

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        values["denoiser"]["widths"] = list(self.denoiser.widths)
        values["tasks"] = list(self.tasks)
        return values


class WorldModel(nn.Module):
    """Transition model D of the paper. Frames are float in [-1, 1], streams stacked on channels (C = 3 per camera).

    Where the contract has proprioception (P > 0) a `StateModel` carries it along, and the denoiser draws the arm there.
    Where the config names tasks, a `TaskTable` has a vector for each.
    """

    def __init__(self, config: WorldModelConfig, contract: TaskContract):
        super().__init__()
        self.config = config
        self.contract = contract
        d = config.denoiser
        self.denoiser = Denoiser(d)
        self.state_model = (
            StateModel(d.image_channels, d.image_size, d.proprio_dim, d.action_dim, d.history)
            if d.proprio_dim
            else None
        )
        if bool(d.task_dim) != bool(config.tasks):
            raise ValueError(f"a task_dim of {d.task_dim} does not fit {len(config.tasks)} tasks: give both or neither")
        if config.tasks:
            self.task_table = TaskTable(config.tasks, d.task_dim)
        self.to(memory_format=torch.channels_last)

    @property
    def history(self) -> int:
        return self.config.denoiser.history

    @property
    def repeats_itself(self) -> bool:
        """Whether the same frames and actions always give the same next frame: sampling starts from no noise."""
        return self.config.edm.noise_scale == 0

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(self, shown: Tensor, batch: Window, draws: Draws, moving_weight: float = 0.0) -> Tensor:
        """EDM training loss of the next frame (what `nn.Module` wrappers such as DistributedDataParallel call).

        `shown` ``(B, T, C, H, W)`` is the past that the network sees: the true one with noise, or its own predictions.
        The change is taken from the last frame shown, so that it learns to undo its own errors. `moving_weight` adds
        weight to pixels that change.
        """
        x0 = (batch.target - shown[:, -1]) / self.config.change_scale
        weight = None
        if moving_weight > 0:
            moving = (batch.target - batch.context[:, -1]).abs().amax(1, keepdim=True)
            weight = 1 + moving_weight * (moving / 0.3).clamp(max=1)
        told = None
        if self.state_model is not None:
            true = torch.stack([batch.proprio[:, -1], batch.next_proprio], 1)
            told = self.state_model.normalise(true)
            told = told + PROPRIO_NOISE * draws.normal(*told.shape)
        task = None if batch.task is None else self.task_table.training_vectors(batch.task, draws)
        return self.loss(self._network(shown, batch.actions, told, task, batch.first), x0, draws, weight)

    def loss(self, network: edm.Network, x0: Tensor, draws: Draws, weight: Tensor | None) -> Tensor:
        """Of the scaled change x0 ``(B, C, H, W)`` that `network` is to predict."""
        sigma = edm.training_sigma(draws.normal(len(x0)), self.config.edm)
        return edm.training_loss(network, x0, sigma, draws.normal(*x0.shape), self.config.edm, weight)

    def sample(self, network: edm.Network, noise: Tensor) -> Tensor:
        """A scaled change ``(B, C, H, W)`` from unit `noise` of that shape."""
        return edm.sample(network, noise, self.config.edm)

    def _network(
        self, context: Tensor, actions: Tensor, told: Tensor | None, task: Tensor | None, first: Tensor | None
    ) -> edm.Network:
        """With context, actions, proprioception, task and first frame bound."""
        if not self.config.denoiser.composed:
            return lambda x, c_noise: self.denoiser(x, c_noise, context, actions, told, task).float()
        began = context[:, 0] if first is None else first

        def network(x: Tensor, c_noise: Tensor) -> Tensor:
            out = self.denoiser(x, c_noise, context, actions, told, task, began).float()
            x0 = composed(out, context[:, -1], began) / self.config.change_scale
            return edm.raw_output(x0, x, c_noise, self.config.edm)

        return network

    def task_vectors(self, tasks: Sequence[str]) -> Tensor | None:
        """What it is told of B tasks, ``(B, task_dim)``, None where that is nothing; ValueError: one not learned."""
        return self.task_table(tasks) if self.config.tasks else None

    @torch.no_grad()
    def estimate_proprio(self, context: Tensor) -> Tensor | None:
        """Proprioception in the last two frames of ``(B, T, C, H, W)``: ``(B, 2, P)``, None where there is none."""
        if self.state_model is None:
            return None
        return torch.stack([self.state_model.estimate(context[:, -2]), self.state_model.estimate(context[:, -1])], 1)

    @torch.no_grad()
    def step(
        self,
        context: Tensor,
        actions: Tensor,
        proprio: Tensor | None,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
        task: Tensor | None = None,
        first: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """As `predict`, carrying proprioception ``(B, 2, P)``; returns the next frame and ``(B, 2, P)`` one step on.

        `noise` ``(B, C, H, W)``: the unit noise that diffusion starts from; None draws it from `generator`. `task`
        ``(B, task_dim)``: from `task_vectors`; None: not told. `first` ``(B, C, H, W)``: the frame that the dream began
        with; None: the oldest of the context.
        """
        self._check(context, actions)
        last = context[:, -1]
        told, following = None, None
        with autocast(last.device):
            if self.state_model is not None and proprio is not None:
                with torch.autocast(last.device.type, enabled=False):  # a millimetre is less than bf16 can say
                    ahead = self.state_model.predict(last, proprio, actions)
                following = torch.stack([proprio[:, -1], ahead], 1)
                told = self.state_model.normalise(following)
            if noise is None:
                noise = torch.randn(last.shape, device=last.device, generator=generator)
            change = self.sample(self._network(context, actions, told, task, first), noise)
        return (last + settled(self.config.change_scale * change, self.config.still_change)).clamp(-1, 1), following

    def predict(
        self,
        context: Tensor,
        actions: Tensor,
        generator: torch.Generator | None = None,
        task: Tensor | None = None,
    ) -> Tensor:
        """The next frame, from pictures and actions alone.

        Args:
            context: ``(B, 4, C, H, W)`` in [-1, 1], oldest first.
            actions: ``(B, 4, A)`` in [-1, 1]; the last one leads from the last frame to the predicted one.
            generator: seeds the diffusion noise; the same seed gives the same frame.
            task: ``(B, task_dim)``, from `task_vectors`; None: not told.

        Returns:
            ``(B, C, H, W)`` in [-1, 1].
        """
        self._check(context, actions)
        return self.step(context, actions, self.estimate_proprio(context), generator, task=task)[0]

    def _check(self, context: Tensor, actions: Tensor) -> None:
        d = self.config.denoiser
        frame = (d.history, d.image_channels, d.image_size, d.image_size)
        if context.dim() != 5 or tuple(context.shape[1:]) != frame:
            raise ValueError(f"context must be (B, {', '.join(map(str, frame))}), got {tuple(context.shape)}")
        if tuple(actions.shape) != (len(context), d.history, d.action_dim):
            raise ValueError(
                f"actions must be ({len(context)}, {d.history}, {d.action_dim}), got {tuple(actions.shape)}"
            )

    def save(self, path: Path | str, weights: dict[str, Tensor] | None = None, **meta: Any) -> Path:
        """Write a checkpoint folder; `meta` goes to `save_checkpoint` (metrics, seed, data_hashes, episodes)."""
        return save_checkpoint(path, KIND, weights or self.state_dict(), self.config.to_dict(), self.contract, **meta)

    @classmethod
    def load(
        cls, path: Path | str, device: str | torch.device = "cpu", contract: TaskContract | None = None
    ) -> WorldModel:
        """Read a checkpoint folder for inference: frozen and in evaluation mode.

        Raises:
            CheckpointError, ContractMismatch: as `load_checkpoint`.
        """
        checkpoint = load_checkpoint(path, KIND, contract)
        return checkpoint.into(lambda config, own: cls(WorldModelConfig.from_dict(config), own), device).requires_grad_(
            False
        )


def settled(change: Tensor, still: float) -> Tensor:
    """A change ``(B, 3 V, H, W)`` of V camera views without what is smaller than `still` (see `WorldModelConfig`)."""
    if still <= 0:
        return change
    size = change.abs().unflatten(1, (-1, 3)).amax(2)
    size = functional.avg_pool2d(size, 3, stride=1, padding=1, count_include_pad=False)
    return change * (size > still).repeat_interleave(3, dim=1)
