"""What the graph would need and cannot give yet: refused with a reason and a mend instead of being ignored."""

from __future__ import annotations

from collections.abc import Iterable

from world4rl_bringup.graph import MODES
from world4rl_bringup.options import GraphOptions
from world4rl_bringup.paths import package_prefix

# Arguments that people know from other launch files and that would be dangerous to swallow silently.
NOT_READY = {
    "backend": "only the cartesian_pose backend (target_pose, as crisp_controllers takes it) is ready",
    "teleop": "teleoperation is not part of this launch file yet: publish World4RL actions with source HUMAN yourself",
    "controllers_yaml": "no motion controller is started yet: start it yourself and say controller:=external",
    "arm_prefix": "arms with a prefix are not supported yet",
    "cameras": "cameras are not started yet: start realsense2_camera yourself with the names that the contract gives",
}


def unknown_arguments(mode: str, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Sort arguments that the mode does not read into (refused with a reason, merely unknown)."""
    strange = sorted(set(names) - set(MODES[mode].options))
    return [f"{n}: {NOT_READY[n]}" for n in strange if n in NOT_READY], [n for n in strange if n not in NOT_READY]


def refusals(mode: str, options: GraphOptions, can_include_driver: bool) -> list[str]:
    """Reasons why a mode cannot start as asked; empty where it can.

    ``can_include_driver``: whether the caller can include franka_bringup's launch file (the runner cannot).
    """
    if mode != "real_arm" or options.use_fake_hardware:
        return []
    reasons = []
    if options.robot_type != "fr3":
        reasons.append(f"robot_type:={options.robot_type} is not supported: only fr3 is")
    if not options.start_driver:
        return reasons
    if not can_include_driver:
        reasons.append("the runner starts no driver: use ros2 launch, or start the driver and say start_driver:=false")
        return reasons
    if package_prefix("franka_bringup") is None:
        reasons.append(
            "franka_bringup (the driver of franka_ros2) is not installed: install and source franka_ros2, or say "
            "start_driver:=false where the driver runs elsewhere, or use_fake_hardware:=true for the simulated arm"
        )
    if not options.robot_ip:
        reasons.append("robot_ip is empty: give the address of the arm's control box, such as robot_ip:=172.16.0.2")
    if options.controller != "external":
        reasons.append(
            "starting a motion controller is not ready, and franka.launch.py starts none, so that nobody would follow "
            "target_pose: start a Cartesian pose controller (crisp_controllers) yourself and say controller:=external"
        )
    return reasons
