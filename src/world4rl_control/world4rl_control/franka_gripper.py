"""The Franka hand behind franka_gripper's own actions. No rclpy in here.

Facts from the driver's source: `move` to a width beyond the measured maximum does not end; the service `stop` ends it;
the maximum is 0 until `homing` ran once; a `grasp` succeeds where it stops within epsilon of its width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from world4rl_control.hand import Deed


@dataclass(frozen=True)
class FrankaClients:
    """Clients of the actions `move`, `grasp` and `homing`, and of the service `stop`."""

    move: Any
    grasp: Any
    homing: Any
    stop: Any


class FrankaGripper:
    """A GripperDriver. `goals` makes its messages: of Move for "open", Grasp for "close", Homing for "home", and the
    request of std_srvs/Trigger for "stop"."""

    def __init__(self, clients: FrankaClients, goals: Callable[[str], Any]) -> None:
        self._stop, self._goals = clients.stop, goals
        self._clients = {"open": clients.move, "close": clients.grasp, "home": clients.homing}

    def client(self, deed: Deed) -> Any:
        """See GripperDriver."""
        return self._clients[deed]

    def goal(self, deed: Deed) -> Any:
        """See GripperDriver."""
        return self._goals(deed)

    def halt(self, handle: Any, done: Callable[[], None]) -> bool:
        """See GripperDriver; the driver's `stop` ends whatever runs."""
        if not self._stop.service_is_ready():
            return False
        self._stop.call_async(self._goals("stop")).add_done_callback(lambda _: done())
        return True

    def complaint(self, deed: Deed, outcome: Any) -> str:
        """See GripperDriver."""
        result = getattr(outcome, "result", None)
        if result is None or result.success:
            return ""
        return f"the gripper could not {deed}: {result.error or 'the driver does not say why'}"
