"""The simulated arm as a gymnasium environment: same contract, same gate and same pixels as on the ROS graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np

from world4rl_data.contract import ContractError, TaskContract
from world4rl_data.episode import ActionSource
from world4rl_data.image import prepare

from .arm import SimArm
from .episode_clock import PERIODS_AFTER_SUCCESS, EpisodeClock
from .experts import ExpertConfig, ToolState, make_expert
from .pictures import picture_size
from .sensors import read_proprio
from .spaces import action_space, observation_space
from .tasks import Task


class GateResult(Protocol):
    """What the gate makes of one action."""

    @property
    def target_position(self) -> np.ndarray:
        """(3,) m"""

    @property
    def target_quat(self) -> np.ndarray:
        """(4,) xyzw"""

    @property
    def gripper(self) -> Any:
        """ "open", "close", or None for no change"""

    @property
    def executed(self) -> np.ndarray:
        """float32 (A,)"""

    @property
    def accepted(self) -> bool: ...

    @property
    def reason(self) -> str: ...


class Gate(Protocol):
    """The part of world4rl_control's SafetyGate that the environment uses (sim does not import control)."""

    def enable(self, position: Any, quat: Any, gripper_width: float | None, now_s: float) -> None:
        """Starts from the measured pose."""

    def apply(self, values: Any, source: int, measured_position: Any, measured_quat: Any, now_s: float) -> GateResult:
        """One action, once per control period."""


@dataclass(frozen=True)
class SimEnvConfig:
    """Episode length is the task's horizon.

    Pictures are rendered at `image_size`, larger where the contract's streams or crops ask for it, and prepared as the
    contract says.
    """

    image_size: int = 64
    periods_after_success: int = PERIODS_AFTER_SUCCESS


class SimEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """One arm, one task.

    Observation: {"images": {stream: uint8 (H, W, 3) RGB}, "proprio": float32 (P,)}. Action: float32 (A,) in [-1, 1].
    Reward 1.0 while the task is done, else 0.0. Terminated `periods_after_success` periods after the first success,
    truncated at the task's horizon where there is none. info: "executed" float32 (A,) (learn from this, not from the
    action), "success" (the task was done in this episode), "success_index" (first successful observation or None),
    "accepted", "reason".
    """

    def __init__(
        self, task: str | Task, contract: TaskContract, gate: Gate, config: SimEnvConfig = SimEnvConfig()
    ) -> None:
        self.contract, self.gate, self.config = contract, gate, config
        cameras = tuple(stream.name for stream in contract.images)
        self.arm = SimArm(task, picture_size(contract, config.image_size), cameras)
        if abs(contract.period_s - self.arm.config.control_period_s) > 1e-9:
            raise ContractError(
                f"contract '{contract.name}' runs at {contract.control_rate_hz} Hz, the simulated arm at "
                f"{1 / self.arm.config.control_period_s:g} Hz: set control_rate_hz to that"
            )
        self.action_space, self.observation_space = action_space(contract), observation_space(contract)
        self._clock = EpisodeClock(self.arm.task.horizon, config.periods_after_success)

    @property
    def horizon(self) -> int:
        """Control periods in an episode."""
        return self._clock.horizon

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Starts an episode from the seed (drawn when None) and enables the gate."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        self.arm.reset(seed)
        self._clock.restart()
        self.gate.enable(*self.arm.pose, self.arm.gripper_width, self.arm.time)
        return self._observe(), {"seed": seed, **self._clock.info}

    def step(
        self, action: np.ndarray, source: int = ActionSource.POLICY
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Passes the action through the gate and advances one control period."""
        result = self.gate.apply(action, source, *self.arm.pose, self.arm.time)
        if result.accepted:
            self.arm.set_target(result.target_position, result.target_quat)
            if result.gripper is not None:
                self.arm.set_gripper(result.gripper)
        self.arm.step()
        success = self.arm.success
        terminated, truncated = self._clock.tick(success)
        info = {"executed": result.executed, "accepted": result.accepted, "reason": result.reason, **self._clock.info}
        return self._observe(), float(success), terminated, truncated, info

    def expert(self, noise: float, rng: np.random.Generator) -> Callable[[], np.ndarray]:
        """The task's scripted expert; each call gives the next action. `noise` is its standard deviation."""
        expert = make_expert(self.arm.task.name, ExpertConfig(noise=noise))
        expert.reset()
        return lambda: expert.act(ToolState(self.arm.pose[0], self.arm.gripper_width), self.arm.objects, rng)

    def _observe(self) -> dict[str, Any]:
        images = {stream.name: prepare(self.arm.render(stream.name), stream) for stream in self.contract.images}
        return {"images": images, "proprio": read_proprio(self.arm, self.contract.proprioception)}

    def render(self) -> np.ndarray:  # type: ignore[override]
        """The first camera's picture as it is rendered, uint8 (height, width, 3)."""
        return self.arm.render(self.contract.images[0].name)

    def close(self) -> None:
        """Frees the renderer."""
        self.arm.close()
