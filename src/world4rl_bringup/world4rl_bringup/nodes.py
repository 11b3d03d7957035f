"""One function per node of the graph: its spec from the options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from world4rl_bringup.options import GraphOptions, OptionError
from world4rl_bringup.paths import parameter_file, share_file
from world4rl_bringup.spec import CLOSING_S, NodeSpec, ParameterValue

CHECKPOINTS = ("policy_checkpoint", "world_model_checkpoint", "reward_checkpoint")
_ROOT = "/"
# Our topics in rviz/world4rl.rviz; remapped where the graph stands in another namespace.
RVIZ_TOPICS = ("imagination/frames", "imagination/real", "imagination/markers", "sim_arm/objects")


def _node(
    options: GraphOptions,
    package: str,
    name: str,
    parameters: dict[str, ParameterValue],
    lifecycle: bool = False,
    finishes: bool = False,
) -> NodeSpec:
    files = [parameter_file(name)]
    if options.params_file:
        path = Path(options.params_file).expanduser().resolve()
        if not path.is_file():
            raise OptionError(f"params_file {path} is not a file")
        files.append(path)
    return NodeSpec(
        package=package,
        executable=name,
        name=name,
        namespace=options.ros_namespace,
        parameters=parameters,
        parameter_files=tuple(files),
        lifecycle=lifecycle,
        finishes=finishes,
        log_level=options.log_level,
    )


def sim_nodes(options: GraphOptions, contract: str, sim_time: bool) -> list[NodeSpec]:
    """The simulated arm and the gate in front of it."""
    sim = _node(
        options,
        "world4rl_sim",
        "sim_arm",
        {
            "contract": contract,
            "task": options.task,
            "seed": options.seed,
            "lockstep": options.lockstep,
            "real_time_factor": options.real_time_factor,
        },
    )
    return [sim, gate(options, contract, sim_time)]


def gate(options: GraphOptions, contract: str, sim_time: bool, robot: Mapping[str, ParameterValue] = {}) -> NodeSpec:
    """The safety gate; ``robot`` are the parameters that only a real arm needs."""
    parameters: dict[str, ParameterValue] = {"contract": contract, "use_sim_time": sim_time, **robot}
    if options.dead_man_topic:
        parameters |= {"dead_man_topic": options.dead_man_topic, "dead_man_button": options.dead_man_button}
    return _node(options, "world4rl_control", "arm_gate", parameters)


def recorder(options: GraphOptions, contract: str, sim_time: bool) -> NodeSpec:
    """The recorder, with time to close its bag."""
    bags = str(Path(options.bags_dir).expanduser().resolve())
    parameters: dict[str, ParameterValue] = {"contract": contract, "bags_dir": bags, "use_sim_time": sim_time}
    node = _node(options, "world4rl_data", "recorder", parameters, lifecycle=True)
    return replace(node, sigterm_after_s=CLOSING_S)


def _checkpoint(options: GraphOptions, option: str, parameter: str = "") -> dict[str, ParameterValue]:
    """The parameter that names a checkpoint folder; empty where no such checkpoint was asked for."""
    value = getattr(options, option)
    if not value:
        return {}
    path = Path(value).expanduser().resolve()
    if not path.is_dir():
        raise OptionError(f"{option} {path} is not a checkpoint folder (model.safetensors, config.yaml, ...)")
    return {parameter or option: str(path)}


def policy(options: GraphOptions, contract: str, sim_time: bool) -> NodeSpec:
    """The policy; watched by a world model only where that was asked for, because one without a limit is refused."""
    parameters: dict[str, ParameterValue] = {"contract": contract, "use_sim_time": sim_time}
    parameters |= _checkpoint(options, "policy_checkpoint", "checkpoint")
    parameters |= _checkpoint(options, "trust_world_model", "world_model_checkpoint")
    return _node(options, "world4rl_policy", "policy", parameters, lifecycle=True)


def imagination(options: GraphOptions, contract: str, sim_time: bool) -> NodeSpec:
    """The imagination node."""
    parameters: dict[str, ParameterValue] = {"contract": contract, "use_sim_time": sim_time}
    for option in CHECKPOINTS:
        parameters |= _checkpoint(options, option)
    return _node(options, "world4rl_wm", "imagination", parameters)


def episodes(options: GraphOptions, contract: str, name: str) -> NodeSpec:
    """A node that runs whole episodes: scripted_operator or deployment."""
    parameters: dict[str, ParameterValue] = {
        "contract": contract,
        "task": options.task,
        "first_seed": options.seed,
        "episodes": options.episodes,
        "record": options.record,
        "exit_when_done": options.exit_when_done,
        "use_sim_time": True,
    }
    if options.results:
        parameters["results"] = str(Path(options.results).expanduser().resolve())
    return _node(options, "world4rl_sim", name, parameters, finishes=True)


def explorer(options: GraphOptions, contract: str, sim_time: bool) -> NodeSpec:
    """The random explorer, disabled until it is told to act."""
    parameters: dict[str, ParameterValue] = {"contract": contract, "use_sim_time": sim_time}
    return _node(options, "world4rl_control", "explorer", parameters)


def teleop(options: GraphOptions, contract: str, sim_time: bool) -> list[NodeSpec]:
    """The teleop node and its device's driver, which stands in the root namespace.

    No node for the keyboard: it needs a terminal of its own, which neither starter gives (:func:`keyboard_command`).
    """
    if options.teleop in ("", "keyboard"):
        return []
    parameters: dict[str, ParameterValue] = {"contract": contract, "device": options.teleop, "use_sim_time": sim_time}
    node = _node(options, "world4rl_control", "teleop", parameters)
    # game_controller_node, not joy_node, has the order of buttons that the teleop node reads. It repeats itself, so
    # that a held dead-man button keeps arriving.
    package, program, values = {
        "joystick": ("joy", "game_controller_node", {"autorepeat_rate": 20.0}),
        "spacemouse": ("spacenav", "spacenav_node", {}),
    }[options.teleop]
    instead = f"leave teleop:={options.teleop} out and start device and teleop node yourself"
    install = f"install it (apt: ros-$ROS_DISTRO-{package}), or {instead}"
    driver = NodeSpec(package, program, program, _ROOT, values, install=install, log_level=options.log_level)
    return [driver, node]


def keyboard_command(options: GraphOptions, contract: str, sim_time: bool) -> str:
    """What to type in a terminal of its own for teleoperation by keyboard."""
    words = f"ros2 run world4rl_control teleop --ros-args -r __ns:={options.ros_namespace} -p contract:={contract}"
    return f"{words} -p device:=keyboard" + (" -p use_sim_time:=true" if sim_time else "")


def rviz(options: GraphOptions, sim_time: bool) -> NodeSpec:
    """RViz with our views; closing it does not end the graph."""
    install = "install it (apt: ros-$ROS_DISTRO-rviz2), or say rviz:=false"
    arguments = ("-d", str(share_file("rviz/world4rl.rviz")))
    remappings = tuple((f"/world4rl/{name}", f"{options.ros_namespace.rstrip('/')}/{name}") for name in RVIZ_TOPICS)
    return NodeSpec(
        "rviz2",
        "rviz2",
        "rviz2",
        options.ros_namespace,
        {"use_sim_time": sim_time},
        remappings=remappings if options.ros_namespace != "/world4rl" else (),
        essential=False,
        install=install,
        arguments=arguments,
        log_level=options.log_level,
    )
