"""The graph as data: which nodes a mode is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from world4rl_bringup.options import GraphOptions, OptionError
from world4rl_bringup.paths import parameter_file
from world4rl_bringup.spec import NodeSpec, ParameterValue
from world4rl_sim.task_contracts import TASK_CONTRACTS

REAL_CONTRACT = "franka_real"

_COMMON = ("namespace", "contract", "params_file", "log_level", "autostart")
_SIM = ("task", "seed", "lockstep", "real_time_factor", "episodes", "results", "exit_when_done")
_CHECKPOINTS = ("policy_checkpoint", "world_model_checkpoint", "reward_checkpoint")
_RECORD = ("record", "bags_dir")
_ROBOT = ("robot_ip", "robot_type", "load_gripper", "use_fake_hardware", "start_driver", "controller")


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


def contract_of(mode: str, options: GraphOptions) -> str:
    """The contract that a mode runs under: the one asked for, or the mode's own."""
    if options.contract:
        return options.contract
    if mode in ("sim_arm", "deploy_sim") or (mode == "real_arm" and options.use_fake_hardware):
        if options.task not in TASK_CONTRACTS:
            raise OptionError(f"no task {options.task!r}: use one of {', '.join(TASK_CONTRACTS)}")
        return TASK_CONTRACTS[options.task]
    return REAL_CONTRACT


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


def _sim_nodes(options: GraphOptions, contract: str, sim_time: bool) -> list[NodeSpec]:
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
    return [sim, _gate(options, contract, sim_time)]


def _gate(options: GraphOptions, contract: str, sim_time: bool) -> NodeSpec:
    return _node(options, "world4rl_control", "arm_gate", {"contract": contract, "use_sim_time": sim_time})


def _recorder(options: GraphOptions, contract: str, sim_time: bool) -> NodeSpec:
    bags = str(Path(options.bags_dir).expanduser().resolve())
    parameters: dict[str, ParameterValue] = {"contract": contract, "bags_dir": bags, "use_sim_time": sim_time}
    return _node(options, "world4rl_data", "recorder", parameters, lifecycle=True)


def _checkpoint(options: GraphOptions, option: str, parameter: str = "") -> dict[str, ParameterValue]:
    """The parameter that names a checkpoint folder; empty where no such checkpoint was asked for."""
    value = getattr(options, option)
    if not value:
        return {}
    path = Path(value).expanduser().resolve()
    if not path.is_dir():
        raise OptionError(f"{option} {path} is not a checkpoint folder (model.safetensors, config.yaml, ...)")
    return {parameter or option: str(path)}


def _policy(options: GraphOptions, contract: str, sim_time: bool) -> NodeSpec:
    parameters: dict[str, ParameterValue] = {"contract": contract, "use_sim_time": sim_time}
    parameters |= _checkpoint(options, "policy_checkpoint", "checkpoint")
    return _node(options, "world4rl_policy", "policy", parameters, lifecycle=True)


def _imagination(options: GraphOptions, contract: str, sim_time: bool) -> NodeSpec:
    parameters: dict[str, ParameterValue] = {"contract": contract, "use_sim_time": sim_time}
    for option in _CHECKPOINTS:
        parameters |= _checkpoint(options, option)
    return _node(options, "world4rl_wm", "imagination", parameters)


def _episodes(options: GraphOptions, contract: str, name: str) -> NodeSpec:
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


def _sim_arm(options: GraphOptions) -> list[NodeSpec]:
    contract = contract_of("sim_arm", options)
    specs = _sim_nodes(options, contract, sim_time=True)
    if options.record:
        specs.append(_recorder(options, contract, sim_time=True))
    if options.policy or options.policy_checkpoint:
        specs.append(_policy(options, contract, sim_time=True))
    if options.imagination or options.world_model_checkpoint:
        specs.append(_imagination(options, contract, sim_time=True))
    if options.operator:
        specs.append(_episodes(options, contract, "scripted_operator"))
    return specs


def _real_arm(options: GraphOptions) -> list[NodeSpec]:
    contract, sim_time = contract_of("real_arm", options), options.use_fake_hardware
    if options.use_fake_hardware:
        specs = _sim_nodes(options, contract, sim_time)
    else:
        specs = [_gate(options, contract, sim_time)]
    if options.record:
        specs.append(_recorder(options, contract, sim_time))
    return [*specs, _policy(options, contract, sim_time), _imagination(options, contract, sim_time)]


def _record(options: GraphOptions) -> list[NodeSpec]:
    return [_recorder(options, contract_of("record", options), options.use_sim_time)]


def _imagine(options: GraphOptions) -> list[NodeSpec]:
    return [_imagination(options, options.contract, options.use_sim_time)]  # no contract: that of the world model


def _deploy_sim(options: GraphOptions) -> list[NodeSpec]:
    if not options.policy_checkpoint:
        raise OptionError("mode deploy_sim needs policy_checkpoint, the folder of a trained policy")
    return [
        *_sim_arm(replace(options, operator=False)),
        _episodes(options, contract_of("deploy_sim", options), "deployment"),
    ]


MODES: dict[str, Mode] = {
    "sim_arm": Mode(
        "The simulated arm with the safety gate and the recorder; policy, imagination and operator when asked for.",
        (*_COMMON, *_SIM, "operator", "policy", "imagination", *_CHECKPOINTS, *_RECORD),
        _sim_arm,
    ),
    "real_arm": Mode(
        "A real Franka: driver, safety gate, recorder, policy and imagination.",
        (*_COMMON, *_ROBOT, *_CHECKPOINTS, *_RECORD, "task", "seed"),
        _real_arm,
    ),
    "record": Mode(
        "Only the recorder, beside a graph that runs already.",
        (*_COMMON, "bags_dir", "use_sim_time"),
        _record,
    ),
    "imagine": Mode(
        "Only the imagination node: dreams from given frames, or from live cameras where there are any.",
        (*_COMMON, *_CHECKPOINTS, "use_sim_time"),
        _imagine,
    ),
    "deploy_sim": Mode(
        "A trained policy acts on the simulated arm for a number of episodes, which are recorded and counted.",
        (*_COMMON, *_SIM, *_CHECKPOINTS, *_RECORD),
        _deploy_sim,
    ),
}
