"""The parameters of this package's nodes: what each is, and its range."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from world4rl_data.parameter_messages import describe

_LARGEST = 2**31 - 1
# Name: what it is, and both ends of its range where it is a number.
_DESCRIPTIONS: dict[str, tuple[str, float, float] | str] = {
    "contract": "Task contract: a shipped name or the path of a YAML file.",
    "task": "Scene: press_button, push_cube or lift_cube.",
    "seed": ("Seed of the start state.", 0, _LARGEST),
    "lamp": "press_button only: the button lights up when it is pressed.",
    "lockstep": "Each control period waits for a target instead of the clock.",
    "lockstep_timeout_s": ("Lockstep: real time that a period waits before it goes on [s].", 0.001, 60.0),
    "real_time_factor": ("Speed of simulated time against real time.", 0.001, 1000.0),
    "image_size": ("Height and width of the cameras [pixels]; the contract may ask for more.", 8, 2048),
    "episodes": ("How many episodes to run.", 0, _LARGEST),
    "first_seed": ("Seed of the first episode's start state; the others count on from it.", 0, _LARGEST),
    "exit_when_done": "End after the episodes; false: stay.",
    "record": "Ask the recorder to record each episode.",
    "timeout_s": ("Real time for a service to answer and for the arm to go on moving [s].", 0.1, 3600.0),
    "results": "JSON file that receives the outcome of each episode; empty: none.",
    "noise": ("Standard deviation added to each action, in action units.", 0.0, 1.0),
    "hesitation": ("Chance per period of standing still for a moment.", 0.0, 1.0),
}


def declare(node: Node, name: str, default: Any) -> Any:
    """Declare a parameter, which is read at the start only; returns its value."""
    told = _DESCRIPTIONS[name]
    return node.declare_parameter(name, default, describe(*told) if isinstance(told, tuple) else describe(told)).value
