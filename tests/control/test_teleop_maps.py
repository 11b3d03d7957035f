"""Maps from devices to wishes and events, without ROS: who is not surely holding the dead-man moves nothing."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from world4rl_control.teleop_axes import DIRECTIONS, with_dead_zone
from world4rl_control.teleop_buttons import DeadManButton, TeleopEvent
from world4rl_control.teleop_joystick import JoystickConfig, JoystickMap
from world4rl_control.teleop_keyboard import EVENT_KEYS, HOLD_KEY, MOTION_KEYS, KeyboardMap
from world4rl_control.teleop_spacemouse import SpaceMouseConfig, SpaceMouseMap

TIMEOUT_S = 0.15
PAD = JoystickConfig()
FREE, HELD = [0] * 21, [int(i == PAD.deadman) for i in range(21)]
REST = [0.0] * 6
anything = st.floats(allow_nan=True, allow_infinity=True, width=32)


def _with(buttons: list[int], *pressed: int) -> list[int]:
    return [int(value or index in pressed) for index, value in enumerate(buttons)]


def _ready_joystick(config: JoystickConfig = PAD) -> JoystickMap:
    """One that was seen let go at 0 s and held at 0.05 s."""
    joystick = JoystickMap(TIMEOUT_S, 0.1, config)
    joystick.see(REST, FREE, 0.0)
    joystick.see(REST, HELD, 0.05)
    return joystick


# -- dead zone ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.0, 0.9))
def test_the_dead_zone_is_odd_monotonic_bounded_and_without_a_jump(a, b, zone):
    low, high = sorted((a, b))
    x, y = with_dead_zone([low, high], zone)
    assert -1.0 <= x <= y <= 1.0
    assert with_dead_zone(-a, zone) == -with_dead_zone(a, zone)
    if abs(a) <= zone:
        assert with_dead_zone(a, zone) == 0.0
    assert y - x <= (high - low) / (1.0 - zone) + 1e-12
    np.testing.assert_allclose(with_dead_zone([1.0, -1.0], zone), [1.0, -1.0])


# -- dead-man ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 1.2)), max_size=40), st.floats(0.0, 0.4))
def test_the_dead_man_is_held_only_after_a_release_followed_by_an_unbroken_press(states, wait_s):
    dead_man, now_s, history = DeadManButton(TIMEOUT_S), 0.0, []
    for pressed, gap_s in states:
        now_s += gap_s
        dead_man.see(pressed, now_s)
        history.append((pressed, gap_s))
    expected = bool(history) and history[-1][0] and wait_s <= TIMEOUT_S
    for pressed, gap_s in reversed(history):  # back to the last release: no silence may lie in between
        if not pressed or not expected:
            break
        expected = gap_s <= 0.8
    else:
        expected = False  # never seen let go
    near_a_limit = abs(wait_s - TIMEOUT_S) < 1e-9 or any(abs(gap_s - 0.8) < 1e-9 for _, gap_s in history)
    assert near_a_limit or dead_man.held(now_s + wait_s) == expected


def test_a_dead_man_that_is_held_when_the_device_comes_back_has_to_be_pressed_anew():
    joystick = _ready_joystick()
    assert joystick.wish(0.05) is not None and joystick.wish(0.25) is None
    joystick.see(REST, HELD, 0.3)
    assert joystick.wish(0.3) is not None, "a short pause is no reason"
    joystick.see(REST, HELD, 1.5)
    assert joystick.wish(1.5) is None, "after a silence the driver may repeat the state of before"
    joystick.see(REST, FREE, 1.55)
    joystick.see(REST, HELD, 1.6)
    assert joystick.wish(1.6) is not None


# -- joystick ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "direction"), [(1, "dx"), (0, "dy"), (3, "dz"), (2, "rz")], ids=["dx", "dy", "dz", "rz"]
)
def test_each_stick_moves_its_own_direction(axis, direction):
    joystick = _ready_joystick()
    axes = list(REST)
    axes[axis] = -1.0
    joystick.see(axes, HELD, 0.1)
    np.testing.assert_array_equal(joystick.wish(0.1), [-1.0 * (name == direction) for name in DIRECTIONS])


@pytest.mark.parametrize(
    ("button", "direction", "sign"), [(14, "rx", 1), (13, "rx", -1), (11, "ry", 1), (12, "ry", -1)]
)
def test_the_directional_pad_tilts(button, direction, sign):
    joystick = _ready_joystick()
    joystick.see(REST, _with(HELD, button), 0.1)
    np.testing.assert_array_equal(joystick.wish(0.1), [sign * (name == direction) for name in DIRECTIONS])


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.lists(anything, max_size=10),
    st.lists(st.integers(-5, 5), max_size=25),
    st.lists(anything, max_size=10),
    st.lists(st.integers(-5, 5), max_size=25),
)
def test_whatever_the_joystick_sends_the_wish_is_finite_bounded_and_wants_the_dead_man(axes, buttons, more, others):
    joystick = _ready_joystick()
    for now_s, (some_axes, some_buttons) in enumerate([(axes, buttons), (more, others)], start=2):
        events = joystick.see(some_axes, some_buttons, 0.05 * now_s)
        wish = joystick.wish(0.05 * now_s)
        held = len(some_buttons) > PAD.deadman and some_buttons[PAD.deadman]
        assert held or wish is None
        assert wish is None or (wish.shape == (6,) and np.abs(wish).max() <= 1.0)
        assert len(set(events)) == len(events)
    assert joystick.wish(0.15 + TIMEOUT_S + 1e-6) is None


def test_a_nan_lets_go_and_says_so():
    joystick = _ready_joystick()
    joystick.see([float("nan"), 0, 0, 0], HELD, 0.1)
    assert joystick.wish(0.1) is None and "finite" in joystick.problem
    joystick.see(REST, HELD, 0.15)
    assert joystick.wish(0.15) is None, "until it has been let go"


def test_a_held_button_is_one_event_and_none_after_a_silence():
    joystick = _ready_joystick()
    assert joystick.see(REST, _with(FREE, PAD.start), 0.1) == (TeleopEvent.START,)
    assert joystick.see(REST, _with(FREE, PAD.start), 0.15) == ()
    assert joystick.see(REST, _with(FREE, PAD.start, PAD.success), 0.2) == (TeleopEvent.SUCCESS,)
    assert joystick.see(REST, _with(FREE, PAD.disable), 5.0) == (), "what was pressed meanwhile is not known"
    assert joystick.see(REST, _with(FREE, PAD.disable, PAD.start), 5.05) == (TeleopEvent.START,)


def test_every_event_has_a_button_of_its_own_and_a_clash_names_both():
    config = dataclasses.replace(PAD, gripper=9)
    with pytest.raises(ValueError, match="joystick_deadman and joystick_gripper are both button 9"):
        JoystickMap(TIMEOUT_S, 0.1, config)
    with pytest.raises(ValueError, match="dead-man"):
        JoystickMap(TIMEOUT_S, 0.1, dataclasses.replace(PAD, deadman=-1))
    assert set(PAD.events().values()) | {PAD.deadman} <= set(range(21)) - {PAD.rx_plus, PAD.rx_minus}


def test_a_joystick_without_the_dead_man_button_is_named():
    joystick = _ready_joystick()
    joystick.see(REST, [1, 1, 1, 1], 0.1)
    assert joystick.wish(0.1) is None and "joystick_deadman is 9" in joystick.problem


# -- SpaceMouse --------------------------------------------------------------------------------------------------------


def _ready_mouse() -> SpaceMouseMap:
    mouse = SpaceMouseMap(TIMEOUT_S, 0.1)
    mouse.see_buttons([0, 0], 0.0)
    mouse.see_twist(REST, 0.05)
    mouse.see_buttons([1, 0], 0.05)
    return mouse


def test_the_puck_moves_all_six_directions_while_the_left_button_is_held():
    mouse = _ready_mouse()
    twist = [1.0, -1.0, 0.55, -0.55, 0.05, 0.1]
    mouse.see_twist(twist, 0.1)
    np.testing.assert_allclose(mouse.wish(0.1), [1.0, -1.0, 0.5, -0.5, 0.0, 0.0])
    mouse.see_buttons([0, 0], 0.1)
    assert mouse.wish(0.1) is None


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(anything, min_size=6, max_size=6), st.lists(st.integers(0, 1), max_size=4))
def test_whatever_the_spacemouse_sends_the_wish_is_finite_bounded_and_wants_the_dead_man(twist, buttons):
    mouse = _ready_mouse()
    mouse.see_twist(twist, 0.1)
    mouse.see_buttons(buttons, 0.1)
    wish = mouse.wish(0.1)
    usable = np.isfinite(twist).all() and bool(buttons and buttons[0])
    assert (wish is not None) == usable
    assert wish is None or np.abs(wish).max() <= 1.0


def test_either_topic_of_the_spacemouse_falling_silent_lets_go():
    mouse = _ready_mouse()
    mouse.see_buttons([1, 0], 0.19)
    assert mouse.wish(0.19) is not None and mouse.wish(0.21) is None, "no twist since 0.05 s"
    mouse = _ready_mouse()
    mouse.see_twist(REST, 0.19)
    assert mouse.wish(0.21) is None, "no buttons since 0.05 s"


def test_the_right_button_is_the_gripper_and_a_buttonless_list_is_no_fault():
    mouse = _ready_mouse()
    assert mouse.see_buttons([1, 1], 0.1) == (TeleopEvent.GRIPPER,)
    mouse.see_buttons([], 0.15)  # the driver lists the buttons that were pressed at least once
    assert mouse.problem == ""
    assert SpaceMouseConfig().events()[TeleopEvent.START] == -1


# -- keyboard ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.tuples(st.text(max_size=4), st.floats(0.0, 0.3)), max_size=30))
def test_a_key_moves_the_arm_only_while_it_repeats(typed):
    keyboard, now_s, last = KeyboardMap(0.2), 0.0, {}
    for keys, gap_s in typed:
        now_s += gap_s
        keyboard.see(keys, now_s)
        last.update(dict.fromkeys(keys, now_s))
        wish = keyboard.wish(now_s)
        fresh = {key for key, at_s in last.items() if now_s - at_s <= 0.2}
        if not fresh & {HOLD_KEY, "g", *MOTION_KEYS}:
            assert wish is None
        else:
            for index, name in enumerate(DIRECTIONS):
                assert wish[index] == sum(sign for k, (n, sign) in MOTION_KEYS.items() if n == name and k in fresh)
    assert keyboard.wish(now_s + 0.21) is None


@settings(deadline=None)  # a busy machine is no failure
@given(st.sampled_from("wsadqeuojlik"), st.sampled_from("tyncpb"))
def test_an_event_key_is_one_press_while_it_repeats_and_moves_nothing(motion, key):
    keyboard = KeyboardMap(0.2)
    assert keyboard.see(key, 0.0) == (EVENT_KEYS[key],) and keyboard.wish(0.0) is None
    assert [keyboard.see(key, at_s) for at_s in (0.5, 0.54, 0.58, 1.4)] == [()] * 4
    assert keyboard.see(key, 2.5) == (EVENT_KEYS[key],)
    assert keyboard.see(motion, 3.0) == () and keyboard.wish(3.0) is not None


def test_the_stop_key_counts_each_time_it_comes():
    """Hammered faster than once a second, also after an enable: taken for one held key, the arm would go on."""
    keyboard = KeyboardMap(0.2)
    typed = [(0.0, "x"), (0.4, "p"), (0.9, "x"), (1.1, "xx")]
    stop, enable = (TeleopEvent.DISABLE,), (TeleopEvent.ENABLE,)
    assert [keyboard.see(keys, at_s) for at_s, keys in typed] == [stop, enable, stop, 2 * stop]


def test_no_key_has_two_meanings_and_every_event_has_a_key():
    assert not set(MOTION_KEYS) & set(EVENT_KEYS) and HOLD_KEY not in {*MOTION_KEYS, *EVENT_KEYS}
    assert set(EVENT_KEYS.values()) == set(TeleopEvent)
    assert sorted(MOTION_KEYS.values()) == sorted((name, sign) for name in DIRECTIONS for sign in (1, -1))
