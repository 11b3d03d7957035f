"""The graph from a script: ``from world4rl_bringup.client import World4RLClient``."""

from world4rl_bringup.client_node import World4RLClient
from world4rl_bringup.client_types import (
    ArmState,
    ClientError,
    Given,
    Imagination,
    Live,
    NoAnswer,
    NotThere,
    PolicyState,
    Progress,
    RecorderState,
    Refused,
    StartedEpisode,
    Stored,
    Uncertainty,
)
from world4rl_data.episode import Outcome

__all__ = [
    "ArmState",
    "ClientError",
    "Given",
    "Imagination",
    "Live",
    "NoAnswer",
    "NotThere",
    "Outcome",
    "PolicyState",
    "Progress",
    "RecorderState",
    "Refused",
    "StartedEpisode",
    "Stored",
    "Uncertainty",
    "World4RLClient",
]
