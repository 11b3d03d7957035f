"""How much what is seen differs from what the world model expected, one step ahead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from world4rl_data.contract import TaskContract
from world4rl_data.store import EpisodeStore
from world4rl_wm.model.frames import FrameWindows, Window
from world4rl_wm.model.world_model import WorldModel

ARM_SEEN, ARM_MOVED = "the arm in the pictures", "the motion of the arm"
SEED = 0  # of the diffusion noise: the same frames give the same surprise


def parts_of(contract: TaskContract) -> tuple[str, ...]:
    """What is compared: each camera's picture and, where the contract has proprioception, where the arm is."""
    cameras = tuple(f"camera {stream.name}" for stream in contract.images)
    return (*cameras, ARM_SEEN, ARM_MOVED) if contract.proprio_dim else cameras


@torch.no_grad()
def surprise(model: WorldModel, window: Window, task: str = "") -> tuple[np.ndarray, Tensor]:
    """Surprise by each of `parts_of`, float64 ``(parts,)``, and the predicted frame ``(1, C, H, W)``, of one window.

    `task` is what a world model of several tasks is told; empty: nothing.

    A camera: root mean square of the seen less the predicted picture, in [-1, 1] units. `ARM_SEEN`: of the
    proprioception read from the pictures less the measured one, in its spreads; a picture that shows another time or
    place than the arm's stays surprising, also when it no longer changes. `ARM_MOVED`: of the predicted less the
    measured proprioception, in its typical changes.
    """
    generator = torch.Generator(model.device).manual_seed(SEED)
    window = window.to(model.device)
    told = window.proprio if model.state_model is not None else None
    named = model.task_vectors([task]) if task else None
    predicted, following = model.step(window.context, window.actions, told, generator, task=named)
    cameras = (predicted.float() - window.target).unflatten(1, (-1, 3)).square().mean((2, 3, 4)).sqrt()
    columns = list(cameras.unbind(1))
    if model.state_model is not None and following is not None:
        state = model.state_model
        read = (state.estimate(window.target) - window.next_proprio) / state.std
        moved = (following[:, -1] - window.next_proprio) / state.change_std
        columns += [read.square().mean(1).sqrt(), moved.square().mean(1).sqrt()]
    return torch.stack(columns, 1)[0].double().cpu().numpy(), predicted.float()


def episode_surprise(model: WorldModel, store: EpisodeStore, episode: int) -> np.ndarray:
    """Surprise of every step of a stored episode, ``(T, parts)``, after its true past; the model is told its task.

    Raises:
        ValueError: a model of several tasks has not learned that one.
    """
    windows, task = FrameWindows(store, [episode], model.history), store.infos[episode].task
    # one by one: the live monitor's noise is that of a single frame
    return np.stack([surprise(model, windows.window(row), task)[0] for row in windows.current.split(1)])


def trigger_level(score: Sequence[float] | np.ndarray, steps: int) -> float:
    """The highest limit that an episode's score exceeds for `steps` steps in a row; 0 for a shorter episode."""
    values = np.asarray(score, dtype=float)
    if len(values) < steps:
        return 0.0
    return float(np.lib.stride_tricks.sliding_window_view(values, steps).min(1).max())
