"""The arm gate beside the rig, in one executor."""

from __future__ import annotations

from typing import Any

import numpy as np
from arm_rig import ArmRig
from geometry_msgs.msg import PoseStamped
from rclpy.parameter import Parameter

from world4rl_control.arm_gate_node import ArmGateNode


def position(target: PoseStamped) -> np.ndarray:
    """Of a target: (3,), metres."""
    p = target.pose.position
    return np.array([p.x, p.y, p.z])


def gate_node(contract: str = "franka_sim_press", **parameters: Any) -> ArmGateNode:
    """The gate alone."""
    return ArmGateNode([Parameter(name, value=value) for name, value in {"contract": contract, **parameters}.items()])


def make_gate(contract: str = "franka_sim_press", **parameters: Any) -> tuple[ArmRig, ArmGateNode]:
    """Rig and gate; what spins the rig serves the gate."""
    rig = ArmRig()
    gate = gate_node(contract, **parameters)
    rig.executor_.add_node(gate)
    return rig, gate


def close_gate(rig: ArmRig, gate: ArmGateNode) -> None:
    """The end of both."""
    rig.executor_.shutdown()
    gate.destroy_node()
    rig.destroy_node()
