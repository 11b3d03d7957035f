"""Scripted experts: proportional control to way points, from what a person at the joystick could see."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .tasks import Pose


@dataclass(frozen=True)
class ToolState:
    """What the expert sees of the arm: tool position (3,) [m], opening of the hand [m]."""

    position: np.ndarray
    gripper_width: float


@dataclass(frozen=True)
class ExpertConfig:
    """How well the expert does it. Actions are in [-1, 1]; 1 is `scale_m` per control period."""

    noise: float = 0.1  # standard deviation added to every translation action
    hesitation: float = 0.0  # probability, per control period, of stopping for 1 to 3 periods
    scale_m: float = 0.03
    gain: float = 0.8  # below 1: the arm lags behind its target, the full way would overshoot


@dataclass
class WaypointExpert:
    """Heads for the way point that the subclass names, with noise and pauses."""

    config: ExpertConfig = field(default_factory=ExpertConfig)
    _pause: int = field(default=0, init=False)

    def reset(self) -> None:
        """Forgets the last episode."""
        self._pause = 0

    def act(self, tool: ToolState, objects: dict[str, Pose], rng: np.random.Generator) -> np.ndarray:
        """Action float32 (3,), or (4,) where `plan` commands the gripper; in [-1, 1]."""
        waypoint, gripper = self.plan(tool, {name: pose[0] for name, pose in objects.items()})
        move = self.config.gain * (waypoint - tool.position) / self.config.scale_m
        move = np.clip(move, -1.0, 1.0) + self.config.noise * rng.standard_normal(3)
        if self._pauses(rng):
            move = np.zeros(3)
        action = np.clip(move, -1.0, 1.0)
        return np.asarray(action if gripper is None else [*action, gripper], dtype=np.float32)

    def _pauses(self, rng: np.random.Generator) -> bool:
        if self._pause > 0:
            self._pause -= 1
            return True
        if self.config.hesitation > 0.0 and rng.random() < self.config.hesitation:
            self._pause = int(rng.integers(0, 3))
            return True
        return False

    def plan(self, tool: ToolState, objects: dict[str, np.ndarray]) -> tuple[np.ndarray, float | None]:
        """Way point xyz [m] and gripper command (+1 open, -1 close, None where the contract has no gripper)."""
        raise NotImplementedError


class PressExpert(WaypointExpert):
    """Hovers over the button until within 2.2 cm sideways, then descends."""

    hover_m, near_m, press_depth_m = 0.05, 0.022, 0.07

    def plan(self, tool: ToolState, objects: dict[str, np.ndarray]) -> tuple[np.ndarray, float | None]:
        button = objects["button"]
        sideways = np.hypot(*(button - tool.position)[:2])
        height = -self.press_depth_m if sideways < self.near_m else self.hover_m
        return button + (0.0, 0.0, height), None


class PushExpert(WaypointExpert):
    """Goes behind the cube (seen from the zone), lines up, and pushes it into the zone."""

    behind_m, travel_height_m, push_height_m = 0.065, 0.105, 0.03
    near_m, lane_m = 0.025, 0.02

    def plan(self, tool: ToolState, objects: dict[str, np.ndarray]) -> tuple[np.ndarray, float | None]:
        cube, zone = objects["cube"], objects["zone"]
        way = (zone - cube)[:2]
        way = way / max(float(np.linalg.norm(way)), 1e-6)
        offset = tool.position[:2] - cube[:2]
        along, across = float(offset @ way), float(abs(offset[0] * way[1] - offset[1] * way[0]))
        start = np.append(cube[:2] - self.behind_m * way, self.push_height_m)
        is_low = tool.position[2] < self.push_height_m + 0.025
        if along < 0 and across < self.lane_m and is_low:
            # Aims a little behind the cube's far side: past the cube's centre so that the push goes on.
            return np.append(cube[:2] + 0.02 * way, self.push_height_m), None
        if np.linalg.norm(tool.position[:2] - start[:2]) < self.near_m:
            return start, None
        return start + (0.0, 0.0, self.travel_height_m - self.push_height_m), None


class LiftExpert(WaypointExpert):
    """Hovers over the cube with the hand open, descends, closes, raises."""

    hover_m, near_m, closed_on_cube_m = 0.06, 0.016, 0.052

    def plan(self, tool: ToolState, objects: dict[str, np.ndarray]) -> tuple[np.ndarray, float | None]:
        cube = objects["cube"]
        offset = cube - tool.position
        sideways = float(np.hypot(*offset[:2]))
        at_cube = sideways < self.near_m and abs(offset[2]) < 0.015
        if at_cube and tool.gripper_width < self.closed_on_cube_m:
            return tool.position + (0.0, 0.0, 0.05), -1.0
        if at_cube:
            return cube, -1.0
        if sideways < self.near_m:
            return cube, 1.0
        return cube + (0.0, 0.0, self.hover_m), 1.0


EXPERTS: dict[str, type[WaypointExpert]] = {
    "press_button": PressExpert,
    "push_cube": PushExpert,
    "lift_cube": LiftExpert,
}


def make_expert(task: str, config: ExpertConfig = ExpertConfig()) -> WaypointExpert:
    """The expert of the task called `task`."""
    if task not in EXPERTS:
        raise ValueError(f"no scripted expert for task '{task}': choose one of {', '.join(EXPERTS)}")
    return EXPERTS[task](config)
