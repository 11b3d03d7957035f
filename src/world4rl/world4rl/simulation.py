"""Simulator and safety gate put together: the same gate and contract in-process as on the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from world4rl_data.contract import TaskContract
from world4rl_sim.task_contracts import TASK_CONTRACTS

if TYPE_CHECKING:
    from world4rl_sim.env import SimEnv


def contract_for(task: str) -> TaskContract:
    """The task contract of a simulated task.

    Raises:
        ValueError: no such task.
    """
    if task not in TASK_CONTRACTS:
        raise ValueError(f"unknown task '{task}': choose one of {', '.join(TASK_CONTRACTS)}")
    return TaskContract.load(TASK_CONTRACTS[task])


def make_env(task: str, contract: TaskContract) -> SimEnv:
    """The simulated arm on its table behind a safety gate of its own."""
    from world4rl_control.gate import SafetyGate
    from world4rl_sim.env import SimEnv

    return SimEnv(task, contract, SafetyGate(contract))
