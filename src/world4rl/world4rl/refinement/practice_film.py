"""What a policy does in the dream it practises in, as a film for TensorBoard."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from world4rl.refinement.dreamed import Dreamer, dreams_of_all
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.imagination.env import ImaginationConfig
from world4rl_wm.model.frames import StartStates, to_uint8
from world4rl_wm.pictures import side_by_side

_DREAMS = 6
_BAR = 2  # pixels
_GREY, _GREEN = (90, 90, 90), (60, 200, 90)


@torch.no_grad()
def practice_film(
    policy: GaussianPolicy, dreamer: Dreamer, starts: StartStates, config: ImaginationConfig
) -> np.ndarray:
    """Dreams of the policy's mean actions from the first six of `starts`, one below the other: uint8 ``(T, H, W, 3)``.

    Under each a bar, green once the reward model calls it a success; it stands still then.
    """
    starts = starts[:_DREAMS]
    env, observation = dreams_of_all(policy, dreamer, starts, config)
    tasks = policy.task_numbers(env.tasks)
    won = [False] * len(starts)
    shown = _pictures(observation)
    film = [_framed(shown, won)]
    for _ in range(config.max_steps):
        observation, _, terminated, _, _ = env.step(policy.act(observation, tasks=tasks))
        shown = [old if over else new for old, new, over in zip(shown, _pictures(observation), won, strict=True)]
        won = [over or now for over, now in zip(won, terminated.tolist(), strict=True)]
        film.append(_framed(shown, won))
    return np.stack(film)


def _pictures(observation: Tensor) -> list[np.ndarray]:
    """The newest frames of ``(N, T, C, H, W)`` as RGB."""
    return [side_by_side(frame) for frame in to_uint8(observation[:, -1]).cpu().numpy()]


def _framed(pictures: list[np.ndarray], won: list[bool]) -> np.ndarray:
    """All pictures, one below the other, each with its bar."""
    rows = []
    for picture, over in zip(pictures, won, strict=True):
        bar = np.full((_BAR, *picture.shape[1:]), _GREEN if over else _GREY, np.uint8)
        rows += [picture, bar]
    return np.concatenate(rows)
