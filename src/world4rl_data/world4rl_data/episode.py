"""One episode in memory: T actions between T + 1 observations, with where they came from and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .contract import TaskContract

SOURCES = ("expert", "policy", "random", "intervention")


class EpisodeError(ValueError):
    """An episode that must not be learned from; the message names the fault."""


class Outcome(IntEnum):
    """How an episode ended, as in world4rl_interfaces/srv/StopEpisode."""

    UNLABELLED = 0
    SUCCESS = 1
    FAILURE = 2
    DISCARDED = 3
    INTERRUPTED = 4


class ActionSource(IntEnum):
    """Who asked for an action, as in world4rl_interfaces/msg/Action."""

    UNKNOWN = 0
    HUMAN = 1
    SCRIPTED = 2
    POLICY = 3
    RANDOM = 4


@dataclass
class Episode:
    """T executed actions and the T + 1 observations around them; `actions[t]` leads from frame t to frame t + 1."""

    images: dict[str, np.ndarray]  # stream name -> uint8 (T+1, H, W, 3) RGB
    proprio: np.ndarray  # float32 (T+1, P), units of the contract's fields
    actions: np.ndarray  # float32 (T, A) in [-1, 1], as executed
    action_sources: np.ndarray  # uint8 (T,), ActionSource
    stamps: np.ndarray  # int64 (T+1,) [ns], strictly increasing
    task: str
    source: str  # one of SOURCES
    outcome: Outcome
    success_index: int | None  # index of the first successful observation; None unless outcome is SUCCESS
    contract_hash: str
    episode_id: str
    seed: int | None = None
    policy_id: str = ""

    def __len__(self) -> int:
        """T, the number of actions."""
        return len(self.actions)

    def validate(self, contract: TaskContract | None = None) -> None:
        """Raise EpisodeError naming the first fault; with a contract, also hold shapes and hash against it."""
        length = len(self.actions)
        if length < 1:
            raise self._fault("has no actions")
        self._require_array("actions", self.actions, np.float32, (length, None))
        self._require_array("proprio", self.proprio, np.float32, (length + 1, None))
        self._require_array("action_sources", self.action_sources, np.uint8, (length,))
        self._require_array("stamps", self.stamps, np.int64, (length + 1,))
        for name, frames in self.images.items():
            self._require_array(f"images[{name}]", frames, np.uint8, (length + 1, None, None, 3))
        self._require_values()
        if contract is not None:
            self._require_contract(contract)

    def _require_values(self) -> None:
        for label in ("actions", "proprio"):
            bad = ~np.isfinite(getattr(self, label))
            if bad.any():
                row, column = np.argwhere(bad)[0]
                raise self._fault(f"has a value that is not finite in {label} at step {row}, dimension {column}")
        if np.abs(self.actions).max() > 1 + 1e-5:
            row, column = np.unravel_index(np.abs(self.actions).argmax(), self.actions.shape)
            raise self._fault(
                f"has an action outside [-1, 1] at step {row}, dimension {column}: {self.actions[row, column]}"
            )
        backwards = np.flatnonzero(np.diff(self.stamps) <= 0)
        if len(backwards):
            raise self._fault(f"has stamps that do not increase at step {backwards[0]}")
        if self.source not in SOURCES:
            raise self._fault(f"has source '{self.source}', expected one of {SOURCES}")
        if (self.success_index is not None) != (self.outcome == Outcome.SUCCESS):
            raise self._fault(f"has outcome {Outcome(self.outcome).name} but success_index {self.success_index}")
        if self.success_index is not None and not 0 <= self.success_index <= len(self.actions):
            raise self._fault(f"has success_index {self.success_index} outside 0..{len(self.actions)}")

    def _require_contract(self, contract: TaskContract) -> None:
        if self.contract_hash != contract.hash:
            raise self._fault(f"has contract hash {self.contract_hash}, expected {contract.hash} ('{contract.name}')")
        for label, got, want in (
            ("actions", self.actions.shape[1], contract.action_dim),
            ("proprio", self.proprio.shape[1], contract.proprio_dim),
        ):
            if got != want:
                raise self._fault(f"has {got} {label} dimensions, contract '{contract.name}' has {want}")
        if set(self.images) != {s.name for s in contract.images}:
            raise self._fault(f"has images {sorted(self.images)}, contract has {[s.name for s in contract.images]}")
        for stream in contract.images:
            got_size = self.images[stream.name].shape[1:3]
            if got_size != (stream.height, stream.width):
                raise self._fault(f"has {stream.name} images of {got_size}, contract {stream.height}x{stream.width}")

    def _require_array(self, label: str, array: np.ndarray, dtype: type, shape: tuple[int | None, ...]) -> None:
        fits = array.ndim == len(shape) and all(w is None or g == w for g, w in zip(array.shape, shape, strict=True))
        if array.dtype != dtype or not fits:
            wanted = tuple("any" if w is None else w for w in shape)
            raise self._fault(
                f"has {label} of {array.dtype} {array.shape}, expected {np.dtype(dtype).name} {wanted} "
                f"for {len(self.actions)} actions"
            )

    def _fault(self, text: str) -> EpisodeError:
        return EpisodeError(f"episode {self.episode_id} {text}")


def episode_source(action_sources: np.ndarray) -> str:
    """Name of the episode's source from its actions' sources, uint8 (T,).

    A person or a script throughout = expert; one of them beside anything else = intervention; random throughout =
    random; a policy, with or without random actions = policy. Raises EpisodeError where no action says who sent it.
    """
    kinds = {ActionSource(int(s)) for s in np.unique(action_sources)}
    known = kinds - {ActionSource.UNKNOWN}
    if not known:
        raise EpisodeError("no action of the episode names its source; set Action.source in what publishes actions")
    experts = known & {ActionSource.HUMAN, ActionSource.SCRIPTED}
    if experts:
        return "expert" if known == experts else "intervention"
    return "random" if known == {ActionSource.RANDOM} else "policy"


def hold_action(last: np.ndarray, contract: TaskContract) -> np.ndarray:
    """The action (A,) that changes nothing after `last`: no motion, the hand as it was told."""
    hold = np.zeros_like(last)
    if "gripper" in contract.action_names:
        hold[-1] = last[-1]  # its command is absolute
    return hold
