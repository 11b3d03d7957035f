"""Entry point ``world4rl.policies``: how the world model and the nodes find a policy."""

from __future__ import annotations

from world4rl_policy.actor_critic import GaussianPolicy


def load_policy(path: str, device: str = "cpu") -> GaussianPolicy:
    """Load a Gaussian policy checkpoint, frozen."""
    return GaussianPolicy.load(path, device).requires_grad_(False)
