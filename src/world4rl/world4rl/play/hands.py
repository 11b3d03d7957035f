"""What steers a dream: a keyboard with teleoperation's keys, or actions from a file. No ROS in here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

import numpy as np

from world4rl_control.teleop_action import TeleopAction, TeleopSpeed
from world4rl_control.teleop_axes import TeleopMap
from world4rl_control.teleop_buttons import TeleopEvent
from world4rl_control.teleop_keyboard import EVENT_KEYS, HOLD_KEY, MOTION_KEYS, KeyboardMap
from world4rl_data.contract import TaskContract

KEY_TIMEOUT_S = 0.2  # as in teleoperation: a key that has not repeated for this long counts as let go


class Order(str, Enum):
    """What can be asked for besides moving; the value is the sentence for people."""

    RESET = "the same start again"
    NEW_START = "another start"
    SAVE = "save this dream as a clip"
    POLICY = "the policy acts, until you move"
    QUIT = "quit"


ORDERS = {
    TeleopEvent.DISCARD: Order.RESET,
    TeleopEvent.START: Order.NEW_START,
    TeleopEvent.SUCCESS: Order.SAVE,
    TeleopEvent.RELEASE: Order.POLICY,
    TeleopEvent.DISABLE: Order.QUIT,
}
"""Buttons mean here what comes nearest to their meaning in teleoperation; the others mean nothing."""


@dataclass(frozen=True)
class Wish:
    """Since the last time asked: `orders`, and the `action` ``(A,)`` to do now, None to let the dream wait."""

    orders: tuple[Order, ...] = ()
    action: np.ndarray | None = None


class Hand(Protocol):
    """Who steers; `live` where it is a person, for whom dreams go no faster than the robot."""

    live: bool

    def poll(self) -> Wish:
        """Asked before each step."""
        ...


class TeleopHand:
    """A teleoperation device: full deflection goes as far as the contract allows."""

    live = True

    def __init__(self, contract: TaskContract, device: TeleopMap):
        self._map = device
        self._action = TeleopAction(contract, TeleopSpeed(1.0, 1.0))

    def wish(self, events: Sequence[TeleopEvent], now_s: float) -> Wish:
        """What the device says now, and the buttons newly pressed."""
        for event in events:
            if event is TeleopEvent.GRIPPER:
                self._action.toggle()
        wanted = self._map.wish(now_s)
        orders = tuple(ORDERS[event] for event in events if event in ORDERS)
        return Wish(orders, None if wanted is None else self._action.values(wanted))


class KeyboardHand(TeleopHand):
    """Teleoperation's keys, from anything that gives typed characters: a terminal, a window."""

    def __init__(
        self, contract: TaskContract, read: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys, self._read, self._clock = KeyboardMap(KEY_TIMEOUT_S), read, clock
        super().__init__(contract, self._keys)

    def poll(self) -> Wish:
        """See Hand; the end of the input (EOFError) quits."""
        try:
            typed = self._read()
        except EOFError:
            return Wish((Order.QUIT,))
        now_s = self._clock()
        return self.wish(self._keys.see(typed, now_s), now_s)


class ActionFile:
    """Plays actions from a file, one per step, then quits."""

    live = False

    def __init__(self, path: Path, contract: TaskContract):
        """Read ``(T, A)`` numbers: .npy, or text with a row per action and commas between (.csv).

        Raises:
            ValueError: no such table, or values that are not finite or lie outside [-1, 1].
        """
        names = ", ".join(contract.action_names)
        try:
            table = (
                np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",", ndmin=2)
            )
        except ValueError as error:
            raise ValueError(
                f"{path} holds no table of actions ({error}): give .npy or .csv, columns {names}"
            ) from error
        if table.ndim != 2 or table.shape[1] != contract.action_dim or not len(table):
            raise ValueError(f"{path} holds {table.shape}, but a row per step with the columns {names} is needed")
        wrong = np.argwhere(~(np.abs(table) <= 1))
        if len(wrong):
            row, column = wrong[0]
            raise ValueError(
                f"{path}: action {row}, {contract.action_names[column]} is {table[row, column]}, not in [-1, 1]"
            )
        self._actions = iter(table.astype(np.float32))

    def poll(self) -> Wish:
        """See Hand."""
        action = next(self._actions, None)
        return Wish((Order.QUIT,)) if action is None else Wish(action=action)


def key_help(contract: TaskContract) -> str:
    """What the keys do, for the terminal; directions that the contract leaves out are left out."""
    lines = []
    for name in contract.action_names:
        keys = {sign: key for key, (axis, sign) in MOTION_KEYS.items() if axis == name}
        if keys:
            lines.append(f"  {keys[1]} / {keys[-1]}   {name} + / -")
        elif name == "gripper":
            key = next(key for key, event in EVENT_KEYS.items() if event is TeleopEvent.GRIPPER)
            lines.append(f"  {key}       open or close the gripper")
    assert HOLD_KEY == " "
    lines.append("  space   stand still, and let time pass")
    lines += [f"  {key}       {ORDERS[event].value}" for key, event in EVENT_KEYS.items() if event in ORDERS]
    return "\n".join(["hold a key to move; while none is held the dream waits", *lines])
