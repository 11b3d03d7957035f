"""How a foreign LeRobot dataset is read under a task contract, and everything it lacks for that, said at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..contract import TaskContract
from ..contract_parts import ImageStream
from . import layout
from .dataset import LeRobotDataset
from .layout import LeRobotError

ActionKind = Literal["normalised", "delta", "target"]
OutcomeRule = Literal["next.success", "reward", "success", "failure", "unlabelled"]
Sender = Literal["human", "scripted", "policy", "random"]


@dataclass(frozen=True)
class Mapping:
    """What the importer is told. Defaults suit datasets that World4RL wrote."""

    images: dict[str, str] = field(default_factory=dict)  # stream of the contract -> image key
    state: tuple[str, ...] = ()  # names or indices in observation.state, in the contract's order
    action: tuple[str, ...] = ()  # names or indices in action, in the contract's order
    action_kind: ActionKind | None = None
    gripper_open: float | None = None  # value of the dataset's gripper action that opens the hand
    gripper_closed: float | None = None
    outcome: OutcomeRule | None = None
    success_reward: float = 1.0  # with outcome "reward": from this next.reward on, the task counts as done
    stride: int = 1  # take every stride-th frame
    clip: bool = False  # cut actions at [-1, 1] instead of refusing the episode
    sender: Sender = "human"  # who acted, where the dataset does not say


@dataclass(frozen=True)
class Plan:
    """A mapping that fits: what to read, and by what rule."""

    contract: TaskContract
    images: dict[str, str]
    state: tuple[int, ...]
    action: tuple[int, ...]
    action_kind: ActionKind
    outcome: OutcomeRule
    ours: bool  # written by World4RL: labels and stamps are there, pictures are at the contract's size
    told: Mapping


def make_plan(dataset: LeRobotDataset, contract: TaskContract | None, told: Mapping) -> Plan:
    """Fit the mapping to the dataset. Raises LeRobotError that lists all that is missing, each with what mends it."""
    own = dataset.contract
    if own is not None:
        return _own_plan(dataset, own, contract, told)
    if contract is None:
        raise LeRobotError(
            f"{dataset.root} was not written by World4RL: --contract must say what its pictures, states and actions "
            f"mean. It has {summary(dataset)}."
        )
    lacks: list[str] = []
    images = _images(dataset, contract, told, lacks)
    state = _state(dataset, contract, told, lacks)
    action = _pick(dataset, layout.ACTION, told.action, list(contract.action_names), "--action", lacks)
    kind = _kind(contract, told, lacks)
    outcome = _outcome(dataset, told, lacks)
    _rate(dataset, contract, told, lacks)
    if lacks:
        listed = "; ".join(f"({i}) {lack}" for i, lack in enumerate(lacks, 1))
        raise LeRobotError(f"{dataset.root} does not fit contract '{contract.name}' yet: {listed}")
    return Plan(contract, images, state, action, kind, outcome, False, told)


def summary(dataset: LeRobotDataset) -> str:
    """Cameras, state and action of a dataset in one line."""
    parts = [f"{dataset.fps:g} frames per second", f"cameras {dataset.cameras}"]
    for key in (layout.STATE, layout.ACTION):
        parts.append(f"{key} {dataset.names(key) or f'of {dataset.size(key)} unnamed numbers'}")
    return ", ".join(parts)


def _own_plan(dataset: LeRobotDataset, own: TaskContract, contract: TaskContract | None, told: Mapping) -> Plan:
    if contract is not None:
        contract.require_same(own, f"dataset {dataset.root}")
    if told != Mapping():
        raise LeRobotError(
            f"{dataset.root} was written by World4RL and says itself what it means: leave the mapping out"
        )
    if layout.label("outcome") not in dataset.episodes[0]:
        raise LeRobotError(
            f"{dataset.root}/meta/episodes has lost World4RL's labels; remove {layout.OURS} to import it as a foreign "
            "dataset, with a mapping"
        )
    images = {s.name: layout.image_key(s.name) for s in own.images}
    state, action = tuple(range(own.proprio_dim)), tuple(range(own.action_dim))
    return Plan(own, images, state, action, "normalised", "next.success", True, told)


def _images(dataset: LeRobotDataset, contract: TaskContract, told: Mapping, lacks: list[str]) -> dict[str, str]:
    unknown = set(told.images) - {s.name for s in contract.images}
    if unknown:
        lacks.append(f"--image names streams that the contract has not: {sorted(unknown)}")
    found = {}
    for stream in contract.images:
        key = told.images.get(stream.name) or _obvious(dataset, contract, stream)
        if key not in dataset.cameras:
            lacks.append(
                f"no camera for stream '{stream.name}': give --image {stream.name}=KEY, one of {dataset.cameras}"
            )
        found[stream.name] = key
    return found


def _obvious(dataset: LeRobotDataset, contract: TaskContract, stream: ImageStream) -> str:
    if len(contract.images) == len(dataset.cameras) == 1:
        return dataset.cameras[0]
    return layout.image_key(stream.name)


def _state(dataset: LeRobotDataset, contract: TaskContract, told: Mapping, lacks: list[str]) -> tuple[int, ...]:
    if not contract.proprio_dim:
        return ()
    return _pick(dataset, layout.STATE, told.state, layout.state_names(contract), "--state", lacks)


def _pick(
    dataset: LeRobotDataset, key: str, chosen: tuple[str, ...], wanted: list[str], option: str, lacks: list[str]
) -> tuple[int, ...]:
    """Indices in the feature, one for each number that the contract wants. Equal sizes alone prove nothing."""
    names, size = dataset.names(key), dataset.size(key)
    has = f"{key} has {names or f'{size} unnamed numbers'}"
    if not chosen and names == wanted:
        return tuple(range(size))
    if len(chosen) != len(wanted):
        lacks.append(f"the meaning of {key}: give {option} and {len(wanted)} names or indices for {wanted}; {has}")
        return ()
    try:
        picked = tuple(names.index(c) if c in names else int(c) for c in chosen)
    except ValueError:
        picked = (-1,)
    if not all(0 <= i < size for i in picked):
        lacks.append(f"{option} {' '.join(chosen)}: {has}")
    return picked


def _kind(contract: TaskContract, told: Mapping, lacks: list[str]) -> ActionKind:
    rotates = [n for n in contract.action_names if n in ("rx", "ry", "rz")]
    if told.action_kind is None:
        lacks.append(
            "the meaning of actions: give --action-kind delta (metres and radians per frame), target (absolute "
            "positions in metres) or normalised (as the contract's); joint positions cannot be used"
        )
    elif told.action_kind == "target" and rotates:
        lacks.append(f"absolute rotations are not turned into {rotates}: give --action-kind delta")
    elif told.action_kind == "normalised" and told.stride > 1:
        lacks.append("--stride needs actions in metres: --action-kind delta or target")
    given = (told.gripper_open, told.gripper_closed)
    if "gripper" in contract.action_names:
        if None in given and (told.action_kind in ("delta", "target") or given != (None, None)):
            lacks.append("what opens the hand: give --gripper-open and --gripper-closed, the action's values for both")
        elif given[0] == given[1] is not None:
            lacks.append("--gripper-open and --gripper-closed must differ")
    return told.action_kind or "normalised"


def _outcome(dataset: LeRobotDataset, told: Mapping, lacks: list[str]) -> OutcomeRule:
    chosen = told.outcome or ("next.success" if layout.SUCCESS in dataset.features else None)
    needed = {"next.success": layout.SUCCESS, "reward": layout.REWARD}.get(chosen or "")
    if chosen is None:
        more = ", reward (with --success-reward)" if layout.REWARD in dataset.features else ""
        lacks.append(
            f"success labels ({layout.SUCCESS} is not there): give --outcome success, failure or unlabelled for all "
            f"episodes{more}"
        )
    elif needed and needed not in dataset.features:
        lacks.append(f"--outcome {chosen}: the dataset has no {needed}")
    return chosen or "unlabelled"


def _rate(dataset: LeRobotDataset, contract: TaskContract, told: Mapping, lacks: list[str]) -> None:
    if told.stride < 1:
        lacks.append(f"--stride must be at least 1, got {told.stride}")
        return
    if abs(dataset.fps / told.stride - contract.control_rate_hz) > 1e-6:
        ratio = dataset.fps / contract.control_rate_hz
        mend = f"give --stride {round(ratio)}" if ratio == round(ratio) else "make a contract with control_rate_hz"
        lacks.append(
            f"the rate: {dataset.fps:g} frames per second with --stride {told.stride}, the contract's control rate is "
            f"{contract.control_rate_hz:g} Hz: {mend}" + ("" if "stride" in mend else f" {dataset.fps:g}")
        )
