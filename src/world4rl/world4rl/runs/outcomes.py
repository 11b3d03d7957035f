"""A run's policies on the same start states: what they are called, which are compared, and their outcomes as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import SupportsInt

import numpy as np
from numpy.typing import NDArray

NAMES = {"bc": "BC", "filtered_bc": "filtered BC", "refined": "refined"}
"""By the names of their checkpoints: what tables call them."""
POLICIES = tuple(NAMES)
PAIRS = (("bc", "refined"), ("filtered_bc", "refined"), ("bc", "filtered_bc"))
"""Of two that are compared, the difference is the second minus the first."""


def encode_outcomes(success: Iterable[SupportsInt]) -> str:
    """``1`` for each start state that ended in success, ``0`` for each other."""
    return "".join(str(int(one)) for one in success)


def decode_outcomes(text: str) -> NDArray[np.float64]:
    """0 or 1 for each start state, shape (start states,)."""
    return np.array([int(one) for one in text], dtype=float)
