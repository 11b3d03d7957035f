"""A policy from its checkpoint folder, ready to act."""

from __future__ import annotations

from pathlib import Path

from world4rl_data.contract import TaskContract
from world4rl_policy.deploy import load_policy
from world4rl_policy.policy_runner import PolicyRunner, RunnerConfig


def path_of(uri: str) -> Path:
    """The folder that a `file://` address or a path names."""
    return Path(uri.removeprefix("file://")).expanduser().resolve()


def load_runner(uri: str, device: str, required: TaskContract | None, config: RunnerConfig) -> PolicyRunner:
    """The policy of a checkpoint folder, warmed up; its name is the folder's.

    Raises:
        ContractMismatch: it was made with another contract than `required`; the message names what differs.
        CheckpointError, PolicyFailure: the folder cannot be read, or what it holds cannot act.
    """
    path = path_of(uri)
    policy = load_policy(str(path), device)
    if required is not None:
        required.require_same(policy.contract, f"checkpoint {path}")
    runner = PolicyRunner(policy, config, path.name)
    runner.warm_up()
    return runner
