"""The built messages: constants agree with the Python enums, and a call by hand needs almost nothing filled in."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.ros


def test_action_sources_agree_with_the_episodes() -> None:
    from world4rl_data.episode import ActionSource
    from world4rl_interfaces.msg import Action

    assert {source.name: int(source) for source in ActionSource} == {
        name: getattr(Action, name) for name in ("UNKNOWN", "HUMAN", "SCRIPTED", "POLICY", "RANDOM")
    }


def test_outcomes_agree_with_the_episodes() -> None:
    from world4rl_data.episode import Outcome
    from world4rl_interfaces.msg import EpisodeStatus

    assert {outcome.name: int(outcome) for outcome in Outcome} == {
        name: getattr(EpisodeStatus, name) for name in ("UNLABELLED", "SUCCESS", "FAILURE", "DISCARDED", "INTERRUPTED")
    }


def test_service_and_action_ask_and_answer_the_same() -> None:
    """One function serves both, so a field of one that the other lacks would be lost on the way."""
    from world4rl_interfaces.action import ImagineRollouts
    from world4rl_interfaces.srv import ImagineRollout

    fields = ImagineRollout.Request.get_fields_and_field_types()
    assert fields == ImagineRollouts.Goal.get_fields_and_field_types()
    assert ImagineRollout.Response.get_fields_and_field_types() == ImagineRollouts.Result.get_fields_and_field_types()
    # {horizon: 15, use_policy: true} by hand must mean: from the live camera.
    assert ImagineRollout.Request().context_source == ImagineRollout.Request.LIVE == ImagineRollouts.Goal.LIVE == 0


def test_kinds_of_uncertainty_agree_with_the_imagination_and_the_client() -> None:
    from world4rl_bringup.client_types import Uncertainty
    from world4rl_interfaces.action import ImagineRollouts
    from world4rl_interfaces.srv import ImagineRollout
    from world4rl_wm.uncertainty.kind import UncertaintyKind

    for answer in (ImagineRollout.Response, ImagineRollouts.Result):
        names = {name: getattr(answer, f"UNCERTAINTY_{name}") for name in UncertaintyKind.__members__}
        assert names == {kind.name: kind.value for kind in Uncertainty} and answer().uncertainty_kind == names["NONE"]


def test_franka_msgs_has_the_fields_that_the_nodes_use() -> None:
    from franka_msgs.action import ErrorRecovery, Grasp, Homing, Move
    from franka_msgs.msg import FrankaRobotState

    state = FrankaRobotState.get_fields_and_field_types()
    assert state["robot_mode"] == "uint8" and state["o_t_ee"] == "geometry_msgs/PoseStamped"
    assert (FrankaRobotState.ROBOT_MODE_IDLE, FrankaRobotState.ROBOT_MODE_MOVE) == (1, 2)
    assert list(Grasp.Goal.get_fields_and_field_types()) == ["width", "epsilon", "speed", "force"]
    assert Grasp.Goal().epsilon.inner == Grasp.Goal().epsilon.outer == 0.005
    assert list(Move.Goal.get_fields_and_field_types()) == ["width", "speed"]
    for action in (Grasp, Move, Homing):
        assert list(action.Result.get_fields_and_field_types()) == ["success", "error"]
    assert not ErrorRecovery.Goal.get_fields_and_field_types()
