"""What the world model asks of its neighbours."""

from __future__ import annotations

from collections.abc import Callable
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


Loader = Callable[[str, str], Policy]
"""Makes a policy of a checkpoint folder and a device."""
OURS = "world4rl_policy.deploy:load_policy"


def for_task(policy: Policy, task: str) -> Policy:
    """The policy told its task, where it is one that is told: such has ``for_task(task)``, which gives a `Policy`.

    Raises:
        ValueError: it has not learned that task.
    """
    told: Policy = policy.for_task(task) if hasattr(policy, "for_task") else policy
    return told


def load_policy(path: str, device: str = "cpu", ours: Loader | None = None) -> Policy:
    """Load a policy checkpoint through the entry point group ``world4rl.policies``: by our loader, else by another's.

    `ours` is that of `OURS`, for who has it at hand: no entry point need say so, and its reason alone is its own error.

    Raises:
        LookupError: no package that provides policies is installed.
        RuntimeError: the checkpoint cannot be read (each loader's reason is in the message).
    """
    entries = sorted(entry_points(group="world4rl.policies"), key=lambda entry: (entry.value != OURS, entry.name))
    asked = [entry for entry in entries if ours is None or entry.value != OURS]
    loaders: list[tuple[str, Callable[[], Loader]]] = [(entry.name, entry.load) for entry in asked]
    if ours is not None:
        loaders.insert(0, ("ours", lambda: ours))
    if not loaders:
        raise LookupError("no policy loader is installed: install world4rl_policy (pip install ./src/world4rl_policy)")
    reasons = []
    for name, loader in loaders:
        try:
            return loader()(path, device)
        except (RuntimeError, ValueError, OSError) as error:
            if ours is not None and len(loaders) == 1:
                raise
            reasons.append(f"{name}: {error}")
    raise RuntimeError("; ".join(reasons))
