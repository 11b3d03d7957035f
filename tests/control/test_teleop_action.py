"""From a wish to the contract's action, and the table of buttons in the docs, without ROS."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from world4rl_control.teleop_action import TeleopAction, TeleopSpeed
from world4rl_control.teleop_axes import DIRECTIONS
from world4rl_control.teleop_buttons import TeleopEvent
from world4rl_control.teleop_table import button_table, key_help
from world4rl_data.contract import TaskContract

FULL, LIFT, PRESS = (TaskContract.load(name) for name in ("franka_real", "franka_sim_lift", "franka_sim_press"))
TURNS_ABOUT_Z = dataclasses.replace(FULL, actions=tuple(a for a in FULL.actions if a.name in ("dy", "rz", "gripper")))
contracts = st.sampled_from([FULL, LIFT, PRESS, TURNS_ABOUT_Z])


@settings(deadline=None)  # a busy machine is no failure
@given(
    contracts,
    st.lists(st.floats(-1, 1), min_size=6, max_size=6),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sets(st.sampled_from(DIRECTIONS)),
    st.integers(0, 3),
)
def test_each_dimension_of_the_contract_gets_its_own_direction(contract, wish, move, turn, inverted, toggles):
    action = TeleopAction(contract, TeleopSpeed(move, turn, tuple(inverted)))
    for _ in range(toggles):
        action.toggle()
    values = action.values(wish)
    assert values.shape == (contract.action_dim,) and values.dtype == np.float32 and np.abs(values).max() <= 1.0
    for name, value in zip(contract.action_names, values, strict=True):
        if name == "gripper":
            assert value == (0.0, -1.0, 1.0, -1.0)[toggles]
        else:
            speed = (move if name.startswith("d") else turn) * (-1 if name in inverted else 1)
            assert value == pytest.approx(speed * wish[DIRECTIONS.index(name)], abs=1e-6)


def test_whoever_takes_over_keeps_the_gripper_as_it_is():
    action = TeleopAction(LIFT)
    assert action.values(np.zeros(6))[-1] == 0.0, "not known yet: the gate changes nothing"
    action.see_executed([0.0, 0.0, 0.0, -1.0])
    assert action.values(np.zeros(6))[-1] == -1.0
    action.see_executed([0.0, 0.0, 0.0, 0.1])
    assert action.values(np.zeros(6))[-1] == -1.0, "within the hysteresis nothing is said"
    assert action.toggle() == "gripper opens"
    assert action.values(np.zeros(6))[-1] == 1.0
    action.see_executed([1.0])  # of another contract
    assert action.values(np.zeros(6))[-1] == 1.0


def test_what_is_forgotten_changes_nothing_until_it_is_known_again():
    action = TeleopAction(LIFT)
    action.see_executed([0.0, 0.0, 0.0, -1.0])
    action.forget()
    assert action.values(np.zeros(6))[-1] == 0.0
    action.see_executed([0.0, 0.0, 0.0, 1.0])
    assert action.values(np.zeros(6))[-1] == 1.0


def test_a_hand_without_a_gripper_action_says_so():
    action = TeleopAction(PRESS)
    assert "no gripper" in action.toggle()
    action.see_executed([1.0, 1.0, 1.0])
    np.testing.assert_array_equal(action.values(np.ones(6)), [0.5, 0.5, 0.5])


def test_an_unknown_inverted_direction_is_refused():
    with pytest.raises(ValueError, match="dw"):
        TeleopAction(PRESS, TeleopSpeed(inverted=("dw",)))


def test_the_page_shows_the_table_of_the_code():
    page = Path(__file__).resolve().parents[2] / "docs" / "teleop.md"
    assert button_table() in page.read_text(encoding="utf-8"), "docs/teleop.md: put in what button_table() gives"


def test_the_table_and_the_help_name_every_function():
    assert len(button_table().splitlines()) == 2 + 1 + len(DIRECTIONS) + len(TeleopEvent)
    for name in DIRECTIONS:
        assert f"(`{name}`)" in button_table() and f"({name})" in key_help()
