"""What a person can ask for with a button, and when a button counts. No ROS in here.

Times are seconds of a steady clock: a hand moves in real time, whatever a simulator's clock does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

NO_BUTTON = -1  # index of a function that the device has no button for
_PAUSE_S = 0.8  # a busy machine may delay messages by this much; nobody unplugs and plugs in a device that fast


class TeleopEvent(str, Enum):
    """A press of a button; the value names it in parameters."""

    GRIPPER = "gripper"
    START = "start"
    SUCCESS = "success"
    FAILURE = "failure"
    DISCARD = "discard"
    ENABLE = "enable"
    DISABLE = "disable"
    RELEASE = "release"


MEANING = {
    TeleopEvent.GRIPPER: "open or close the gripper (counts only while the dead-man is held)",
    TeleopEvent.START: "start an episode",
    TeleopEvent.SUCCESS: "end the episode as a success",
    TeleopEvent.FAILURE: "end the episode as a failure",
    TeleopEvent.DISCARD: "throw the episode away",
    TeleopEvent.ENABLE: "enable the arm gate",
    TeleopEvent.DISABLE: "stop: disable the arm gate",
    TeleopEvent.RELEASE: "hand the arm back to the policy",
}


class DeadManButton:
    """Held while it is pressed and its device keeps talking.

    At the start, and after a silence longer than a pause, it must be seen let go before it counts: a driver that comes
    back may repeat the state of the moment when its device was unplugged.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._pause_s = max(timeout_s, _PAUSE_S)
        self._pressed = self._armed = False
        self._last_s: float | None = None

    def see(self, pressed: bool, now_s: float) -> bool:
        """Take the button's state; False when the device was never heard before, or not for longer than a pause."""
        in_touch = self._last_s is not None and 0.0 <= now_s - self._last_s <= self._pause_s
        self._armed = not pressed or (self._armed and in_touch)
        self._pressed, self._last_s = pressed, now_s
        return in_touch

    def drop(self) -> None:
        """Not held until it has been let go: the device said something that cannot be used."""
        self._last_s = None

    def held(self, now_s: float) -> bool:
        """Whether a person holds it now."""
        heard = self._last_s is not None and 0.0 <= now_s - self._last_s <= self._timeout_s
        return self._pressed and self._armed and heard


class ButtonPanel:
    """A device's buttons: the dead-man, and presses of the others as events.

    Raises ValueError when two functions share a button.
    """

    def __init__(self, device: str, dead_man: int, events: Mapping[TeleopEvent, int], timeout_s: float) -> None:
        self._device, self._index = device, dead_man
        self._events = {event: index for event, index in events.items() if index != NO_BUTTON}
        used: dict[int, str] = {}
        for name, index in [("deadman", dead_man), *((event.value, index) for event, index in self._events.items())]:
            if index in used:
                raise ValueError(f"{device}_{used[index]} and {device}_{name} are both button {index}: change one")
            used[index] = name
        if dead_man == NO_BUTTON:
            raise ValueError(f"{device}_deadman is {NO_BUTTON}: without a dead-man button nothing may move the arm")
        self._dead_man = DeadManButton(timeout_s)
        self._before: list[bool] = []
        self.problem = ""  # what the device lacks; empty when nothing

    def see(self, buttons: Sequence[int], now_s: float) -> tuple[TeleopEvent, ...]:
        """Take the state of all buttons; returns what was pressed since the state before."""
        self.problem = ""
        if len(buttons) <= self._index:
            self.problem = (
                f"the device has {len(buttons)} buttons, but {self._device}_deadman is {self._index}: "
                "set it to one that there is"
            )
        now = [bool(value) for value in buttons]
        in_touch = self._dead_man.see(self._index < len(now) and now[self._index], now_s)
        # After a silence the first state is what events are counted from.
        before, self._before = (self._before if in_touch else now), now
        pressed = {i for i, down in enumerate(now) if down and not (i < len(before) and before[i])}
        return tuple(event for event, index in self._events.items() if index in pressed)

    def drop(self) -> None:
        """As `DeadManButton.drop`."""
        self._dead_man.drop()

    def held(self, now_s: float) -> bool:
        """Whether the dead-man is held now."""
        return self._dead_man.held(now_s)
