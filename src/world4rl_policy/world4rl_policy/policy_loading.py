"""A policy from its checkpoint folder, ready to act."""

from __future__ import annotations

from world4rl_data.contract import TaskContract
from world4rl_data.file_address import path_of
from world4rl_policy.deploy import load_policy
from world4rl_policy.policy_runner import PolicyRunner, RunnerConfig
from world4rl_wm import protocols
from world4rl_wm.protocols import Policy, for_task


def policy_of(path: str, device: str) -> Policy:
    """The policy of a checkpoint folder: ours, else one that another package's ``world4rl.policies`` loads.

    Raises:
        RuntimeError, ValueError, OSError: as ours, or with everyone's reason where there are others.
    """
    return protocols.load_policy(path, device, load_policy)


def load_runner(uri: str, device: str, required: TaskContract | None, config: RunnerConfig) -> PolicyRunner:
    """The policy of a checkpoint folder, warmed up; its name is the folder's.

    Raises:
        ContractMismatch: it was made with another contract than `required`; the message names what differs.
        TaskError: it has learned several tasks, but not the configuration's.
        CheckpointError, PolicyFailure: the folder cannot be read, or what it holds cannot act.
        ValueError: `uri` is no path and no file:// address.
    """
    path = path_of(uri).resolve()  # also of `.` the name is the folder's
    policy = policy_of(str(path), device)
    if required is not None:
        required.require_same(policy.contract, f"checkpoint {path}")
    runner = PolicyRunner(for_task(policy, config.task or policy.contract.name), config, path.name)
    runner.warm_up()
    return runner
