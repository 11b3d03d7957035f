"""What the client takes, gives and raises. No ROS in here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from world4rl_data.episode import ActionSource, Outcome


class ClientError(RuntimeError):
    """A wish that the graph did not fulfil; the message says what to do."""


class NotThere(ClientError):
    """A service, action or status that nobody offers; the message names the node to start."""


class NoAnswer(ClientError):
    """Somebody offers it, but the answer or the awaited state did not come in time."""


class Refused(ClientError):
    """The node said no; the message is the node's own."""


@dataclass(frozen=True)
class Live:
    """A dream starts from what the cameras see now."""


@dataclass(frozen=True)
class Given:
    """A dream starts from these pictures.

    Args:
        frames: uint8 RGB ``(moments, streams, H, W, 3)``, 1 to 4 moments, oldest first; streams as in the contract.
        actions: float ``(moments - 1, action_dim)`` in [-1, 1], played between the moments.
    """

    frames: np.ndarray
    actions: np.ndarray | None = None


@dataclass(frozen=True)
class Stored:
    """A dream starts from frame `index` (counted over all episodes) of the training store at `uri`."""

    uri: str | Path
    index: int = 0


Start = Live | Given | Stored


class Uncertainty(IntEnum):
    """What the numbers of a dream's uncertainty are, as in world4rl_interfaces/srv/ImagineRollout."""

    NONE = 0  # not estimated: all 0
    DISAGREEMENT = 1  # how far two world models' dreams lie apart; how wrong the picture is is not known
    EXPECTED_ERROR = 2  # expected mean absolute error of the picture, calibrated on held-out episodes


@dataclass(frozen=True)
class Imagination:
    """What was dreamt. `steps` is the horizon, or fewer where the dream was stopped (then `complete` is False)."""

    frames: np.ndarray  # uint8 RGB (samples, steps, H, W, 3), streams side by side; no steps where none were asked for
    success_probability: np.ndarray | None  # float32 (samples, steps) in [0, 1]; None without a reward model
    progress: np.ndarray | None  # float32 (samples, steps) in [0, 1]: how far the task is; None: nobody tells
    uncertainty: np.ndarray  # float32 (samples, steps) in [0, 1] of the pixel range, of `uncertainty_kind`
    uncertainty_kind: Uncertainty
    actions: np.ndarray  # float32 (samples, steps, action_dim) in [-1, 1], as played
    task: str  # that the world model was told; empty: none
    compute_s: float  # time spent dreaming, without the transport
    complete: bool
    message: str  # the node's remark, such as why the dream is shorter; empty mostly


@dataclass(frozen=True)
class Progress:
    """Steps done, of how many, and the newest frame of the first dream as JPEG."""

    step: int
    total: int
    preview: bytes


@dataclass(frozen=True)
class StartedEpisode:
    """The name that the recorder gave, and where the bag will be once the episode is stopped."""

    episode_id: str
    uri: Path


@dataclass(frozen=True)
class ArmState:
    """The gate's status, as in world4rl_interfaces/msg/ArmStatus."""

    enabled: bool
    active_source: ActionSource
    reason: str  # why the arm holds; empty when it moves
    rejected_actions: int


@dataclass(frozen=True)
class PolicyState:
    """The policy node's status, as in world4rl_interfaces/msg/PolicyStatus."""

    checkpoint: str
    enabled: bool
    rate_hz: float
    latency_ms: float
    uncertainty: float
    message: str


@dataclass(frozen=True)
class RecorderState:
    """The recorder's status, as in world4rl_interfaces/msg/EpisodeStatus."""

    episode_id: str
    task: str
    recording: bool
    outcome: Outcome
    messages: int
    dropped: int
    seconds: float
    message: str
