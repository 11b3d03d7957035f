"""The teleop node over DDS: from the driver's messages to actions and service calls."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

import rclpy  # noqa: E402
from arm_rig import ArmRig  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402
from teleop_hand import LIFT, Hand  # noqa: E402

from world4rl_control.arm_gate_node import ArmGateNode  # noqa: E402
from world4rl_control.teleop_joystick import JoystickConfig  # noqa: E402
from world4rl_control.teleop_node import TeleopNode  # noqa: E402
from world4rl_data.recorder_node import RecorderNode  # noqa: E402
from world4rl_interfaces.msg import Action, ArmStatus  # noqa: E402

PAD = JoystickConfig()


def _open(device: str, input_timeout_s: float = 0.5) -> tuple[Hand, Node, TeleopNode]:
    parameters = {"contract": LIFT.name, "device": device, "translation_speed": 1.0, "input_timeout_s": input_timeout_s}
    teleop = TeleopNode([Parameter(name, value=value) for name, value in parameters.items()])
    rig, executor = rclpy.create_node("rig"), SingleThreadedExecutor()
    executor.add_node(rig)
    executor.add_node(teleop)
    hand = Hand(rig, executor)
    topic = "/joy" if device == "joystick" else "/spacenav/joy"
    hand.until(lambda: rig.count_subscribers(topic) and rig.count_publishers(LIFT.action_topic), what="discovery")
    return hand, rig, teleop


def _close(hand: Hand, *nodes: Node) -> None:
    hand.executor.shutdown()
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def driven() -> Iterator[tuple[Hand, TeleopNode]]:
    hand, rig, teleop = _open("joystick")
    hand.spin(0.2)
    yield hand, teleop
    _close(hand, teleop, rig)


@pytest.fixture
def joystick(driven: tuple[Hand, TeleopNode]) -> Hand:
    return driven[0]


def test_actions_go_out_at_the_contracts_rate_while_the_dead_man_is_held(joystick):
    joystick.axes[PAD.axis_dx] = 1.0
    joystick.spin(0.3)
    assert joystick.heard == [], "a stick alone moves nothing"
    joystick.hold_until((PAD.deadman,), lambda: len(joystick.heard) >= 11)
    action = joystick.heard[-1][1]
    assert action.source == Action.HUMAN and action.header.frame_id == LIFT.base_frame
    np.testing.assert_allclose(action.values, [1.0, 0.0, 0.0, 0.0])
    stamps = [a.header.stamp.sec + 1e-9 * a.header.stamp.nanosec for _, a in joystick.heard]
    assert 0.8 * LIFT.period_s < np.median(np.diff(stamps)) < 1.2 * LIFT.period_s
    joystick.press()
    joystick.spin(0.3)
    count = len(joystick.heard)
    joystick.spin(0.4)
    assert len(joystick.heard) == count, "letting go ends the actions"


def test_silence_of_the_device_ends_the_actions_within_two_periods():
    hand, rig, teleop = _open("joystick", input_timeout_s=0.0)
    try:
        hand.hold_until((PAD.deadman,), lambda: len(hand.heard) >= 3)
        hand.speaking, hand.stall_s = False, 0.0
        hand.spin(1.2)
        assert hand.heard[-1][0] - hand.spoke_s < 2.0 * LIFT.period_s + hand.stall_s
        count = len(hand.heard)
        hand.speaking = True
        hand.spin(0.4)
        assert len(hand.heard) == count, "a driver that comes back with the button held does not move the arm"
        hand.hold_until((PAD.deadman,), lambda: len(hand.heard) > count)
    finally:
        _close(hand, teleop, rig)


def test_the_gripper_is_taken_over_as_it_is_and_toggled(joystick):
    executed = joystick.node.create_publisher(Action, LIFT.executed_action_topic, 10)
    joystick.until(executed.get_subscription_count)
    executed.publish(Action(values=[0.0, 0.0, 0.0, 1.0], source=Action.POLICY))
    joystick.press(PAD.gripper)
    joystick.spin(0.3)
    assert joystick.heard == []
    joystick.hold_until((PAD.deadman,), lambda: joystick.heard)
    assert joystick.values()[3] == 1.0, "the press without the dead-man did not count"
    for wanted in (-1.0, 1.0):
        joystick.press(PAD.deadman, PAD.gripper)
        joystick.until(lambda: joystick.values()[3] == wanted)  # noqa: B023
        joystick.press(PAD.deadman)
        joystick.spin(0.3)
        assert joystick.values()[3] == wanted, "one press, one change"


def test_a_hand_that_was_homed_is_not_closed_by_the_first_action_after_enabling(driven):
    """Homing opens the hand, and is done while the gate is disabled: what was executed before says nothing any more."""
    joystick, teleop = driven
    executed = joystick.node.create_publisher(Action, LIFT.executed_action_topic, 10)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    statuses = joystick.node.create_publisher(ArmStatus, "arm_gate/status", latched)
    joystick.until(lambda: executed.get_subscription_count() and statuses.get_subscription_count())
    for enabled in (True, False, True):
        statuses.publish(ArmStatus(enabled=enabled))
        # Each has been heard before the next one: the topic keeps one alone.
        joystick.until(lambda: teleop._enabled == enabled, what=f"the status enabled={enabled}")  # noqa: B023
        if enabled and not joystick.heard:
            executed.publish(Action(values=[0.0, 0.0, 0.0, -1.0], source=Action.POLICY))
            joystick.hold_until((PAD.deadman,), lambda: joystick.heard and joystick.values()[3] == -1.0, "closed")
            joystick.press()
            joystick.spin(0.3)
    count = len(joystick.heard)
    joystick.hold_until((PAD.deadman,), lambda: len(joystick.heard) > count)
    assert joystick.values()[3] == 0.0
    executed.publish(Action(values=[0.0, 0.0, 0.0, -1.0], source=Action.HUMAN))  # the gate has measured a closed hand
    joystick.hold_until((PAD.deadman,), lambda: joystick.values()[3] == -1.0, "learned while a person drives")
    joystick.press(PAD.deadman, PAD.gripper)
    joystick.until(lambda: joystick.values()[3] == 1.0, what="one press opens it")


@pytest.mark.parametrize(
    ("button", "service"),
    [
        (PAD.start, "recorder/start"),
        (PAD.success, "recorder/stop_success"),
        (PAD.failure, "recorder/stop_failure"),
        (PAD.discard, "recorder/discard"),
        (PAD.enable, "arm_gate/enable"),
        (PAD.disable, "arm_gate/enable"),
        (PAD.release, "arm_gate/release"),
    ],
)
def test_each_button_calls_its_service_once(joystick, button, service):
    calls: list[Any] = []

    def serve(request: Any, response: Any) -> Any:
        calls.append(request)
        response.success, response.message = True, "done"
        return response

    kind = SetBool if service.endswith("enable") else Trigger
    server = joystick.node.create_service(kind, service, serve)
    found = joystick.node.create_client(kind, service)
    joystick.until(found.service_is_ready)
    joystick.spin(0.2)  # the node's own client has found it too
    joystick.press(button)
    joystick.until(lambda: calls, what=service)
    joystick.spin(0.2)
    assert len(calls) == 1 and joystick.heard == []
    if kind is SetBool:
        assert calls[0].data == (button == PAD.enable)
    joystick.node.destroy_service(server)


def test_a_button_whose_service_is_missing_leaves_the_node_well(joystick):
    joystick.press(PAD.start)
    joystick.spin(0.3)
    joystick.hold_until((PAD.deadman,), lambda: joystick.heard)


def test_the_spacemouse_moves_the_arm_through_its_two_topics():
    hand, rig, teleop = _open("spacemouse")
    try:
        hand.spin(0.2)
        hand.twist.linear.y, hand.twist.angular.z = -1.0, 1.0
        hand.spin(0.2)
        assert hand.heard == []
        hand.hold_until((0,), lambda: hand.heard and hand.values()[1] == -1.0)
        np.testing.assert_allclose(hand.values(), [0.0, -1.0, 0.0, 0.0])
        hand.twist.linear.y = float("nan")
        hand.spin(0.4)
        count = len(hand.heard)
        hand.spin(0.4)
        assert len(hand.heard) == count
    finally:
        _close(hand, teleop, rig)


def test_a_person_enables_records_drives_and_labels_with_one_joystick(tmp_path):
    rig = ArmRig()
    gate = ArmGateNode([Parameter("contract", value="franka_sim_lift")])
    teleop = TeleopNode([Parameter("contract", value="franka_sim_lift"), Parameter("device", value="joystick")])
    settings = {"contract": LIFT.name, "bags_dir": str(tmp_path), "autostart": True}
    recorder = RecorderNode(parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()])
    for node in (gate, teleop, recorder):
        rig.executor_.add_node(node)
    hand = Hand(rig, rig.executor_)
    try:
        rig.ready()
        rig.spin(0.3)
        hand.press(PAD.enable)
        hand.until(lambda: rig.status.enabled, what="the gate enabled by the joystick")
        hand.axes[PAD.axis_dz] = 1.0
        hand.press(PAD.start)
        hand.until(lambda: list(tmp_path.iterdir()), 20.0, "an episode started by the joystick")
        holding = lambda: rig.targets and rig.status.active_source == Action.HUMAN  # noqa: E731
        hand.hold_until((PAD.deadman,), holding, "the arm in the human's hand")
        first = rig.targets[0].pose.position
        assert first.z - rig.position[2] == pytest.approx(0.5 * LIFT.actions[2].scale, abs=1e-6), "half speed"
        hand.press(PAD.success)
        closed = lambda: [p for p in tmp_path.glob("*/episode.json") if p.parent.suffix != ".partial"]  # noqa: E731
        hand.until(closed, 20.0, "an episode closed by the joystick")
        assert json.loads(closed()[0].read_text())["outcome_name"] == "SUCCESS"
        hand.press(PAD.disable)
        hand.until(lambda: not rig.status.enabled)
    finally:
        _close(hand, teleop, recorder, gate, rig)


@pytest.mark.parametrize(
    ("parameters", "mend"),
    [
        ({"device": "glove"}, "use one of spacemouse, joystick, keyboard"),
        ({"device": "joystick", "joystick_gripper": 9}, "are both button 9"),
        ({"device": "joystick", "inverted": ["up"]}, "inverted names"),
    ],
)
def test_parameters_that_cannot_work_are_refused_with_the_mend(parameters, mend):
    values = [Parameter(name, value=value) for name, value in {"contract": LIFT.name, **parameters}.items()]
    with pytest.raises(ValueError, match=mend):
        TeleopNode(values)
