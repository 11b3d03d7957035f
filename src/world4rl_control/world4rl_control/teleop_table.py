"""The buttons of every device as a table, from the maps' own defaults. No ROS in here."""

from __future__ import annotations

from world4rl_control.teleop_axes import DIRECTIONS
from world4rl_control.teleop_buttons import MEANING, NO_BUTTON
from world4rl_control.teleop_joystick import JoystickConfig
from world4rl_control.teleop_keyboard import EVENT_KEYS, HOLD_KEY, MOTION_KEYS
from world4rl_control.teleop_spacemouse import SpaceMouseConfig

# game_controller_node's order of buttons and axes
_BUTTONS = (
    "A", "B", "X", "Y", "back", "guide", "start", "left stick pressed", "right stick pressed", "left shoulder",
    "right shoulder", "pad up", "pad down", "pad left", "pad right",
)  # fmt: skip
_AXES = ("left stick left/right", "left stick up/down", "right stick left/right", "right stick up/down")
_PUCK = ("push ahead/back", "push left/right", "lift/press", "tilt right/left", "tilt ahead/back", "turn left/right")
_MOVES = {
    "dx": "move ahead / back",
    "dy": "move left / right",
    "dz": "move up / down",
    "rx": "turn about x: tilt right / left",
    "ry": "turn about y: tilt ahead / back",
    "rz": "turn about z: left / right",
}


def _motion_keys(name: str) -> str:
    keys = {sign: key for key, (axis, sign) in MOTION_KEYS.items() if axis == name}
    return f"`{keys[1]}` / `{keys[-1]}`"


def _joystick_motion(config: JoystickConfig, name: str) -> str:
    axis = getattr(config, f"axis_{name}")
    if axis != NO_BUTTON:
        return f"{_AXES[axis]} (axis {axis})"
    plus, minus = getattr(config, f"{name}_plus"), getattr(config, f"{name}_minus")
    return f"{_BUTTONS[plus]} / {_BUTTONS[minus]} ({plus} / {minus})"


def _button(index: int, names: tuple[str, ...]) -> str:
    return "-" if index == NO_BUTTON else f"{names[index]} ({index})"


def rows() -> list[tuple[str, str, str, str]]:
    """(what, SpaceMouse, joystick, keyboard), defaults, in the order of the table."""
    mouse, pad = SpaceMouseConfig(), JoystickConfig()
    two = ("left button", "right button")
    held = "the key itself, while it repeats; space: hold still"
    table = [("dead-man: hold it", _button(mouse.deadman, two), _button(pad.deadman, _BUTTONS), held)]
    assert HOLD_KEY == " "
    for name, push in zip(DIRECTIONS, _PUCK):
        table.append((f"{_MOVES[name]} (`{name}`)", push, _joystick_motion(pad, name), _motion_keys(name)))
    keys = {event: key for key, event in EVENT_KEYS.items()}
    for event, meaning in MEANING.items():
        indices = getattr(mouse, event.value), getattr(pad, event.value)
        table.append((meaning, _button(indices[0], two), _button(indices[1], _BUTTONS), f"`{keys[event]}`"))
    return table


def button_table() -> str:
    """The table as Markdown, as it stands in docs/teleop.md."""
    lines = ["| | SpaceMouse | joystick | keyboard |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows())])


def key_help() -> str:
    """What the keys do, for the terminal."""
    lines = [f"  {keys.replace('`', ''):<14} {what.replace('`', '')}" for what, _, _, keys in rows()[1:]]
    return "\n".join(["hold a key to move, let it go to stop; space holds still", *lines])
