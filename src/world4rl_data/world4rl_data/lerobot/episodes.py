"""One episode of a LeRobot dataset as an Episode under a plan.

N frames give N - 1 actions: the last frame's action leads to no observation, in foreign datasets as in our own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..episode import ActionSource, Episode, EpisodeError, Outcome, episode_source
from ..image import ImageError, prepare
from . import layout
from .dataset import LeRobotDataset
from .mapping import Plan


def read_episode(dataset: LeRobotDataset, plan: Plan, number: int) -> Episode:
    """Raises EpisodeError for an episode that is unfit and LeRobotError for one that cannot be read."""
    wanted = [layout.ACTION, *([layout.STATE] if plan.state else []), "task_index", "timestamp"]
    extra = (layout.SUCCESS, layout.REWARD, layout.STAMP, layout.ACTION_SOURCE)
    columns = dataset.columns(number, wanted + [key for key in extra if key in dataset.features])
    raw_length = dataset.episodes[number]["length"]
    begin = 1 if plan.action_kind == "target" else 0  # the first target is no step from anything known
    kept = np.arange(begin, raw_length, plan.told.stride)
    if len(kept) < 2:
        raise EpisodeError(f"episode {number} of {dataset.root} has {raw_length} frames, too few for one action")
    actions = contract_actions(_matrix(columns[layout.ACTION], plan.action), kept, plan, f"episode {number}")
    sources = _sources(columns, kept, plan)
    outcome, success_index = _outcome(columns, kept, plan)
    values: dict[str, Any] = {
        "images": {stream: _images(dataset, plan, number, stream, kept) for stream in plan.images},
        "proprio": _matrix(columns[layout.STATE], plan.state)[kept] if plan.state else np.zeros((len(kept), 0)),
        "stamps": _stamps(columns, kept, dataset, number),
        "task": dataset.tasks[int(columns["task_index"][0])],
        "source": episode_source(sources),
        "outcome": outcome,
        "success_index": success_index,
        "episode_id": f"{dataset.root.resolve().name}-{number:06d}",
    }
    if plan.ours:
        values |= _labels(dataset.episodes[number])
    values["proprio"] = values["proprio"].astype(np.float32)
    return Episode(actions=actions, action_sources=sources, contract_hash=plan.contract.hash, **values)


def _matrix(values: np.ndarray, picked: tuple[int, ...]) -> np.ndarray:
    """(N, D) or (N,) to the picked columns, (N, len(picked))."""
    return values.reshape(len(values), -1)[:, list(picked)]


def contract_actions(values: np.ndarray, kept: np.ndarray, plan: Plan, where: str) -> np.ndarray:
    """The dataset's actions (N, A) as the contract's, float32 (len(kept) - 1, A) in [-1, 1].

    Motions between two frames that are kept add up; of the gripper's commands the last one counts.
    """
    actions = values[kept[:-1]] if plan.ours else _scaled(values.astype(np.float64), kept, plan)
    worst = np.abs(actions).max(0)
    if plan.told.clip:
        return np.clip(actions, -1, 1).astype(np.float32)
    if (worst > 1 + 1e-5).any():
        dim = int(worst.argmax())
        name, scale = plan.contract.actions[dim].name, plan.contract.actions[dim].scale
        raise EpisodeError(
            f"{where}: action '{name}' reaches {worst[dim]:.3g} times the contract's scale of {scale:g}; a contract "
            f"with a scale of at least {worst[dim] * scale:.3g} takes it, --clip cuts it"
        )
    return actions.astype(np.float32)


def _scaled(values: np.ndarray, kept: np.ndarray, plan: Plan) -> np.ndarray:
    told, names = plan.told, plan.contract.action_names
    steps = np.diff(values, axis=0, prepend=values[:1]) if plan.action_kind == "target" else values
    motion = np.add.reduceat(steps[: kept[-1]], kept[:-1], axis=0)
    if plan.action_kind != "normalised":
        motion = motion / np.array([dim.scale for dim in plan.contract.actions])
    if "gripper" in names:
        motion[:, -1] = values[kept[1:] - 1, -1]
        if told.gripper_open is not None and told.gripper_closed is not None:
            middle, half = (told.gripper_open + told.gripper_closed) / 2, (told.gripper_open - told.gripper_closed) / 2
            motion[:, -1] = np.clip((motion[:, -1] - middle) / half, -1, 1)
    return motion


def _images(dataset: LeRobotDataset, plan: Plan, number: int, stream_name: str, kept: np.ndarray) -> np.ndarray:
    """uint8 (len(kept), H, W, 3) at the contract's size; what World4RL wrote is cropped already."""
    stream = next(s for s in plan.contract.images if s.name == stream_name)
    wanted = set(kept.tolist())
    frames = np.empty((len(kept), stream.height, stream.width, 3), np.uint8)
    at = 0
    for i, frame in enumerate(dataset.frames(number, plan.images[stream_name])):
        if i not in wanted:
            continue
        try:
            frames[at] = frame if plan.ours else prepare(frame, stream)
        except (ImageError, ValueError) as error:
            raise EpisodeError(f"episode {number}: {error}") from error
        at += 1
    return frames


def _stamps(columns: dict[str, np.ndarray], kept: np.ndarray, dataset: LeRobotDataset, number: int) -> np.ndarray:
    """int64 (len(kept),) [ns]: what was recorded, or the dataset's grid, counted from the episode's beginning."""
    if layout.STAMP in columns:
        return columns[layout.STAMP][kept].astype(np.int64)
    grid = np.arange(len(columns["timestamp"])) / dataset.fps
    off = np.abs(columns["timestamp"] - columns["timestamp"][0] - grid)
    if off.max() > 0.5 / dataset.fps:
        raise EpisodeError(
            f"episode {number}: frame {int(off.argmax())} stands {off.max():.3f} s off the dataset's {dataset.fps:g} "
            "frames per second; resample it first"
        )
    return np.rint(kept * 1e9 / dataset.fps).astype(np.int64) + 1


def _sources(columns: dict[str, np.ndarray], kept: np.ndarray, plan: Plan) -> np.ndarray:
    if layout.ACTION_SOURCE in columns:
        return columns[layout.ACTION_SOURCE][kept[:-1]].astype(np.uint8)
    return np.full(len(kept) - 1, ActionSource[plan.told.sender.upper()], np.uint8)


def _outcome(columns: dict[str, np.ndarray], kept: np.ndarray, plan: Plan) -> tuple[Outcome, int | None]:
    """Outcome and index of the first successful observation; `next.` columns speak of the observation after."""
    last = len(kept) - 1
    if plan.outcome == "unlabelled":
        return Outcome.UNLABELLED, None
    if plan.outcome in ("success", "failure"):
        return (Outcome.SUCCESS, last) if plan.outcome == "success" else (Outcome.FAILURE, None)
    reward = plan.outcome == "reward"
    done = columns[layout.REWARD] >= plan.told.success_reward if reward else columns[layout.SUCCESS].astype(bool)
    if not done.any():
        return Outcome.FAILURE, None
    return Outcome.SUCCESS, min(int(np.searchsorted(kept, int(np.argmax(done)) + 1)), last)


def _labels(row: dict[str, Any]) -> dict[str, Any]:
    """What our columns of the episodes' table say."""
    found = {name: row[layout.label(name)] for name in ("episode_id", "source", "success_index", "seed", "policy_id")}
    return found | {"outcome": Outcome(row[layout.label("outcome")])}
