"""The parts of a task contract, and the strict reader that builds them from plain YAML values."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeVar

ACTION_NAMES = ("dx", "dy", "dz", "rx", "ry", "rz", "gripper")
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")

Vector3 = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]  # x, y, z, w
Pose = tuple[Vector3, Quaternion]
T = TypeVar("T")
# A field that contracts did not have from the beginning: written, and hashed, only where it is not at its default, so
# that what was made under older contracts still fits.
ADDED_LATER = {"added_later": True}
_ABSOLUTE = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
_MESSAGE_TYPE = re.compile(r"[A-Za-z]\w*/msg/[A-Za-z]\w*")
_WIDEST_M = 1.0  # no hand opens wider: who writes more means millimetres
_UNIT_WITHIN = 0.05  # a quaternion's length, which people write with few digits


class ContractError(ValueError):
    """A task contract that cannot be read or does not make sense."""


class ContractMismatch(ValueError):
    """Two things that should share a task contract do not."""


@dataclass(frozen=True)
class ImageStream:
    """One camera. Frames are cropped, then area-averaged to (height, width, 3) uint8 RGB."""

    name: str
    topic: str
    height: int
    width: int
    type: str = "sensor_msgs/msg/Image"
    crop: tuple[int, int, int, int] | None = None  # x, y, width, height in camera pixels; None = the whole image
    timeout_s: float = 0.25  # a frame older than this at the action's stamp counts as missing
    # Width and height of the camera's picture; None = any, although another size shows another part of the view.
    camera: tuple[int, int] | None = field(default=None, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        if self.type not in IMAGE_TYPES:
            raise ContractError(f"image stream '{self.name}': type must be one of {IMAGE_TYPES}, got '{self.type}'")
        require_absolute(f"image stream '{self.name}': topic", self.topic)
        if self.height < 1 or self.width < 1 or (self.crop is not None and (min(self.crop) < 0 or 0 in self.crop[2:])):
            raise ContractError(
                f"image stream '{self.name}': height, width and crop (x, y, width, height) must be positive"
            )
        _require_positive(self, f"image stream '{self.name}'", "timeout_s")
        if self.camera is not None:
            x, y, width, height = self.crop or (0, 0, 1, 1)
            if x + width > self.camera[0] or y + height > self.camera[1]:
                raise ContractError(
                    f"image stream '{self.name}': camera (width, height) {self.camera} must be positive and hold crop "
                    f"(x, y, width, height) {self.crop}"
                )


@dataclass(frozen=True)
class ProprioStream:
    """Numbers out of one message, e.g. fields ("pose.position.x", "position[0]"), concatenated in order."""

    name: str
    topic: str
    type: str
    fields: tuple[str, ...]
    timeout_s: float = 0.25

    def __post_init__(self) -> None:
        if not self.fields:
            raise ContractError(f"proprioception stream '{self.name}' lists no fields")
        where = f"proprioception stream '{self.name}'"
        if not _MESSAGE_TYPE.fullmatch(self.type):
            raise ContractError(f"{where}: type must be like geometry_msgs/msg/PoseStamped, got '{self.type}'")
        require_absolute(f"{where}: topic", self.topic)
        _require_positive(self, where, "timeout_s")


@dataclass(frozen=True)
class ActionDim:
    """One action dimension. Values lie in [-1, 1]; `scale` turns 1 into m or rad per control period."""

    name: str
    unit: str  # "m", "rad", or "open" (gripper: +1 open, -1 closed)
    scale: float

    def __post_init__(self) -> None:
        if self.name not in ACTION_NAMES:
            raise ContractError(f"action '{self.name}' is not one of {ACTION_NAMES}")
        if not self.scale > 0:
            raise ContractError(f"action '{self.name}': scale must be positive, got {self.scale}")


@dataclass(frozen=True)
class Workspace:
    """Where the commanded target may go, and how fast. Base frame."""

    low: Vector3  # x, y, z [m]
    high: Vector3
    max_lag_m: float = 0.045  # target ahead of the measured pose
    max_lag_rad: float = 0.2
    max_step_m: float = 0.06  # target movement per control period
    max_step_rad: float = 0.25
    max_speed_m_s: float = 0.6

    def __post_init__(self) -> None:
        if not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ContractError(f"workspace: low {self.low} must lie below high {self.high} in x, y and z")
        # Also where no action turns: the gate itself turns the target, in a reset and when the arm is pushed.
        _require_positive(self, "workspace", "max_step_m", "max_step_rad", "max_speed_m_s")
        for name in ("max_lag_m", "max_lag_rad"):
            if not getattr(self, name) >= 0:
                raise ContractError(f"workspace: {name} must not be negative, got {getattr(self, name)}")

    def holds(self, position: Vector3) -> bool:
        """Whether the target may go there."""
        return all(low <= at <= high for low, at, high in zip(self.low, position, self.high, strict=True))


@dataclass(frozen=True)
class Gripper:
    """The hand. `fixed` holds it in one state when the contract has no gripper action."""

    kind: str = "franka_hand"  # which hand, as `robot` says which arm; what drives it is the gate's to choose
    namespace: str = "/franka_gripper"
    open_width_m: float = 0.08
    hysteresis: float = 0.2  # commands within +-hysteresis keep the last state
    fixed: Literal["open", "closed"] | None = None

    def __post_init__(self) -> None:
        _require_positive(self, "gripper", "open_width_m")
        if self.open_width_m > _WIDEST_M:
            raise ContractError(f"gripper: open_width_m is in metres, got {self.open_width_m}")
        require_absolute("gripper: namespace", self.namespace)
        if not 0 <= self.hysteresis < 1:
            raise ContractError(f"gripper: hysteresis must be at least 0 and below 1, got {self.hysteresis}")


def require_absolute(what: str, name: str) -> None:
    """Raise ContractError where a topic or namespace does not mean the same for every node, whatever its namespace."""
    if not _ABSOLUTE.fullmatch(name):
        raise ContractError(f"{what} must be an absolute ROS name such as /camera/color/image_raw, got '{name}'")


def require_orientation(what: str, pose: Pose) -> None:
    """Raise ContractError where a pose's quaternion (x, y, z, w) is no orientation."""
    if abs(math.hypot(*pose[1]) - 1.0) > _UNIT_WITHIN:
        raise ContractError(f"{what}: the quaternion (x, y, z, w) must have length 1, got {pose[1]}")


def _require_positive(part: Any, where: str, *names: str) -> None:
    for name in names:
        if not getattr(part, name) > 0:
            raise ContractError(f"{where}: {name} must be positive, got {getattr(part, name)}")


@cache
def _hints(cls: type) -> dict[str, Any]:
    # The contract module imports this one, so its own names are resolved from its own globals.
    return typing.get_type_hints(cls)


def build(kind: Any, value: Any, where: str) -> Any:
    """Turn plain YAML values into `kind` (a dataclass, tuple, dict, Literal, Optional or scalar type).

    Numbers are coerced to the declared type so that 10 and 10.0 hash alike. Raises ContractError naming `where`.
    """
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, where)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else build(next(a for a in args if a is not type(None)), value, where)
    if origin is Literal:
        if value not in args:
            raise ContractError(f"{where} must be one of {args}, got {value!r}")
        return value
    if origin is tuple:
        return _build_tuple(args, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise ContractError(f"{where} must be a mapping, got {value!r}")
        return {str(k): build(args[1], v, f"{where}.{k}") for k, v in value.items()}
    return _build_scalar(kind, value, where)


def _build_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ContractError(f"{where} must be a mapping, got {value!r}")
    hints = _hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}
    unknown = [k for k in value if k not in known]
    required = {n for n, f in known.items() if f.default is f.default_factory is dataclasses.MISSING}
    missing = [n for n in known if n in required and n not in value]
    if unknown or missing:
        raise ContractError(f"{where}: unknown keys {unknown}, missing keys {missing}; known keys are {sorted(known)}")
    return kind(**{k: build(hints[k], v, f"{where}.{k}") for k, v in value.items()})


def _build_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ContractError(f"{where} must be a list, got {value!r}")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(build(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if len(value) != len(args):
        raise ContractError(f"{where} must have {len(args)} entries, got {value!r}")
    return tuple(build(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value, strict=True)))


def _build_scalar(kind: Any, value: Any, where: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and number and math.isfinite(value):
        return float(value)
    if kind is int and number and float(value).is_integer():
        return int(value)
    if kind is str and isinstance(value, str):
        return value
    raise ContractError(f"{where} must be a {kind.__name__}, got {value!r}")
