"""A Meta-World task as an environment of this project: contract, pictures, sparse success, start states by seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np

from world4rl_data.contract import ContractError, TaskContract
from world4rl_data.episode import ActionSource
from world4rl_data.image import prepare
from world4rl_data.observation import read_field, stack_proprio

from ..episode_clock import EpisodeClock
from ..pictures import ScenePictures, plain_quality
from ..spaces import action_space, observation_space
from .cameras import camera
from .expert import MetaWorldExpert, MetaWorldExpertConfig
from .meshes import coarsen
from .names import TASKS, environment_class, full_name

STEP_RATE_HZ = 80.0  # of Meta-World: 5 substeps of 2.5 ms
STEP_M = 0.01  # how far an action of 1 moves the hand's target in one of its steps
OPEN_WIDTH_M = 0.1  # of its hand; its observation gives the opening as a share of this
HAND_TOPIC, TARGET_TOPIC, FINGER_TOPIC = "/metaworld/hand_pose", "/metaworld/target_pose", "/metaworld/finger_states"
_ACTIONS = ("dx", "dy", "dz", "gripper")
_STILL_OPEN = np.array([0.0, 0.0, 0.0, -1.0])  # as its own reset holds the hand


@dataclass(frozen=True)
class MetaWorldEnvConfig:
    """`supersampling`: pictures are rendered this many times larger than the contract's and area-averaged.

    `settle_steps` of Meta-World's steps pass between its reset and the first observation: right after the reset some
    pictures do not show the moved object, and the arm still swings, which would look like the first action's doing.
    Fine meshes, the arm's above all, are drawn on a grid of `mesh_cell_m` [m], which is a third of a pixel at 32x32.
    An episode goes on for `after_success_s` [s] after its success: what is done stays done, and only data that shows it
    lets a dream be asked for a success that stays.
    """

    supersampling: int = 2
    settle_steps: int = 20
    after_success_s: float = 0.5
    mesh_cell_m: float = 0.01

    def periods_after_success(self, contract: TaskContract) -> int:
        """`after_success_s` in the contract's control periods."""
        return round(self.after_success_s * contract.control_rate_hz)


class MetaWorldEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """One of Meta-World's tasks (`door-lock`, `door-lock-v3`), its physics and success predicate untouched.

    The contract decides how long an action lasts (``80 Hz / control_rate_hz`` of Meta-World's steps) and how long an
    episode (`max_episode_s`). Action: float32 (4,), translation and gripper, +1 open. Reward 1.0 while the task is done
    at the end of a control period, so that its picture shows it, else 0.0. Terminated `after_success_s` after the first
    success, truncated at the horizon where there is none. info: as of `TaskEnv`; "executed" is the action clipped
    to [-1, 1].
    """

    def __init__(self, task: str, contract: TaskContract, config: MetaWorldEnvConfig = MetaWorldEnvConfig()) -> None:
        name = full_name(task)
        if name is None:
            raise ValueError(f"Meta-World has no task '{task}': choose one of {', '.join(TASKS)}")
        self.task, self.contract, self.config = name, contract, config
        self.action_repeat = _action_repeat(contract)
        horizon = max(1, round(contract.max_episode_s * contract.control_rate_hz))
        self._clock = EpisodeClock(horizon, config.periods_after_success(contract))
        self._env = _all_seeing(environment_class(name)())
        self._env.max_path_length = 10**9  # episodes end by the contract
        plain_quality(self._env.model)
        coarsen(self._env.model, config.mesh_cell_m)
        self._cameras = {stream.name: camera(stream.name, self._env.model) for stream in contract.images}
        self._pictures = {
            size: ScenePictures(self._env.model, *size) for size in {self._size(name) for name in self._cameras}
        }
        self._state = np.zeros(39)
        self.action_space, self.observation_space = action_space(contract), observation_space(contract)

    @property
    def horizon(self) -> int:
        """Control periods in an episode."""
        return self._clock.horizon

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode from the seed (drawn when None); the same seed, the same start state."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        self._env.seed(seed)
        self._env.reset()
        for _ in range(self.config.settle_steps):
            self._state = self._env.step(_STILL_OPEN)[0]
        self._clock.restart()
        return self._observe(), {"seed": seed, **self._clock.info}

    def step(
        self, action: np.ndarray, source: int = ActionSource.POLICY
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Hold the action for one control period. Raises ValueError for one that is not finite or not (4,)."""
        executed = np.clip(np.asarray(action, dtype=np.float32), -1.0, 1.0)
        if executed.shape != (len(_ACTIONS),) or not np.isfinite(executed).all():
            raise ValueError(f"an action must be {len(_ACTIONS)} finite numbers, got {action}")
        theirs = np.append(executed[:3], -executed[3]).astype(np.float64)
        for _ in range(self.action_repeat):
            self._state, _, _, _, told = self._env.step(theirs)
        success = bool(told["success"])
        terminated, truncated = self._clock.tick(success)
        info = {"executed": executed, "accepted": True, "reason": "", **self._clock.info}
        return self._observe(), float(success), terminated, truncated, info

    def expert(self, noise: float, rng: np.random.Generator) -> Callable[[], np.ndarray]:
        """Meta-World's own policy of the task; each call gives the next action."""
        expert = MetaWorldExpert(self.task, self.action_repeat, MetaWorldExpertConfig(noise=noise))
        return lambda: expert.act(self._state, rng)

    def _observe(self) -> dict[str, Any]:
        for site, position in self._env._target_site_config:  # mj_forward puts the goal's marker back to its XML place
            self._env._set_pos_site(site, position)
        images = {stream.name: prepare(self._take(stream.name), stream) for stream in self.contract.images}
        return {"images": images, "proprio": self._proprio()}

    def _proprio(self) -> np.ndarray:
        def pose(position: np.ndarray) -> SimpleNamespace:
            return SimpleNamespace(
                pose=SimpleNamespace(position=SimpleNamespace(**dict(zip("xyz", position.tolist(), strict=True))))
            )

        finger = float(np.clip(self._state[3], 0.0, 1.0)) * OPEN_WIDTH_M / 2  # each stands at half the width
        messages = {
            HAND_TOPIC: pose(self._state[:3]),
            TARGET_TOPIC: pose(self._env.data.mocap_pos[0]),  # actions move it, the hand follows as far as it can
            FINGER_TOPIC: SimpleNamespace(name=["left", "right"], position=[finger, finger]),
        }
        unknown = [s.topic for s in self.contract.proprioception if s.topic not in messages]
        if unknown:
            raise ContractError(f"Meta-World's arm does not tell {', '.join(unknown)}: it has {', '.join(messages)}")
        return stack_proprio(
            read_field(messages[stream.topic], field)
            for stream in self.contract.proprioception
            for field in stream.fields
        )

    def _size(self, stream: str) -> tuple[int, int]:
        """Height and width that a stream's pictures are rendered at."""
        asked = next(s for s in self.contract.images if s.name == stream)
        return asked.height * self.config.supersampling, asked.width * self.config.supersampling

    def _take(self, stream: str) -> np.ndarray:
        return self._pictures[self._size(stream)].take(self._env.data, self._cameras[stream])

    def render(self) -> np.ndarray:  # type: ignore[override]
        """The first camera's picture, uint8 (H, W, 3), larger than the contract's by `supersampling`."""
        return self._take(self.contract.images[0].name)

    def close(self) -> None:
        """Free the renderers."""
        for pictures in self._pictures.values():
            pictures.close()


def _action_repeat(contract: TaskContract) -> int:
    """How many of Meta-World's steps an action lasts.

    Raises:
        ContractError: rate, actions or scales of the contract are not Meta-World's.
    """
    repeat = round(STEP_RATE_HZ / contract.control_rate_hz)
    if repeat < 1 or abs(repeat * contract.control_rate_hz - STEP_RATE_HZ) > 1e-3:
        raise ContractError(
            f"contract '{contract.name}' runs at {contract.control_rate_hz:g} Hz: an action must last a whole number "
            f"of Meta-World's steps, so set control_rate_hz to {STEP_RATE_HZ:g} / N"
        )
    if contract.action_names != _ACTIONS:
        raise ContractError(f"contract '{contract.name}' has actions {contract.action_names}, Meta-World {_ACTIONS}")
    wrong = [a.name for a in contract.actions[:3] if abs(a.scale - repeat * STEP_M) > 1e-9]
    if wrong:
        raise ContractError(
            f"contract '{contract.name}': at {contract.control_rate_hz:g} Hz an action of 1 moves Meta-World's hand "
            f"{repeat * STEP_M:g} m, so set the scale of {', '.join(wrong)} to that"
        )
    return repeat


def _all_seeing(env: Any) -> Any:
    """Set up as Meta-World's benchmarks do: start states drawn by seed, the goal in the observation (the expert's)."""
    env._partially_observable = False
    env.__dict__.pop("sawyer_observation_space", None)  # cached with the goal hidden
    env._freeze_rand_vec, env.seeded_rand_vec = False, True
    env._set_task_called = True
    return env
