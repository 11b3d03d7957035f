"""The graph as data: which nodes a mode is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from world4rl_bringup import nodes
from world4rl_bringup.companions import Companion
from world4rl_bringup.nodes import CHECKPOINTS
from world4rl_bringup.options import GraphOptions, OptionError
from world4rl_bringup.robot_side import gate_parameters, robot_side
from world4rl_bringup.spec import NodeSpec
from world4rl_sim.task_contracts import TASK_CONTRACTS

REAL_CONTRACT = "franka_real"

_PLAIN = ("namespace", "contract", "params_file", "log_level")
_COMMON = (*_PLAIN, "autostart")  # of modes with a lifecycle node
_SIM = ("task", "seed", "lockstep", "real_time_factor", "episodes", "results", "exit_when_done")
_LEARNED = (*CHECKPOINTS, "trust_world_model")
_RECORD = ("record", "bags_dir")
_ROBOT = ("robot_ip", "robot_type", "load_gripper", "start_driver")
_MOTION = ("backend", "controller", "controllers_yaml", "dead_man_topic", "dead_man_button")
_CAMERAS = ("start_cameras", "front_serial", "wrist_serial", "camera_profile")
_OPERATOR = ("teleop", "explorer", "rviz")
_REAL = ("use_fake_hardware", "task", "seed", "learned")


@dataclass(frozen=True)
class Mode:
    """A way to run the graph: what it is for and the options that it reads."""

    summary: str
    options: tuple[str, ...]
    nodes: Callable[[GraphOptions], list[NodeSpec]]


def graph(mode: str, options: GraphOptions = GraphOptions()) -> list[NodeSpec]:  # noqa: B008 (frozen)
    """The nodes of a mode, in the order in which they start.

    Raises :class:`OptionError` where the mode does not exist or an option that it needs is missing.
    """
    if mode not in MODES:
        raise OptionError(f"no mode {mode!r}: use one of {', '.join(MODES)}")
    return MODES[mode].nodes(options)


def companions(mode: str, options: GraphOptions) -> tuple[list[Companion], list[str]]:
    """What other projects' launch files and controllers the mode needs beside its nodes, and what prevents it."""
    return robot_side(options, contract_of(mode, options)) if mode in ("real_arm", "driver") else ([], [])


def notices(mode: str, options: GraphOptions) -> list[str]:
    """What a user must know about the mode as asked for, one sentence each."""
    texts = []
    if mode == "real_arm" and options.use_fake_hardware:
        texts.append("use_fake_hardware: the simulated arm stands in for the robot, nothing real moves")
    if mode in ("real_arm", "driver") and options.controller == "external" and not options.use_fake_hardware:
        texts.append("controller:=external: no motion controller is started here, start one")
    if options.teleop == "keyboard" and "teleop" in MODES[mode].options:
        sim_time = mode == "sim_arm" or options.use_sim_time or options.use_fake_hardware
        command = nodes.keyboard_command(options, contract_of(mode, options), sim_time)
        texts.append(f"teleop:=keyboard needs a terminal of its own; type there: {command}")
    return texts


def contract_of(mode: str, options: GraphOptions) -> str:
    """The contract that a mode runs under: the one asked for, or the mode's own."""
    if options.contract:
        return options.contract
    if mode in ("sim_arm", "deploy_sim") or (mode == "real_arm" and options.use_fake_hardware):
        if options.task not in TASK_CONTRACTS:
            raise OptionError(f"no task {options.task!r}: use one of {', '.join(TASK_CONTRACTS)}")
        return TASK_CONTRACTS[options.task]
    return REAL_CONTRACT


def _operator_side(options: GraphOptions, contract: str, sim_time: bool) -> list[NodeSpec]:
    """What a person or chance drives the arm with, and looks at it with."""
    specs = nodes.teleop(options, contract, sim_time)
    if options.explorer:
        specs.append(nodes.explorer(options, contract, sim_time))
    if options.rviz:
        specs.append(nodes.rviz(options, sim_time))
    return specs


def _sim_arm(options: GraphOptions) -> list[NodeSpec]:
    contract = contract_of("sim_arm", options)
    specs = nodes.sim_nodes(options, contract, sim_time=True)
    if options.record:
        specs.append(nodes.recorder(options, contract, sim_time=True))
    if options.policy or options.policy_checkpoint:
        specs.append(nodes.policy(options, contract, sim_time=True))
    if options.imagination or options.world_model_checkpoint:
        specs.append(nodes.imagination(options, contract, sim_time=True))
    specs += _operator_side(options, contract, sim_time=True)
    if options.operator:
        specs.append(nodes.episodes(options, contract, "scripted_operator"))
    return specs


def _real_arm(options: GraphOptions) -> list[NodeSpec]:
    contract, sim_time = contract_of("real_arm", options), options.use_fake_hardware
    if options.use_fake_hardware:
        specs = nodes.sim_nodes(options, contract, sim_time)
    else:
        specs = [nodes.gate(options, contract, sim_time, gate_parameters(options))]
    if options.record:
        specs.append(nodes.recorder(options, contract, sim_time))
    if options.learned:
        specs += _learned(options, contract, sim_time)
    elif given := [name for name in _LEARNED if getattr(options, name)]:
        raise OptionError(
            f"learned:=false starts nothing that reads {', '.join(given)}: give that to learned.launch.py"
        )
    return [*specs, *_operator_side(options, contract, sim_time)]


def _learned(options: GraphOptions, contract: str, sim_time: bool) -> list[NodeSpec]:
    return [nodes.policy(options, contract, sim_time), nodes.imagination(options, contract, sim_time)]


def _record(options: GraphOptions) -> list[NodeSpec]:
    return [nodes.recorder(options, contract_of("record", options), options.use_sim_time)]


def _imagine(options: GraphOptions) -> list[NodeSpec]:
    # No contract: that of the world model.
    return [nodes.imagination(options, options.contract, options.use_sim_time)]


def _teleop(options: GraphOptions) -> list[NodeSpec]:
    contract = contract_of("teleop", options)
    if options.teleop == "keyboard":
        raise OptionError(" ".join(notices("teleop", options)))
    if not options.teleop:
        raise OptionError("mode teleop needs a device: teleop:=spacemouse, teleop:=joystick or teleop:=keyboard")
    return nodes.teleop(options, contract, options.use_sim_time)


def _deploy_sim(options: GraphOptions) -> list[NodeSpec]:
    if not options.policy_checkpoint:
        raise OptionError("mode deploy_sim needs policy_checkpoint, the folder of a trained policy")
    return [
        *_sim_arm(replace(options, operator=False)),
        nodes.episodes(options, contract_of("deploy_sim", options), "deployment"),
    ]


MODES: dict[str, Mode] = {
    "sim_arm": Mode(
        "The simulated arm with the safety gate and the recorder; policy, imagination and operator when asked for.",
        (*_COMMON, *_SIM, "operator", "policy", "imagination", *_LEARNED, *_RECORD, *_OPERATOR),
        _sim_arm,
    ),
    "real_arm": Mode(
        "A real Franka: driver, motion controller, cameras, safety gate, recorder, policy and imagination.",
        (*_ROBOT, *_REAL, *_MOTION, *_CAMERAS, *_COMMON, *_LEARNED, *_RECORD, *_OPERATOR),
        _real_arm,
    ),
    "learned": Mode(
        "Only policy and imagination, for a machine of their own beside real_arm with learned:=false.",
        (*_COMMON, *_LEARNED, "use_sim_time"),
        lambda options: _learned(options, contract_of("learned", options), options.use_sim_time),
    ),
    "driver": Mode(
        "Only the robot's side of real_arm: driver, motion controller and cameras, for a real-time machine of its own.",
        (*_ROBOT, *_MOTION[:3], *_CAMERAS, "contract", "log_level"),
        lambda options: [],
    ),
    "record": Mode(
        "Only the recorder, beside a graph that runs already.",
        (*_COMMON, "bags_dir", "use_sim_time"),
        _record,
    ),
    "imagine": Mode(
        "Only the imagination node: dreams from given frames, or from live cameras where there are any.",
        (*_PLAIN, *CHECKPOINTS, "use_sim_time"),
        _imagine,
    ),
    "teleop": Mode(
        "A human operator beside a graph that runs already: the device's driver and the teleop node.",
        ("teleop", *_PLAIN, "use_sim_time"),
        _teleop,
    ),
    "deploy_sim": Mode(
        "A trained policy acts on the simulated arm for a number of episodes, which are recorded and counted.",
        (*_COMMON, *_SIM, *_LEARNED, *_RECORD, *_OPERATOR),
        _deploy_sim,
    ),
}
