"""The arm_gate node with a policy and a person on machines whose clocks are apart."""

import numpy as np
import pytest

pytestmark = pytest.mark.ros

from arm_rig import ArmRig  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402

from world4rl_interfaces.msg import Action  # noqa: E402


def _act(rig: ArmRig, source: int, behind_s: float = 0.0) -> None:
    action = Action(values=[0.1, 0.0, 0.0], source=source)
    stamp_ns = rig.get_clock().now().nanoseconds - round(1e9 * behind_s)
    action.header.stamp.sec, action.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    rig.actions.publish(action)
    rig.spin(0.1)


def test_a_human_whose_clock_is_behind_has_the_arm_and_the_record_goes_forward(rig: ArmRig) -> None:
    told: list[DiagnosticArray] = []
    rig.create_subscription(DiagnosticArray, "/diagnostics", told.append, 1)
    assert rig.enable().success
    for _ in range(3):
        _act(rig, Action.POLICY)
    for _ in range(6):
        _act(rig, Action.HUMAN, 0.3)
    rig.until(lambda: rig.executed and rig.executed[-1].source == Action.HUMAN, what="a human's action")
    stamps = [action.header.stamp.sec * 10**9 + action.header.stamp.nanosec for action in rig.executed]
    assert (np.diff(stamps) > 0).all()
    first = [action.source for action in rig.executed].index(Action.HUMAN)
    assert len(rig.executed) - first >= 5, "none of hers is overtaken"

    def age_s() -> float:
        values = {pair.key: pair.value for pair in told[-1].status[0].values} if told else {}
        return float(values.get("age_s_human", "nan"))

    rig.until(lambda: age_s() >= 0.3, what="the age of the human's actions in the diagnostics")
