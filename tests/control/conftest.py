"""The arm gate beside the rig, for the tests of the gate over DDS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # without ROS neither can be imported
    from arm_rig import ArmRig

    from world4rl_control.arm_gate_node import ArmGateNode


@pytest.fixture
def pair(ros_context: None) -> Iterator[tuple[ArmRig, ArmGateNode]]:
    """Rig and gate, ready to be enabled."""
    from gate_rig import close_gate, make_gate

    rig, gate = make_gate()
    rig.ready()
    yield rig, gate
    close_gate(rig, gate)


@pytest.fixture
def rig(pair: tuple[ArmRig, ArmGateNode]) -> ArmRig:
    """The rig of `pair`."""
    return pair[0]
