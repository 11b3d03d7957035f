"""The scripted operator's mind and the rules of an episode, without ROS."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from world4rl_data.contract import TaskContract
from world4rl_data.control_period import too_soon
from world4rl_data.episode import Outcome

from .episode_clock import PERIODS_AFTER_SUCCESS, EpisodeClock
from .experts import ExpertConfig, ToolState, make_expert
from .tasks import Pose


@dataclass(frozen=True)
class Scene:
    """What is seen at one instant: stamp [ns], tool position (3,) [m], opening of the hand [m], objects, success."""

    stamp_ns: int
    position: np.ndarray
    gripper_width: float
    objects: dict[str, Pose]
    success: bool = False


class ScriptedOperator:
    """Drives one task as a person by teleoperation would: one action per new scene, with noise and pauses."""

    def __init__(self, task: str, contract: TaskContract, config: ExpertConfig) -> None:
        self._expert, self._contract = make_expert(task, config), contract
        self._needs_gripper = task == "lift_cube"
        if self._needs_gripper and "gripper" not in contract.action_names:
            raise ValueError(f"task {task} needs a gripper action, which contract '{contract.name}' lacks")
        self.start(0)

    def start(self, seed: int) -> None:
        """A new episode; the seed fixes noise and pauses."""
        self._expert.reset()
        self._rng = np.random.default_rng((abs(seed), 1))
        self._last_ns: int | None = None

    def act(self, scene: Scene) -> np.ndarray | None:
        """Action float32 (A,) of the contract for a new scene, or None when the next action is not yet due."""
        if self._last_ns is not None and too_soon((scene.stamp_ns - self._last_ns) * 1e-9, self._contract.period_s):
            return None
        self._last_ns = scene.stamp_ns
        tool = ToolState(scene.position, scene.gripper_width)
        return self._to_contract(self._expert.act(tool, scene.objects, self._rng))

    def _to_contract(self, action: np.ndarray) -> np.ndarray:
        """The expert's dx dy dz (gripper), put where the contract has them; rotations stay 0."""
        values = dict(zip(("dx", "dy", "dz", "gripper"), action.tolist(), strict=False))
        values.setdefault("gripper", -1.0)  # tasks without a hand command are done with the hand closed
        return np.array([values.get(name, 0.0) for name in self._contract.action_names], dtype=np.float32)


class EpisodeMonitor:
    """Decides when an episode on the graph is over, by SimEnv's clock: its periods are the executed actions."""

    def __init__(self, horizon: int) -> None:
        self._clock = EpisodeClock(horizon, PERIODS_AFTER_SUCCESS)
        self._stamps: list[int] = []
        self.success_stamp_ns: int | None = None  # of the first successful scene

    @property
    def steps(self) -> int:
        """Actions whose effect the newest scene shows."""
        return self._clock.steps

    def executed(self, stamp_ns: int) -> None:
        """The gate executed an action that was decided at `stamp_ns`."""
        self._stamps.append(stamp_ns)

    def saw(self, scene: Scene) -> Outcome | None:
        """SUCCESS or FAILURE when the episode is over at this scene, None while it goes on.

        By stamps, not by arrival: a policy may already have acted on the scene that ends the episode.
        """
        steps = sum(stamp_ns < scene.stamp_ns for stamp_ns in self._stamps)
        succeeded, out_of_time = self._clock.at(steps, scene.success)
        if self._clock.success_index is not None and self.success_stamp_ns is None:
            self.success_stamp_ns = scene.stamp_ns
        if succeeded:
            return Outcome.SUCCESS
        return Outcome.FAILURE if out_of_time else None


@dataclass(frozen=True)
class EpisodeResult:
    """How one episode on the graph ended. `uri` is its bag, empty when nothing was recorded."""

    seed: int
    success: bool
    steps: int
    outcome: str
    uri: str


def results_summary(results: list[EpisodeResult], **about: object) -> dict[str, object]:
    """Plain dict for JSON: what was run, the success rate, and every episode."""
    done = sum(result.success for result in results)
    return {
        **about,
        "episodes": len(results),
        "successes": done,
        "success": done / len(results) if results else None,
        "results": [asdict(result) for result in results],
    }
