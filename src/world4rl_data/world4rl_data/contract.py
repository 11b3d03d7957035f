"""The task contract: the one written definition of what an observation and an action are.

Recorder, converter, trainer, imagination and live policy all read the same YAML file. Its hash travels with
bags, stores and checkpoints; a mismatch is an error that names the fields that differ.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from .contract_parts import (
    ACTION_NAMES,
    ADDED_LATER,
    ActionDim,
    ContractError,
    ContractMismatch,
    Gripper,
    ImageStream,
    Pose,
    ProprioStream,
    Workspace,
    build,
    require_absolute,
    require_orientation,
)
from .dotted import dotted

__all__ = [
    "ACTION_NAMES",
    "ActionDim",
    "ContractError",
    "ContractMismatch",
    "Gripper",
    "ImageStream",
    "Pose",
    "ProprioStream",
    "TaskContract",
    "Workspace",
    "contract_names",
]

CONTRACTS_DIR = Path(__file__).parent / "contracts"
# What may be decided after a recording: how its pictures are cut, how old they may be, and where the arm may go (an
# executed action tells what the arm was really sent, whatever the limits were). All else says what a message means.
_NOT_RECORDED = re.compile(
    r"name|images\.[^.]+\.(camera|crop|height|width|timeout_s)|proprioception\.[^.]+\.timeout_s"
    r"|workspace\..+|poses\..+|max_episode_s|action_timeout_s"
)


def contract_names() -> list[str]:
    """Names of the contracts shipped with this package, usable with `TaskContract.load`."""
    return sorted(p.stem for p in CONTRACTS_DIR.glob("*.yaml"))


@dataclass(frozen=True)
class TaskContract:
    """One robot set-up and task. Topics are absolute ROS names; lengths in m, angles in rad, times in s."""

    name: str
    robot: str
    base_frame: str
    control_rate_hz: float
    images: tuple[ImageStream, ...]
    proprioception: tuple[ProprioStream, ...]
    actions: tuple[ActionDim, ...]
    workspace: Workspace
    gripper: Gripper
    poses: dict[str, Pose] = field(default_factory=dict)  # name -> ((x, y, z), quaternion (x, y, z, w)), base frame
    max_episode_s: float = 60.0
    action_timeout_s: float = 0.5  # the gate holds when no action came for this long
    action_topic: str = "/world4rl/action"
    executed_action_topic: str = "/world4rl/executed_action"
    # Where the frame that the motion controller moves lies in the driver's end-effector frame; None: they are the same.
    controller_offset: Pose | None = field(default=None, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        if not self.images:
            raise ContractError(f"contract '{self.name}' has no image stream; list at least one under 'images'")
        streams = [s.name for s in self.images] + [s.name for s in self.proprioception]
        if len(set(streams)) != len(streams):
            raise ContractError(f"contract '{self.name}': stream names must differ from each other, got {streams}")
        order = [ACTION_NAMES.index(a.name) for a in self.actions]
        if not order or order != sorted(set(order)):
            got = [a.name for a in self.actions]
            raise ContractError(
                f"contract '{self.name}': actions must be some of {ACTION_NAMES} in this order, got {got}"
            )
        if "home" not in self.poses:
            raise ContractError(f"contract '{self.name}': 'poses' must name at least 'home'")
        if ("gripper" in [a.name for a in self.actions]) == (self.gripper.fixed is not None):
            raise ContractError(
                f"contract '{self.name}': give either an action 'gripper' or gripper.fixed ('open', 'closed'), not both"
            )
        for label in ("control_rate_hz", "max_episode_s", "action_timeout_s"):
            if not getattr(self, label) > 0:
                raise ContractError(f"contract '{self.name}': {label} must be positive, got {getattr(self, label)}")
        self._require_workable()

    def _require_workable(self) -> None:
        """Refuse what the gate could never do, or would hear nothing of."""
        where = f"contract '{self.name}'"
        if self.action_timeout_s <= self.period_s:
            raise ContractError(
                f"{where}: action_timeout_s {self.action_timeout_s} must be longer than a control period, "
                f"{self.period_s:g} s: the gate would hold between any two actions"
            )
        for label in ("action_topic", "executed_action_topic"):
            require_absolute(f"{where}: {label}", getattr(self, label))
        for name, pose in self.poses.items():
            require_orientation(f"{where}: pose '{name}'", pose)
            if not self.workspace.holds(pose[0]):
                raise ContractError(
                    f"{where}: pose '{name}' at {pose[0]} lies outside the workspace, {self.workspace.low} to "
                    f"{self.workspace.high}: the arm could never go there"
                )
        if self.controller_offset is not None:
            require_orientation(f"{where}: controller_offset", self.controller_offset)

    # -- reading and writing -------------------------------------------------------------------------------------

    @classmethod
    def load(cls, name_or_path: str | Path) -> TaskContract:
        """A shipped contract by its name (`franka_sim_press`) or any YAML file by its path."""
        path = Path(name_or_path)
        if not path.is_file():
            path = CONTRACTS_DIR / f"{name_or_path}.yaml"
        if not path.is_file():
            raise ContractError(
                f"no task contract '{name_or_path}': give the path of a YAML file or one of {contract_names()}"
            )
        try:
            data = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise ContractError(f"{path} is not valid YAML: {error}") from error
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Any) -> TaskContract:
        """Inverse of `to_dict`. Unknown or missing keys and wrong types raise ContractError naming the key."""
        return build(cls, data, "contract")

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings, as in the YAML file."""
        plain = json.loads(json.dumps(asdict(self)))
        parts: list[tuple[TaskContract | ImageStream, dict[str, Any]]] = [(self, plain)]
        parts += zip(self.images, plain["images"], strict=True)
        for part, values in parts:
            for later in fields(part):
                if later.metadata == ADDED_LATER and getattr(part, later.name) == later.default:
                    del values[later.name]
        return plain

    def save(self, path: str | Path) -> None:
        Path(path).write_text(yaml.safe_dump(self.to_dict(), sort_keys=False))

    # -- identity ------------------------------------------------------------------------------------------------

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the SHA-256 of the canonical JSON of all fields."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def differences(self, other: TaskContract) -> list[str]:
        """One line per field that differs: `images.front.height: 32 here, 64 there`.

        The order of the streams counts, for it is that of channels and of proprioception: `images: front, wrist here,
        wrist, front there`.
        """
        return [*self._other_orders(other), *self._differing(other).values()]

    def _other_orders(self, other: TaskContract) -> list[str]:
        """One line per kind of streams where both have the same in another order."""
        lines = []
        for kind in ("images", "proprioception"):
            here, there = ([stream.name for stream in getattr(contract, kind)] for contract in (self, other))
            if here != there and sorted(here) == sorted(there):
                lines.append(f"{kind}: {', '.join(here)} here, {', '.join(there)} there")
        return lines

    def _differing(self, other: TaskContract) -> dict[str, str]:
        """Field to line."""
        mine, theirs = dotted(self.to_dict()), dotted(other.to_dict())
        keys = list(mine) + [k for k in theirs if k not in mine]
        values = [(k, mine.get(k, "absent"), theirs.get(k, "absent")) for k in keys]
        return {key: f"{key}: {here} here, {there} there" for key, here, there in values if here != there}

    def require_same(self, other: TaskContract, what: str) -> None:
        """Raise ContractMismatch when `other`, the contract of `what` (e.g. "checkpoint runs/wm"), is not this one."""
        if self.hash != other.hash:
            lines = "; ".join(self.differences(other))
            raise ContractMismatch(
                f"{what} was made with another task contract ('{other.name}' {other.hash}; expected '{self.name}' "
                f"{self.hash}): {lines}. Use the contract it was made with, or make it again with this one."
            )

    def require_reads(self, recorded: TaskContract, what: str) -> None:
        """Raise ContractMismatch where messages recorded under `recorded` would mean something else under this one.

        Pictures may be cut otherwise, limits and poses may have changed, streams may be left out. Robot, rate, topics,
        what a stream's numbers are and what an action does must be the same.
        """
        here = {stream.name for stream in self.streams}
        left_out = tuple(
            f"{kind}.{stream.name}."
            for kind, streams in (("images", recorded.images), ("proprioception", recorded.proprioception))
            for stream in streams
            if stream.name not in here
        )
        lines = [
            line
            for key, line in self._differing(recorded).items()
            if not _NOT_RECORDED.fullmatch(key) and not key.startswith(left_out)
        ]
        if lines:
            raise ContractMismatch(
                f"{what} was recorded under another task contract ('{recorded.name}' {recorded.hash}) and means "
                f"something else under '{self.name}' {self.hash}: {'; '.join(lines)}. Only the cut and age of "
                "pictures, limits and poses may differ, and streams may be left out."
            )

    # -- sizes ---------------------------------------------------------------------------------------------------

    @property
    def action_dim(self) -> int:
        return len(self.actions)

    @property
    def action_names(self) -> tuple[str, ...]:
        return tuple(a.name for a in self.actions)

    @property
    def proprio_dim(self) -> int:
        return sum(len(s.fields) for s in self.proprioception)

    @property
    def image_channels(self) -> int:
        """Channels of a model-side frame: RGB of every stream, stacked in contract order."""
        return 3 * len(self.images)

    @property
    def period_s(self) -> float:
        return 1.0 / self.control_rate_hz

    @property
    def streams(self) -> tuple[ImageStream | ProprioStream, ...]:
        return (*self.images, *self.proprioception)

    @property
    def observation_topics(self) -> dict[str, str]:
        """topic -> ROS type of everything an observation needs."""
        return {s.topic: s.type for s in self.streams}
