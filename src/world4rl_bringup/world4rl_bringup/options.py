"""What a user may choose about the graph: one definition for launch arguments, the runner's options and the docs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


class OptionError(ValueError):
    """An option of the graph is unknown or has a value that cannot be used; the message says what to write instead."""


def option(default: bool | int | float | str, help: str) -> Any:
    """A field of :class:`GraphOptions` with the sentence that ``--show-args`` and ``--help`` print."""
    return field(default=default, metadata={"help": help})


_CHOICES = {
    "log_level": ("debug", "info", "warn", "error", "fatal"),
    "backend": ("cartesian_pose", "servo_twist", "joint_trajectory"),
    "teleop": ("", "spacemouse", "joystick", "keyboard"),
}


@dataclass(frozen=True)
class GraphOptions:
    """Options of every mode; :data:`world4rl_bringup.graph.MODES` says which of them a mode reads."""

    namespace: str = option("world4rl", "Namespace of World4RL's own nodes. The robot's topics come from the contract.")
    contract: str = option("", "Task contract: a name in world4rl_data/contracts or a path. Empty: the mode's own.")
    task: str = option(
        "press_button", "Scene of the simulated arm: press_button, push_cube, lift_cube (not a real arm)."
    )
    seed: int = option(0, "Seed of the simulated start state and of the scripted operator (not a real arm).")
    lockstep: bool = option(False, "Simulated arm waits for an action in every control period instead of the clock.")
    real_time_factor: float = option(1.0, "Speed of simulated time against real time, above 0.")
    policy: bool = option(False, "Start the policy node also without a checkpoint (~/load_checkpoint loads one).")
    policy_checkpoint: str = option("", "Folder of the policy to load at the start; it acts once it is enabled.")
    imagination: bool = option(False, "Start the imagination node also without world_model_checkpoint.")
    world_model_checkpoint: str = option("", "Folder of the world model to load at the start.")
    learned: bool = option(True, "Start policy and imagination. False: they run elsewhere (learned.launch.py).")
    operator: bool = option(False, "Start the scripted operator, which demonstrates the task and labels episodes.")
    reward_checkpoint: str = option("", "Folder of the reward model, for success probabilities in dreams.")
    episodes: int = option(10, "Episodes of the scripted operator, or of the policy in deploy_sim.")
    results: str = option("", "JSON file that receives the outcome of each of those episodes. Empty: none.")
    exit_when_done: bool = option(True, "End the graph after those episodes; false: keep it up.")
    record: bool = option(True, "Start the recorder. It writes episodes between start_episode and stop_episode.")
    bags_dir: str = option("bags", "Folder for the recorder's bags, one folder per episode.")
    use_sim_time: bool = option(False, "Take time from /clock. The modes with a simulated arm always do.")
    robot_ip: str = option("", "Address of the arm's control box (FCI switched on in Desk). The driver needs it.")
    robot_type: str = option("fr3", "Robot type for franka_bringup. Only fr3 is supported.")
    load_gripper: bool = option(True, "The arm carries a Franka Hand, and the driver is to start it.")
    use_fake_hardware: bool = option(False, "Start the simulated arm in place of the driver: nothing real moves.")
    start_driver: bool = option(True, "Include franka_bringup's franka.launch.py. False: the driver runs already.")
    backend: str = option(
        "cartesian_pose",
        "How the gate moves the arm: cartesian_pose (crisp_controllers), servo_twist (MoveIt Servo) "
        "or joint_trajectory.",
    )
    controller: str = option(
        "",
        "Motion controller to spawn from controllers_yaml. Empty: the backend's own, or none with "
        "start_driver:=false. 'external': you start it.",
    )
    controllers_yaml: str = option(
        "", "Controllers of the driver's controller_manager. Empty: world4rl_bringup's config/controllers.yaml."
    )
    dead_man_topic: str = option("", "Joy topic (such as /joy) with a button that must be held for the arm to move.")
    dead_man_button: int = option(10, "Index of that button.")
    start_cameras: bool = option(True, "Include realsense2_camera for the contract's cameras. False: they run already.")
    front_serial: str = option("", "Serial number of the RealSense behind the contract's stream 'front'.")
    wrist_serial: str = option("", "Serial number of the RealSense behind the contract's stream 'wrist'.")
    camera_profile: str = option("640x480x30", "Colour profile of the cameras: WIDTHxHEIGHTxRATE.")
    teleop: str = option(
        "",
        "Device of a human operator: spacemouse, joystick or keyboard. Empty: none. Its driver is started, too.",
    )
    explorer: bool = option(False, "Start the random explorer; it acts once ~/enable is called.")
    trust_world_model: str = option(
        "", "World model whose surprise stops the policy above the limit in its trust.json. Empty: no such watch."
    )
    rviz: bool = option(False, "Start RViz with World4RL's views of cameras, dreams and the arm.")
    params_file: str = option("", "ROS parameter file read after the defaults; keys such as /**/recorder.")
    log_level: str = option("info", "Log level of the nodes: debug, info, warn, error or fatal.")
    autostart: bool = option(True, "Configure and activate the lifecycle nodes (recorder, policy) after the start.")

    def __post_init__(self) -> None:
        if not self.real_time_factor > 0:
            raise OptionError(f"real_time_factor must be above 0, got {self.real_time_factor}")
        if not all(part.isidentifier() for part in self.namespace.strip("/").split("/") if self.namespace.strip("/")):
            raise OptionError(f"namespace must be made of letters, digits, _ and /, got {self.namespace!r}")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                words = ", ".join(word or "empty" for word in known)
                raise OptionError(f"{name} must be one of {words}, got {getattr(self, name)!r}")
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*x[1-9]\d*", self.camera_profile):
            raise OptionError(f"camera_profile must be such as 640x480x30, got {self.camera_profile!r}")

    @property
    def ros_namespace(self) -> str:
        """The namespace with its leading slash; ``/`` for none."""
        return "/" + self.namespace.strip("/")


def help_of(name: str) -> str:
    """The help sentence of an option."""
    return next(f.metadata["help"] for f in fields(GraphOptions) if f.name == name)


def default_of(name: str) -> bool | int | float | str:
    """The default of an option."""
    return next(f.default for f in fields(GraphOptions) if f.name == name)  # type: ignore[return-value]


def parse_option(name: str, text: str) -> bool | int | float | str:
    """An option's value from its text, in the type of its default; booleans as launch writes them (true, false)."""
    if name not in {f.name for f in fields(GraphOptions)}:
        raise OptionError(f"no such option: {name!r}")
    kind = type(default_of(name))
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise OptionError(f"{name} must be true or false, got {text!r}")
        return text.lower() in ("true", "1")
    try:
        return kind(text)
    except ValueError as error:
        raise OptionError(f"{name} must be {'an integer' if kind is int else 'a number'}, got {text!r}") from error


def parse_options(texts: Mapping[str, str]) -> GraphOptions:
    """Options from name and text pairs. Raises :class:`OptionError` naming the first that cannot be read."""
    return GraphOptions(**{name: parse_option(name, text) for name, text in texts.items()})  # type: ignore[arg-type]
