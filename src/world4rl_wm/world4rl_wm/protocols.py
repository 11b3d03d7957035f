"""What the world model asks of its neighbours."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from torch import Tensor

from world4rl_data.contract import TaskContract


@runtime_checkable
class Policy(Protocol):
    """Anything that turns frames into actions, in dream or reality."""

    contract: TaskContract
    history: int
    """Number of frames it looks at."""

    def act(self, frames: Tensor, deterministic: bool = True) -> Tensor:
        """Frames ``(B, history, C, H, W)`` in [-1, 1], oldest first, to actions ``(B, A)`` in [-1, 1]."""
        ...


def for_task(policy: Policy, task: str) -> Policy:
    """The policy told its task, where it is one that is told: such has ``for_task(task)``, which gives a `Policy`.

    Raises:
        ValueError: it has not learned that task.
    """
    told: Policy = policy.for_task(task) if hasattr(policy, "for_task") else policy
    return told


def load_policy(path: str, device: str = "cpu") -> Policy:
    """Load a policy checkpoint through the entry point group ``world4rl.policies``.

    Raises:
        LookupError: no package that provides policies is installed.
        RuntimeError: the checkpoint cannot be read (each loader's reason is in the message).
    """
    loaders = sorted(entry_points(group="world4rl.policies"), key=lambda entry: entry.name)
    if not loaders:
        raise LookupError("no policy loader is installed: install world4rl_policy (pip install ./src/world4rl_policy)")
    reasons = []
    for entry in loaders:
        try:
            policy: Policy = entry.load()(path, device)
            return policy
        except (RuntimeError, ValueError, OSError) as error:
            reasons.append(f"{entry.name}: {error}")
    raise RuntimeError("; ".join(reasons))
