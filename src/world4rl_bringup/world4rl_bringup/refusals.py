"""What a mode would need and does not have: refused with a reason and a mend instead of being ignored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from world4rl_bringup.companions import missing, not_for_the_runner
from world4rl_bringup.graph import MODES, companions, contract_of, graph
from world4rl_bringup.options import GraphOptions, OptionError
from world4rl_bringup.paths import is_built
from world4rl_bringup.spec import NodeSpec
from world4rl_data.contract import ContractError, TaskContract

# Arguments that people know from other launch files and that would be dangerous to swallow silently.
NOT_READY = {
    "arm_prefix": "arms with a prefix are not supported",
    "cameras": "say start_cameras:=true or false; the contract names the cameras",
    "device": "say teleop:=spacemouse, joystick or keyboard",
    "robot_namespace": "the robot's topics stand where the task contract says: give a contract with other topics",
}
_LEARNED = {"world4rl_policy", "world4rl_wm"}


def unknown_arguments(mode: str, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Sort arguments that the mode does not read into (refused with a reason, merely unknown)."""
    strange = sorted(set(names) - set(MODES[mode].options))
    return [f"{n}: {NOT_READY[n]}" for n in strange if n in NOT_READY], [n for n in strange if n not in NOT_READY]


def refusals(mode: str, options: GraphOptions, can_include_driver: bool) -> list[str]:
    """Reasons why a mode cannot start as asked; empty where it can.

    ``can_include_driver``: whether the caller can include other packages' launch files (the runner cannot).
    """
    reasons = []
    if mode in ("real_arm", "driver") and options.robot_type != "fr3":
        reasons.append(f"robot_type:={options.robot_type} is not supported: only fr3 is")
    try:
        TaskContract.load(contract_of(mode, options))
    except OptionError as error:  # no such task: what else is missing depends on it
        return [*reasons, str(error)]
    except ContractError as error:
        reasons.append(str(error))
    specs, problems = companions(mode, options)
    reasons += problems
    reasons += missing(specs) if can_include_driver else not_for_the_runner(specs)
    try:
        nodes = graph(mode, options)
        reasons += missing(nodes) + _unbuilt(mode, nodes)
    except OptionError as error:
        reasons.append(str(error))
    return reasons


def _unbuilt(mode: str, specs: Sequence[NodeSpec]) -> list[str]:
    """Which of our own packages are missing: a workspace for the driver alone has not all of them."""
    absent = sorted({spec.package for spec in specs if not spec.install and not is_built(spec.package)})
    if not absent:
        return []
    instead = ", or say learned:=false" if mode == "real_arm" and {*absent} <= _LEARNED else ""
    return [f"not built here: {', '.join(absent)}: make setup, then source scripts/env.sh{instead}"]
