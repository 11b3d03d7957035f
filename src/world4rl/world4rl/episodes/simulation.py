"""Which simulator a task belongs to, its task contract, and its environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from world4rl_data.contract import TaskContract
from world4rl_sim.metaworld.names import TASKS as METAWORLD_TASKS
from world4rl_sim.metaworld.names import full_name, load_contract
from world4rl_sim.task_contracts import TASK_CONTRACTS

if TYPE_CHECKING:
    from world4rl_sim.task_env import TaskEnv


def task_named(task: str) -> str:
    """A simulated task's full name: `door-lock-v3` of `door-lock`; those of the simulated Franka have one name only.

    Raises:
        ValueError: no simulator has such a task.
    """
    name = task if task in TASK_CONTRACTS else full_name(task)
    if name is None:
        raise ValueError(
            f"unknown task '{task}': choose one of {', '.join(TASK_CONTRACTS)}, or one of Meta-World's: "
            f"{', '.join(METAWORLD_TASKS)}"
        )
    return name


def contract_for(task: str, contract: str | None = None) -> TaskContract:
    """The task contract of a simulated task; `contract` names another one (a shipped name or a YAML file).

    Raises:
        ValueError: no such task or contract.
    """
    name = task_named(task)
    if name in METAWORLD_TASKS:
        return load_contract(contract)
    return TaskContract.load(contract or TASK_CONTRACTS[name])


def make_env(task: str, contract: TaskContract) -> TaskEnv:
    """The task's environment: the simulated arm behind a safety gate as on the graph, or Meta-World as it is."""
    name = task_named(task)
    if name in METAWORLD_TASKS:
        from world4rl_sim.metaworld.env import MetaWorldEnv

        return MetaWorldEnv(name, contract)
    from world4rl_control.gate import SafetyGate
    from world4rl_sim.env import SimEnv

    return SimEnv(name, contract, SafetyGate(contract))
