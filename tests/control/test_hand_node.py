"""The hand, homing and error recovery over DDS, against action servers with the drivers' names and manners."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

from control_msgs.action import GripperCommand  # noqa: E402
from franka_msgs.action import ErrorRecovery  # noqa: E402
from rclpy.action import ActionServer, CancelResponse, GoalResponse  # noqa: E402
from rclpy.callback_groups import ReentrantCallbackGroup  # noqa: E402
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from world4rl_control.arm_services_node import ArmServices  # noqa: E402
from world4rl_control.command_gripper import CommandGripper  # noqa: E402
from world4rl_control.franka_gripper import FrankaGripper  # noqa: E402
from world4rl_control.hand import DrivenHand, Hand, NoHand  # noqa: E402
from world4rl_control.hand_node import connect_hand  # noqa: E402
from world4rl_data.contract import Gripper  # noqa: E402
from world4rl_sim import gripper_server_node  # noqa: E402
from world4rl_sim.gripper_server_node import GripperServer  # noqa: E402

GRIPPER = Gripper()


class Fingers:
    """An arm's hand: it goes to the commanded width at once, unless something blocks it."""

    def __init__(self) -> None:
        self.gripper_width, self.blocked = 0.04, False
        self.told: list[float] = []

    def set_gripper_width(self, width: float) -> None:
        self.told.append(width)
        if not self.blocked:
            self.gripper_width = width


class Rig:
    """The node under test and a driver, each with its own executor thread, as on the robot."""

    def __init__(self, **parameters: Any) -> None:
        values = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = Node("arm_gate", parameter_overrides=values)
        self.driver = Node("driver")
        self.hand: Hand = connect_hand(self.node, GRIPPER)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self._driving = MultiThreadedExecutor(2)
        self._driving.add_node(self.driver)
        self._thread = threading.Thread(target=self._driving.spin)
        self._thread.start()
        self.node.create_timer(0.05, lambda: self.hand.tick(time.monotonic()))

    def until(self, condition: Callable[[], Any], timeout_s: float = 20.0, what: str = "") -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"waited {timeout_s} s for {what or condition}: {self.hand.problem}"
            self.executor.spin_once(timeout_sec=0.02)

    def call(self, name: str) -> Any:
        """Call a Trigger service and return its future; waits only until the service is found."""
        client = self.node.create_client(Trigger, name)
        self.until(client.service_is_ready, what=name)
        return client.call_async(Trigger.Request())

    def close(self) -> None:
        self._driving.shutdown()
        self._thread.join(10.0)
        self.executor.shutdown()
        for server in [waitable for waitable in self.driver.waitables if isinstance(waitable, ActionServer)]:
            server.destroy()  # destroy_node leaves them: the next rig would find a driver that never answers
        self.node.destroy_node()
        self.driver.destroy_node()


@pytest.fixture
def rigs() -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(**parameters: Any) -> Rig:
        made.append(Rig(**parameters))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


def _serve_franka(rig: Rig) -> tuple[Fingers, list[str]]:
    """franka_gripper's actions as the simulated arm serves them; returns the fingers and the calls of stop."""
    fingers, stops = Fingers(), []

    class Server(GripperServer):
        def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            stops.append("stop")
            return super()._on_stop(request, response)

    server = Server(rig.driver, fingers, GRIPPER.namespace)  # type: ignore[arg-type]
    rig.driver.create_timer(0.02, server.update)
    return fingers, stops


def test_the_franka_hand_closes_opens_and_is_stopped_when_it_does_not_get_there(rigs):
    rig = rigs()
    fingers, stops = _serve_franka(rig)
    rig.hand.command("close", time.monotonic())
    rig.until(lambda: fingers.told == [0.0], what="a grasp")
    rig.until(lambda: rig.hand._sent is None, what="its end")  # type: ignore[attr-defined]
    assert rig.hand.problem == "" and stops == []
    fingers.blocked = True
    before_s = time.monotonic()
    rig.hand.command("open", before_s)
    assert time.monotonic() - before_s < 0.05, "a command returns at once"
    rig.until(lambda: fingers.told[-1] == GRIPPER.open_width_m, what="a move, which now never ends")
    rig.hand.command("close", time.monotonic())
    rig.until(lambda: fingers.told[-1] == 0.0 and len(fingers.told) >= 4, what="the next grasp")
    assert stops == ["stop"], "the goal in progress is stopped before the next one"


def test_a_control_msgs_gripper_is_cancelled_before_the_next_goal(rigs):
    rig = rigs(gripper="control_msgs")
    happened: list[str] = []

    def execute(handle: Any) -> Any:
        command = handle.request.command
        happened.append(f"goal {command.position:g} {command.max_effort:g}")
        end = time.monotonic() + (10.0 if command.position > 0.0 else 0.0)  # opening is blocked
        while time.monotonic() < end and not handle.is_cancel_requested:
            time.sleep(0.01)
        if handle.is_cancel_requested:
            happened.append("cancelled")
            handle.canceled()
        else:
            handle.succeed()
        return GripperCommand.Result(reached_goal=not handle.is_cancel_requested)

    server = ActionServer(
        rig.driver,
        GripperCommand,
        "/franka_gripper/gripper_action",
        execute,
        cancel_callback=lambda _: CancelResponse.ACCEPT,
        callback_group=ReentrantCallbackGroup(),
        result_timeout=10,
    )
    rig.hand.command("open", time.monotonic())
    rig.until(lambda: happened, what="a goal")
    rig.hand.command("close", time.monotonic())
    rig.until(lambda: len(happened) == 3, what="the next goal")
    assert happened[0] == "goal 0.039 30" and sorted(happened[1:]) == ["cancelled", "goal 0 30"]
    server.destroy()


def test_the_choice_of_gripper_and_what_is_missing(rigs, monkeypatch):
    def driver_of(hand: Hand) -> type:
        assert isinstance(hand, DrivenHand) and hand.refusal == ""
        return type(hand._driver)

    assert driver_of(rigs().hand) is FrankaGripper
    assert driver_of(rigs(gripper="control_msgs").hand) is CommandGripper
    none = rigs(gripper="none").hand
    assert isinstance(none, NoHand) and "parameter gripper" in none.refusal and none.problem == ""
    with pytest.raises(ValueError, match="use one of auto, franka"):
        connect_hand(Node("other", parameter_overrides=[Parameter("gripper", value="claw")]), GRIPPER)
    monkeypatch.setitem(sys.modules, "franka_msgs.action", None)
    assert driver_of(rigs().hand) is CommandGripper, "auto takes the next one"
    assert "needs franka_msgs: install" in rigs(gripper="franka").hand.refusal
    monkeypatch.setitem(sys.modules, "control_msgs.action", None)
    assert "needs franka_msgs or control_msgs: install" in rigs().hand.refusal


# -- homing and recovery -----------------------------------------------------------------------------------------------


def _services(rig: Rig, moving: bool = False, refusal: str = "") -> list[str]:
    """Adds ~/recover and ~/home_gripper; returns the list that notes what happened in which order."""
    happened: list[str] = []

    def hold() -> str:
        happened.append("hold")
        return refusal

    ArmServices(rig.node, rig.hand, hold, lambda: moving)
    return happened


def test_the_gripper_is_homed_once_at_the_start_as_soon_as_its_driver_is_there(rigs, monkeypatch):
    rig, tried = rigs(home_gripper=True), []
    home = rig.hand.home
    monkeypatch.setattr(rig.hand, "home", lambda now_s, done: (tried.append(now_s), home(now_s, done)))
    _services(rig)
    rig.until(lambda: tried, what="a start without a driver")
    fingers, _ = _serve_franka(rig)
    rig.until(lambda: fingers.told, what="homing")
    end = time.monotonic() + 0.5
    rig.until(lambda: time.monotonic() > end)
    assert len(fingers.told) == 1


def test_homing_at_the_start_outlives_a_lost_answer(rigs, monkeypatch):
    """The driver takes the first goal too late: that is as good as no answer."""
    rig = rigs(home_gripper=True)
    begun: list[float] = []

    class Slow(ActionServer):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, goal_callback=self.take, **options)

        def take(self, _goal: Any) -> GoalResponse:
            begun.append(time.monotonic())
            time.sleep(1.5 if len(begun) == 1 else 0.0)
            return GoalResponse.ACCEPT

    monkeypatch.setattr(gripper_server_node, "ActionServer", Slow)
    fingers, stops = _serve_franka(rig)
    services = ArmServices(rig.node, rig.hand, str, lambda: False)
    notes: list[str] = []
    rig.until(lambda: (notes.append(services.homing.note), not notes[-1])[1], what="the end of homing")
    assert len(begun) == 2 and stops == ["stop"] and len(fingers.told) >= 2
    assert any("asked again" in note for note in notes) and rig.hand.problem == "" and rig.hand.refusal == ""


def test_homing_on_request_answers_when_it_has_ended_and_is_refused_while_the_arm_may_move(rigs):
    rig = rigs()
    _services(rig)
    fingers, _ = _serve_franka(rig)
    homed = rig.call("/arm_gate/home_gripper")
    rig.until(homed.done, what="the end of homing")
    if not homed.result().success:  # asked before the action server was found
        assert "no gripper action server" in homed.result().message
        rig.until(lambda: rig.hand._driver.client("home").server_is_ready())  # type: ignore[attr-defined]
        homed = rig.call("/arm_gate/home_gripper")
        rig.until(homed.done, what="the end of homing")
    assert homed.result().success and fingers.told


def test_the_gripper_is_not_homed_while_the_arm_may_move(rigs):
    rig = rigs(home_gripper=True)
    _services(rig, moving=True)
    fingers, _ = _serve_franka(rig)
    answer = rig.call("/arm_gate/home_gripper")
    rig.until(answer.done)
    assert not answer.result().success and "disable it first" in answer.result().message and fingers.told == []


def test_recovery_holds_first_does_not_block_the_node_and_answers_with_the_result(rigs):
    rig = rigs()
    happened = _services(rig)
    outcome = {"abort": False}
    release = threading.Event()

    def execute(handle: Any) -> Any:
        happened.append("recovery")
        assert release.wait(20.0)
        (handle.abort if outcome["abort"] else handle.succeed)()
        return ErrorRecovery.Result()

    server = ActionServer(rig.driver, ErrorRecovery, "/action_server/error_recovery", execute, result_timeout=10)
    rig.until(lambda: rig.node.count_publishers("/action_server/error_recovery/_action/status"))
    answer = rig.call("/arm_gate/recover")
    rig.until(lambda: "recovery" in happened or answer.done(), what="the driver's recovery")
    while answer.done() and "no error recovery action" in answer.result().message:  # not found yet
        answer = rig.call("/arm_gate/recover")
        rig.until(lambda: "recovery" in happened or answer.done())  # noqa: B023
    assert happened == ["hold", "recovery"], "the measured pose is the target before the driver recovers"
    second = rig.call("/arm_gate/recover")
    rig.until(second.done, what="an answer while the driver is busy")
    assert not second.result().success and "going on already" in second.result().message
    assert not answer.done()
    release.set()
    rig.until(answer.done, what="the result")
    assert answer.result().success and "stays disabled" in answer.result().message
    outcome["abort"] = True
    failed = rig.call("/arm_gate/recover")
    rig.until(failed.done)
    assert not failed.result().success and "could not recover" in failed.result().message
    server.destroy()


def test_recovery_without_a_driver_or_a_pose_is_refused(rigs):
    rig = rigs()
    happened = _services(rig)
    answer = rig.call("/arm_gate/recover")
    rig.until(answer.done)
    assert not answer.result().success and "is it running" in answer.result().message and happened == []
