"""Where the end effector goes in a dream, as lines in space with colours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from torch import Tensor

from world4rl_data.contract import TaskContract
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.imagination.dream_stream import DreamStep

AXES = ("position.x", "position.y", "position.z")
UNKNOWN = (0.6, 0.6, 0.6)
Colour = tuple[float, float, float]


def position_columns(contract: TaskContract) -> tuple[int, int, int] | None:
    """Which numbers of the proprioception are the end effector's position [m]; None where the contract names none.

    They are the fields `...position.x`, `.y` and `.z` of one stream, as in a PoseStamped.
    """
    first = 0
    for stream in contract.proprioception:
        found = [next((i for i, f in enumerate(stream.fields) if f.endswith(axis)), None) for axis in AXES]
        if None not in found:
            x, y, z = (first + i for i in found if i is not None)
            return x, y, z
        first += len(stream.fields)
    return None


def colour_of(goodness: float) -> Colour:
    """Red at 0, yellow at 0.5, green at 1; grey where nothing is known (NaN)."""
    if not np.isfinite(goodness):
        return UNKNOWN
    goodness = min(1.0, max(0.0, goodness))
    return min(1.0, 2 - 2 * goodness), min(1.0, 2 * goodness), 0.0


@dataclass(frozen=True)
class PathColours:
    """What a path's colour tells: the probability of success, or the uncertainty (red at `full_uncertainty` or more).

    Where the one asked for is not estimated, the other is shown; grey says that neither is.
    """

    by: Literal["success_probability", "uncertainty"] = "success_probability"
    full_uncertainty: float = 0.1

    def colours(self, step: DreamStep) -> list[Colour]:
        """One for each of the step's dreams."""
        success = step.success_probability.float().cpu().numpy()
        unsure = step.uncertainty.float().cpu().numpy()
        sure = np.where(unsure > 0, 1 - unsure / self.full_uncertainty, np.nan)
        first, other = (success, sure) if self.by == "success_probability" else (sure, success)
        return [colour_of(float(value)) for value in np.where(np.isfinite(first), first, other)]


@dataclass
class ImaginedPaths:
    """The lines of a dream that is being dreamt: one per sample, from where the arm really is."""

    columns: tuple[int, int, int]
    colours: PathColours = PathColours()
    points: list[list[tuple[float, float, float]]] = field(default_factory=list)
    """Of each sample, the positions [m] in the contract's base frame."""
    point_colours: list[list[Colour]] = field(default_factory=list)

    def start(self, dream: Dream) -> None:
        """Begin with the position in the last real frame; without proprioception there are no lines."""
        now = [] if dream.proprio is None else self._positions(dream.proprio[:, -1])
        self.points = [[position] if np.isfinite(position).all() else [] for position in now]
        self.point_colours = [[UNKNOWN] * len(points) for points in self.points]

    def add(self, step: DreamStep) -> None:
        """Go on by a step. A position that is not finite is left out."""
        if step.proprio is None:
            return
        for i, (position, colour) in enumerate(zip(self._positions(step.proprio), self.colours.colours(step))):
            if np.isfinite(position).all():
                self.points[i].append(position)
                self.point_colours[i].append(colour)

    def _positions(self, proprio: Tensor) -> list[tuple[float, float, float]]:
        return [(x, y, z) for x, y, z in proprio[:, list(self.columns)].float().cpu().tolist()]
