"""The scripted operator's mind and the rules of an episode, without ROS."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from world4rl_data.contract import TaskContract
from world4rl_data.episode import Outcome

from .experts import ExpertConfig, ToolState, make_expert
from .tasks import Pose

_PACE = 0.9  # of a control period that must have passed since the last action


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
        if self._last_ns is not None and scene.stamp_ns - self._last_ns < _PACE * self._contract.period_s * 1e9:
            return None
        self._last_ns = scene.stamp_ns
        tool = ToolState(scene.position, scene.gripper_width)
        return self._to_contract(self._expert.act(tool, scene.objects, self._rng))

    def _to_contract(self, action: np.ndarray) -> np.ndarray:
        """The expert's dx dy dz (gripper), put where the contract has them; rotations stay 0."""
        values = dict(zip(("dx", "dy", "dz", "gripper"), action.tolist(), strict=False))
        values.setdefault("gripper", -1.0)  # tasks without a hand command are done with the hand closed
        return np.array([values.get(name, 0.0) for name in self._contract.action_names], dtype=np.float32)


@dataclass
class EpisodeMonitor:
    """Decides when an episode is over: some actions after the first success, which has to come by the horizon.

    The same rule as SimEnv's, so that episodes on the graph and in-process have the same shape.
    """

    horizon: int  # executed actions
    after_success: int = 3
    steps: int = field(default=0, init=False)  # actions whose effect the newest scene shows
    success_step: int | None = field(default=None, init=False)
    success_stamp_ns: int | None = field(default=None, init=False)  # of the first successful scene
    _stamps: list[int] = field(default_factory=list, init=False)

    def executed(self, stamp_ns: int) -> None:
        """The gate executed an action that was decided at `stamp_ns`."""
        self._stamps.append(stamp_ns)

    def saw(self, scene: Scene) -> Outcome | None:
        """SUCCESS or FAILURE when the episode is over at this scene, None while it goes on.

        By stamps, not by arrival: a policy may already have acted on the scene that ends the episode.
        """
        self.steps = sum(stamp_ns < scene.stamp_ns for stamp_ns in self._stamps)
        if scene.success and self.success_step is None and self.steps <= self.horizon:
            self.success_step, self.success_stamp_ns = self.steps, scene.stamp_ns
        if self.success_step is not None:
            return Outcome.SUCCESS if self.steps >= self.success_step + self.after_success else None
        return Outcome.FAILURE if self.steps >= self.horizon else None


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
