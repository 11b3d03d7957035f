"""A gripper behind the action control_msgs/GripperCommand, as ros2_control's controllers have it. No rclpy in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from world4rl_control.hand import Deed

_SUCCEEDED = 4  # action_msgs/GoalStatus


class CommandGripper:
    """A GripperDriver: one action for both ways, no homing. `goals` makes a GripperCommand.Goal for "open" and "close".

    To hold an object is to stall before the closed position: that is no failure.
    """

    def __init__(self, client: Any, goals: Callable[[str], Any]) -> None:
        self._client, self._goals = client, goals

    def client(self, deed: Deed) -> Any:
        """See GripperDriver."""
        return None if deed == "home" else self._client

    def goal(self, deed: Deed) -> Any:
        """See GripperDriver."""
        return self._goals(deed)

    def halt(self, handle: Any, done: Callable[[], None]) -> bool:
        """See GripperDriver: cancels the goal."""
        handle.cancel_goal_async().add_done_callback(lambda _: done())
        return True

    def complaint(self, deed: Deed, outcome: Any) -> str:
        """See GripperDriver."""
        result = getattr(outcome, "result", None)
        if result is None or outcome.status == _SUCCEEDED or result.reached_goal or result.stalled:
            return ""
        return f"the gripper could not {deed}: it stands at {result.position:.4f} m"
