"""The best, a middling and the worst dream of a group, as films and strips."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from world4rl.model_measures.inputs import Group
from world4rl.presentation.video import write_film
from world4rl_wm.measures.dreams import Starts, dream_batches
from world4rl_wm.model.frames import to_float
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.pictures import side_by_side
from world4rl_wm.reward.model import RewardModel

STRIP_FRAMES = 6
SCALE = 3  # pixels of a strip per pixel of a frame


def chosen(error: NDArray[np.floating]) -> dict[str, int]:
    """Places of the smallest, the median and the largest of ``(E,)``; fewer where there are fewer, NaN left out."""
    order = [int(i) for i in np.argsort(error) if np.isfinite(error[i])]
    if not order:
        return {}
    return {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}


def write_films(
    model: WorldModel,
    judge: RewardModel | None,
    group: Group,
    number: int,
    error: NDArray[np.floating],
    out: Path,
    seed: int,
) -> list[dict[str, Any]]:
    """Dream the chosen episodes of a group again and write `out`/clips/*.mp4 and `out`/strips/*.png.

    The group's `number` keeps files of groups apart whose stores have the same folder name.

    Returns:
        For each: `what` (best, median, worst), `episode`, `error` (that of the measured dream), `name` of the files.
    """
    places = chosen(error)
    if not places:
        return []
    rows = [group.episodes[place] for place in places.values()]
    longest = max(group.store.infos[row].length for row in rows)
    starts = Starts.of(group.store, rows, model.history, every=longest)
    batch = next(dream_batches(model, starts, longest, seed))
    found = []
    for (what, place), row, index in zip(places.items(), rows, batch.starts.argsort().tolist()):
        length = group.store.infos[row].length
        real = np.array(group.store.frames(row))
        dreamed = np.concatenate([real[:1], batch.dreamed[index, :length].numpy()])
        name = re.sub(r"\W+", "-", f"{number} {group.name} {what}")
        probability = None
        if judge is not None:
            device = next(judge.parameters()).device
            frames = to_float(torch.from_numpy(dreamed).to(device))
            probability = judge.probability(frames).tolist()
        write_film(real, dreamed, out / "clips" / f"{name}.mp4", probability, group.store.contract.control_rate_hz)
        write_strip(real, dreamed, out / "strips" / f"{name}.png")
        info = group.store.infos[row]
        found.append({"what": what, "episode": info.episode_id, "error": float(error[place]), "name": name})
    return found


def write_strip(real: NDArray[np.uint8], dreamed: NDArray[np.uint8], path: Path) -> Path:
    """Some moments of two episodes ``(T, C, H, W)`` as one picture: what was real above, what was dreamed below."""
    moments = np.unique(np.linspace(0, len(real) - 1, min(STRIP_FRAMES, len(real))).round().astype(int))
    rows = [np.concatenate([side_by_side(frames[t]) for t in moments], axis=1) for frames in (real, dreamed)]
    picture = np.concatenate(rows, axis=0).repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f".{path.stem}.building.png")
    if not cv2.imwrite(str(building), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"cannot write {path}")
    building.replace(path)
    return path
