"""The simulated Franka on its table: reset from a seed, take targets, advance, take pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .gl import choose_gl
from .pictures import ScenePictures
from .scenes import ARM_JOINTS, HOME_JOINTS, TIMESTEP_S, TOOL_SITE, build_model
from .tasks import Pose, Task, make_task

OPEN_WIDTH_M = 0.08  # of a Franka hand
_GRIPPER_CLOSED_CTRL = 255.0
_PAD_THICKNESS_M = 0.008  # two pads of 4 mm half-thickness: centre distance minus this is the free width
# gym-hil's arm carries a Robotiq hand that opens 85 mm; its width is reported as that of a Franka hand.
_WIDTH_SCALE = OPEN_WIDTH_M / 0.0852


@dataclass(frozen=True)
class SimArmConfig:
    """Physics figures: at .002 s a substep, 50 substeps are one control period of 10 Hz."""

    control_period_s: float = 0.1
    substeps_per_control: int = 2  # torques are renewed every second substep
    start_substeps: int = 400  # from home to the random start pose
    settle_substeps: int = 40


def _hulls_only() -> Any:
    """A mujoco.MjvOption that draws what scenes.py colours: collision hulls and the task's objects."""
    import mujoco

    option = mujoco.MjvOption()
    option.flags[mujoco.mjtVisFlag.mjVIS_CONVEXHULL] = True
    option.geomgroup[:] = 0
    option.geomgroup[[0, 3]] = 1
    return option


class SimArm:
    """A Panda with a parallel gripper above a table, in MuJoCo.

    `task` is a name of `world4rl_sim.tasks.TASKS` or a Task. `image_size` is the side of square pictures, or (height,
    width), in pixels. Poses are in the arm's base frame: metres and quaternions xyzw, of the tool point between the
    finger pads.
    """

    def __init__(
        self,
        task: str | Task,
        image_size: int | tuple[int, int] = 64,
        cameras: tuple[str, ...] = ("front", "wrist"),
        config: SimArmConfig = SimArmConfig(),
    ) -> None:
        choose_gl()
        import mujoco

        from .osc import OperationalSpaceController

        self.task = make_task(task) if isinstance(task, str) else task
        self.config = config
        self.cameras = cameras
        self._mujoco = mujoco
        self._height, self._width = (image_size, image_size) if isinstance(image_size, int) else image_size
        self.model = build_model(self.task.add_objects)
        self._pictures = ScenePictures(self.model, self._height, self._width, _hulls_only())
        self.data = mujoco.MjData(self.model)
        unknown = [name for name in cameras if mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_CAMERA, name) < 0]
        if unknown:
            raise ValueError(f"the scene has no camera {', '.join(unknown)}: it has front, side and wrist")
        self._controller = OperationalSpaceController(self.model)
        self._tool = self.model.site(TOOL_SITE).id
        self._arm_qpos = np.array([self.model.joint(name).qposadr[0] for name in ARM_JOINTS])
        self._arm_dofs = np.array([self.model.joint(name).dofadr[0] for name in ARM_JOINTS])
        self._pads = tuple(self.model.geom(name).id for name in ("left_pad1", "right_pad1"))
        self._grip = self.model.actuator("fingers_actuator").id
        self._target_position: np.ndarray = np.zeros(3)
        self._target_quat_wxyz = np.array([1.0, 0.0, 0.0, 0.0])
        self._unused_time_s = 0.0
        self._go_home()
        self.home_pose: Pose = self.pose

    def reset(self, seed: int, start: Pose | None = None) -> None:
        """Starts an episode: same seed (any int), same start state. The picture shows it at once.

        `start`: tool pose to begin at instead of the seed's.
        """
        rng = np.random.default_rng(abs(seed) * 2 + (seed < 0))
        position = rng.uniform(self.task.tool_start_low, self.task.tool_start_high)
        self._mujoco.mj_resetData(self.model, self.data)
        self.task.place(self.model, self.data, rng)  # before anything is computed: no trace of the last episode
        self._go_home()
        self.set_gripper("open" if self.task.gripper_start == "open" else "close")
        self.set_target(*(start or (position, self.home_pose[1])))
        self._substeps(self.config.start_substeps + self.config.settle_substeps)
        self.data.time = 0.0
        self._unused_time_s = 0.0
        self._refresh()

    def _go_home(self) -> None:
        self.data.qpos[self._arm_qpos] = HOME_JOINTS
        self._mujoco.mj_forward(self.model, self.data)
        self.set_target(*self.pose)

    def set_target(self, position: np.ndarray, quat: np.ndarray) -> None:
        """Pose that the tool is drawn to from now on: xyz [m] and unit quaternion xyzw, base frame."""
        position, quat = np.array(position, dtype=float), np.array(quat, dtype=float)
        norm = float(np.linalg.norm(quat))
        if position.shape != (3,) or quat.shape != (4,) or not np.isfinite(position).all() or not 0.5 < norm < 2.0:
            raise ValueError(f"target pose must be xyz and a unit quaternion xyzw, got {position} and {quat}")
        self._target_position = position
        self._target_quat_wxyz = np.roll(quat / norm, 1)

    def set_gripper(self, command: Literal["open", "close"]) -> None:
        """Opens or closes the fingers from now on."""
        if command not in ("open", "close"):
            raise ValueError(f"gripper command must be 'open' or 'close', got '{command}'")
        self.set_gripper_width(OPEN_WIDTH_M if command == "open" else 0.0)

    def set_gripper_width(self, width: float) -> None:
        """Moves the fingers towards an opening [m], clamped to 0 (closed) to 0.08, from now on."""
        closed = 1.0 - min(max(width / OPEN_WIDTH_M, 0.0), 1.0)
        self.data.ctrl[self._grip] = closed * _GRIPPER_CLOSED_CTRL

    def step(self) -> None:
        """Advances one control period."""
        self.advance(self.config.control_period_s)

    def advance(self, dt: float) -> None:
        """Advances the physics by `dt` seconds; what is less than a substep is kept for the next call."""
        self._unused_time_s += dt
        substeps = int(self._unused_time_s / TIMESTEP_S + 1e-6)
        self._unused_time_s -= substeps * TIMESTEP_S
        self._substeps(substeps)
        self._refresh()

    def _substeps(self, count: int) -> None:
        stride, arm = self.config.substeps_per_control, len(ARM_JOINTS)
        for done in range(0, count, stride):
            self.data.ctrl[:arm] = self._controller.torques(self.data, self._target_position, self._target_quat_wxyz)
            self._mujoco.mj_step(self.model, self.data, nstep=min(stride, count - done))

    def _refresh(self) -> None:
        """Brings poses and pictures up to the state: without this they are one substep (or one reset) old."""
        self._mujoco.mj_kinematics(self.model, self.data)
        self._mujoco.mj_comPos(self.model, self.data)
        self._mujoco.mj_camlight(self.model, self.data)
        self.task.paint(self.model, self.data)

    def render(self, camera: str) -> np.ndarray:
        """Picture of the present state, uint8 (height, width, 3), RGB."""
        if camera not in self.cameras:
            raise ValueError(f"camera '{camera}' is not among {self.cameras}")
        return self._pictures.take(self.data, camera)

    @property
    def pose(self) -> Pose:
        """Tool position (3,) [m] and orientation (4,) xyzw."""
        quat = np.zeros(4)
        self._mujoco.mju_mat2Quat(quat, self.data.site_xmat[self._tool])
        return self.data.site_xpos[self._tool].copy(), np.roll(quat, -1)

    @property
    def target(self) -> Pose:
        """The pose that the tool is being drawn to."""
        return self._target_position.copy(), np.roll(self._target_quat_wxyz, -1)

    @property
    def joint_positions(self) -> np.ndarray:
        """Arm joints (7,) [rad]."""
        return self.data.qpos[self._arm_qpos].copy()

    @property
    def joint_velocities(self) -> np.ndarray:
        """Arm joints (7,) [rad/s]."""
        return self.data.qvel[self._arm_dofs].copy()

    @property
    def gripper_width(self) -> float:
        """Opening of the hand [m], 0 (closed) to 0.08."""
        left, right = (self.data.geom_xpos[pad] for pad in self._pads)
        free = float(np.linalg.norm(left - right)) - _PAD_THICKNESS_M
        return min(max(0.0, free * _WIDTH_SCALE), OPEN_WIDTH_M)

    @property
    def objects(self) -> dict[str, Pose]:
        """Pose of each object of the task."""
        return self.task.objects(self.model, self.data)

    @property
    def success(self) -> bool:
        """True while the task is done."""
        return self.task.success(self.model, self.data, self.data.site_xpos[self._tool])

    @property
    def time(self) -> float:
        """Seconds of simulated time since the reset."""
        return float(self.data.time)

    def close(self) -> None:
        """Frees the OpenGL context; the arm can still move but a next picture makes a new one."""
        self._pictures.close()

    def __enter__(self) -> SimArm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
