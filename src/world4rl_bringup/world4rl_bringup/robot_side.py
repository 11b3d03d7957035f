"""The real robot's side of the graph: driver, motion controller and cameras, as specs. Facts: docs/ros.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import yaml

from world4rl_bringup.companions import Companion, IncludeSpec, SpawnerSpec
from world4rl_bringup.options import GraphOptions, OptionError
from world4rl_bringup.paths import share_file
from world4rl_bringup.spec import ParameterValue
from world4rl_data.contract import ContractError, ImageStream, TaskContract

CONTROLLERS = {
    "cartesian_pose": "cartesian_impedance_controller",
    "servo_twist": "joint_trajectory_controller",
    "joint_trajectory": "joint_trajectory_controller",
}
_REALSENSE_TOPIC = re.compile(r"/(\w+)/(\w+)/color/image_raw(?:/compressed)?")
_COMMAND_RATE_HZ = 100.0  # targets between two actions are interpolated
_CONTROLLER_POSE = "/current_pose"  # of crisp's pose broadcaster; controllers stand in the root namespace
_POSE_BROADCASTER = "crisp_controllers/PoseBroadcaster"
_NOT_REHEARSED = (
    "use_fake_hardware:=true with backend:={}: the simulated arm follows poses only: leave backend out, or say "
    "backend:=cartesian_pose"
)


def robot_side(options: GraphOptions, contract: str) -> tuple[list[Companion], list[str]]:
    """What franka_ros2, controller_manager and realsense2_camera are to start; nothing with ``use_fake_hardware``.

    The second list says what else is wrong with the arguments: one reason for each part that cannot be started.
    """
    if options.use_fake_hardware:
        return [], [_NOT_REHEARSED.format(options.backend)] if options.backend != "cartesian_pose" else []
    specs: list[Companion] = []
    problems: list[str] = []
    parts: list[Callable[[], Sequence[Companion]]] = [partial(_driver, options), partial(_controllers, options)]
    images = _images(contract) if options.start_cameras else ()
    parts += [partial(_camera, options, stream, len(images) == 1) for stream in images]
    if images and options.front_serial and options.front_serial == options.wrist_serial:
        problems.append(f"front_serial and wrist_serial are the same camera, {options.front_serial}: give each its own")
    for part in parts:
        try:
            specs += part()
        except OptionError as error:
            problems.append(str(error))
    return specs, list(dict.fromkeys(problems))


def gate_parameters(options: GraphOptions) -> dict[str, ParameterValue]:
    """Parameters of the gate in front of a real arm: backend, rate of its commands, and the controller's own pose."""
    parameters: dict[str, ParameterValue] = {"backend": options.backend, "command_rate_hz": _COMMAND_RATE_HZ}
    try:
        types, names = _controllers_of(options)
    except OptionError:  # told by robot_side
        return parameters
    if any(types[name] == _POSE_BROADCASTER for name in names):
        parameters["controller_pose_topic"] = _CONTROLLER_POSE
    return parameters


def controllers_file(options: GraphOptions) -> Path:
    """The controllers of the driver's controller_manager: the file asked for, or ours."""
    if not options.controllers_yaml:
        return share_file("config/controllers.yaml")
    path = Path(options.controllers_yaml).expanduser().resolve()
    if not path.is_file():
        raise OptionError(f"controllers_yaml {path} is not a file")
    return path


def controller_types(path: Path) -> dict[str, str]:
    """Plugin types of the controllers in a controller_manager's parameter file, by controller name."""
    types: dict[str, str] = {}

    def read(tree: object, inside: bool) -> None:
        for key, value in tree.items() if isinstance(tree, dict) else ():
            here = inside or key.rpartition("/")[2] == "controller_manager"
            if here and isinstance(value, dict) and isinstance(value.get("type"), str):
                types[key] = value["type"]
            else:
                read(value, here)

    read(yaml.safe_load(path.read_text(encoding="utf-8")), False)
    return types


def _driver(options: GraphOptions) -> list[IncludeSpec]:
    if not options.start_driver:
        return []
    if not options.robot_ip:
        raise OptionError(
            "robot_ip is empty: give the address of the arm's control box, such as robot_ip:=172.16.0.2, or say "
            "use_fake_hardware:=true for the simulated arm"
        )
    if not options.load_gripper and not options.controllers_yaml:
        raise OptionError(
            "load_gripper:=false takes fr3_hand_tcp away, the frame that our controllers control: give your own "
            "controllers_yaml, with an end_effector_frame that is there (such as fr3_link8)"
        )
    arguments = {
        "robot_type": options.robot_type,
        "robot_ip": options.robot_ip,
        "load_gripper": str(options.load_gripper).lower(),
        "use_fake_hardware": "false",
        "namespace": "",  # the contract's topics stand in the root namespace
        "controllers_yaml": str(controllers_file(options)),
    }
    install = "install and source franka_ros2 (https://github.com/frankarobotics/franka_ros2)"
    instead = "start_driver:=false where the driver runs elsewhere, or use_fake_hardware:=true for the simulated arm"
    return [IncludeSpec("the driver", "franka_bringup", "franka.launch.py", arguments, install, instead)]


def _controllers_of(options: GraphOptions) -> tuple[dict[str, str], tuple[str, ...]]:
    """Plugin types by controller, and the controllers that move the arm, started here or with the driver elsewhere.

    None with ``controller:=external``: nothing is known of that one.
    """
    if options.controller == "external":
        return {}, ()
    path, name = controllers_file(options), options.controller or CONTROLLERS[options.backend]
    types = controller_types(path)
    if name not in types:
        raise OptionError(f"controller:={name} is not in {path}, which has {', '.join(sorted(types)) or 'none'}")
    # The gate starts at the pose as the controller sees it, which this broadcaster publishes.
    poses = [other for other, kind in types.items() if kind == _POSE_BROADCASTER]
    return types, (*poses, name) if types[name].startswith("crisp_controllers/") else (name,)


def _controllers(options: GraphOptions) -> list[SpawnerSpec]:
    types, names = _controllers_of(options)
    if not names or not (options.controller or options.start_driver):
        return []
    plugins = dict.fromkeys(types[name].partition("/")[0] for name in names)
    return [SpawnerSpec(names, ("controller_manager", *plugins))]


def _images(contract: str) -> tuple[ImageStream, ...]:
    try:
        return TaskContract.load(contract).images
    except ContractError:  # told by refusals
        return ()


def _camera(options: GraphOptions, stream: ImageStream, alone: bool) -> list[IncludeSpec]:
    mend = "start the cameras yourself and say start_cameras:=false"
    names = _REALSENSE_TOPIC.fullmatch(stream.topic)
    if names is None:
        raise OptionError(f"{stream.topic} is not a RealSense colour topic (/NAMESPACE/NAME/color/image_raw): {mend}")
    serial = {"front": options.front_serial, "wrist": options.wrist_serial}.get(stream.name, "")
    if not serial and not alone:
        known = stream.name in ("front", "wrist")
        asked = f"give {stream.name}_serial (rs-enumerate-devices -s lists them)" if known else "it has no argument"
        raise OptionError(f"which camera is stream '{stream.name}'? {asked}, or {mend}")
    width, height, _ = (int(word) for word in options.camera_profile.split("x"))
    if stream.crop and (stream.crop[0] + stream.crop[2] > width or stream.crop[1] + stream.crop[3] > height):
        raise OptionError(f"camera_profile:={options.camera_profile} is smaller than the crop of '{stream.name}'")
    if stream.camera is not None and stream.camera != (width, height):
        asked = "x".join(map(str, stream.camera))
        raise OptionError(f"camera_profile:={options.camera_profile}: stream '{stream.name}' needs pictures of {asked}")
    arguments = {
        "camera_namespace": names[1],
        "camera_name": names[2],
        # The underscore keeps a number from being read as an integer; the node takes it off.
        "serial_no": f"_{serial}" if serial else "''",
        "rgb_camera.color_profile": options.camera_profile,
        "rgb_camera.color_format": "RGB8",
        "enable_depth": "false",
    }
    install = "install realsense2_camera (apt: ros-$ROS_DISTRO-realsense2-camera)"
    instead = "start_cameras:=false where they run already"
    return [IncludeSpec(f"camera '{stream.name}'", "realsense2_camera", "rs_launch.py", arguments, install, instead)]
