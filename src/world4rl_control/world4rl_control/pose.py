"""Small pose maths: unit quaternions (x, y, z, w) and rotation vectors [rad], on plain floats.

Written on scalars because a control loop turns one pose at a time, where numpy's and scipy's call overhead is the cost.
All functions return new arrays; quaternions are float64 (4,), vectors float64 (3,).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Array = np.ndarray
Pose = tuple[Array, Array]  # position (3,) [m], unit quaternion (4,) xyzw


def unit(quat: Array) -> Array:
    """Scale a quaternion (4,) to length 1. Raises ValueError for a zero or non-finite one."""
    length = math.sqrt(float(quat @ quat))
    if not math.isfinite(length) or length < 1e-6:
        raise ValueError(f"not an orientation: {quat}")
    return quat / length


def multiply(left: Array, right: Array) -> Array:
    """Hamilton product: the rotation `right` followed by `left`."""
    ax, ay, az, aw = (float(v) for v in left)
    bx, by, bz, bw = (float(v) for v in right)
    return np.array(
        (
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        )
    )


def inverse(quat: Array) -> Array:
    """Inverse of a unit quaternion."""
    return np.array((-quat[0], -quat[1], -quat[2], quat[3]))


def exp(rotvec: Array) -> Array:
    """Rotation vector (3,) [rad, axis times angle] to unit quaternion."""
    x, y, z = (float(v) for v in rotvec)
    angle = math.sqrt(x * x + y * y + z * z)
    factor = 0.5 - angle * angle / 48.0 if angle < 1e-6 else math.sin(0.5 * angle) / angle
    return np.array((x * factor, y * factor, z * factor, math.cos(0.5 * angle)))


def log(quat: Array) -> Array:
    """Unit quaternion to the shortest rotation vector (3,), angle in [0, pi] [rad]."""
    x, y, z, w = (float(v) for v in quat)
    if w < 0.0:  # q and -q are one rotation: take the short way round
        x, y, z, w = -x, -y, -z, -w
    sine = math.sqrt(x * x + y * y + z * z)
    factor = 2.0 if sine < 1e-9 else 2.0 * math.atan2(sine, w) / sine
    return np.array((x * factor, y * factor, z * factor))


def rotate(quat: Array, vector: Array) -> Array:
    """A vector (3,) turned by a unit quaternion."""
    turned = multiply(multiply(quat, np.array((*vector, 0.0))), inverse(quat))
    return turned[:3]


def rotate_by(rotvec: Array, quat: Array) -> Array:
    """exp(rotvec) * quat: turn an orientation by a rotation given in the base frame."""
    return unit(multiply(exp(rotvec), quat))


def rotation_between(start: Array, end: Array) -> Array:
    """Base-frame rotation vector (3,) that turns `start` into `end`: end = exp(result) * start."""
    return log(multiply(end, inverse(start)))


def length(vector: Array) -> float:
    """Euclidean length of a vector (3,)."""
    return math.sqrt(float(vector @ vector))


def shorten(vector: Array, limit: float) -> Array:
    """The same direction, at most `limit` long."""
    size = length(vector)
    return vector if size <= limit else vector * (limit / size)


def largest_fraction(holds: Callable[[float], bool], steps: int = 14) -> float:
    """Largest t in [0, 1] for which `holds(t)`, where holds(0) is taken as true and truth ends at most once."""
    if holds(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(steps):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
