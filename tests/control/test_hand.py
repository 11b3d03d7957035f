"""The hand and error recovery with drivers that answer late, never or badly, without ROS: nothing waits for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from world4rl_control.command_gripper import CommandGripper
from world4rl_control.error_recovery import ErrorRecovery
from world4rl_control.franka_gripper import FrankaClients, FrankaGripper
from world4rl_control.hand import DrivenHand, NoHand
from world4rl_control.homing import Homing

SUCCEEDED, ABORTED = 4, 6


class Later:
    """A future that the test completes."""

    def __init__(self) -> None:
        self._told: list[Any] = []
        self._value: Any = None

    def add_done_callback(self, told: Any) -> None:
        self._told.append(told)

    def result(self) -> Any:
        return self._value

    def complete(self, value: Any) -> None:
        self._value = value
        for told in self._told:
            told(self)


class Goal:
    """One goal at the driver."""

    def __init__(self, message: Any) -> None:
        self.message, self.answer, self.outcome, self.cancelled = message, Later(), Later(), Later()
        self.cancels = 0

    def accept(self) -> None:
        self.answer.complete(
            SimpleNamespace(accepted=True, get_result_async=lambda: self.outcome, cancel_goal_async=self._cancel)
        )

    def refuse(self) -> None:
        self.answer.complete(SimpleNamespace(accepted=False))

    def _cancel(self) -> Later:
        self.cancels += 1
        return self.cancelled

    def end(self, status: int = SUCCEEDED, **result: Any) -> None:
        self.outcome.complete(SimpleNamespace(status=status, result=SimpleNamespace(**result)))


class Driver:
    """Action clients and the stop service of a driver, all of which note what they are asked."""

    def __init__(self) -> None:
        self.goals: list[Goal] = []
        self.stops: list[Later] = []
        self.ready = self.stoppable = True

    def server_is_ready(self) -> bool:
        return self.ready

    def service_is_ready(self) -> bool:
        return self.stoppable

    def send_goal_async(self, message: Any) -> Later:
        self.goals.append(Goal(message))
        return self.goals[-1].answer

    def call_async(self, _request: Any) -> Later:
        self.stops.append(Later())
        return self.stops[-1]

    @property
    def said(self) -> list[str]:
        return [goal.message for goal in self.goals]


def franka() -> tuple[DrivenHand, Driver]:
    driver = Driver()
    return DrivenHand(FrankaGripper(FrankaClients(driver, driver, driver, driver), str)), driver


def command() -> tuple[DrivenHand, Driver]:
    driver = Driver()
    return DrivenHand(CommandGripper(driver, str)), driver


both = pytest.mark.parametrize("make", [franka, command], ids=["franka", "control_msgs"])


@both
def test_a_command_goes_out_at_once(make):
    hand, driver = make()
    hand.command("close", 0.0)
    assert driver.said == ["close"]
    driver.goals[0].accept()
    driver.goals[0].end(success=True, error="", reached_goal=True, stalled=False, position=0.0)
    hand.command("open", 1.0)
    assert driver.said == ["close", "open"] and hand.problem == "" and driver.stops == []


def test_a_goal_that_does_not_end_is_stopped_before_the_next_one_and_the_newest_command_counts():
    hand, driver = franka()
    hand.command("open", 0.0)
    driver.goals[0].accept()
    hand.command("close", 1.0)
    hand.command("open", 1.1)
    hand.command("close", 1.2)
    assert driver.said == ["open"] and len(driver.stops) == 1, "nothing is sent before stop is answered"
    driver.stops[0].complete(None)
    assert driver.said == ["open", "close"]
    driver.goals[0].end(ABORTED, success=False, error="stopped")
    assert hand.problem == "", "what was stopped for the next goal may complain"


def test_with_control_msgs_the_goal_is_cancelled_before_the_next_one():
    hand, driver = command()
    hand.command("open", 0.0)
    hand.command("close", 0.01)
    assert driver.said == ["open"], "not accepted yet: it cannot be cancelled"
    driver.goals[0].accept()
    assert driver.goals[0].cancels == 1 and driver.said == ["open"]
    driver.goals[0].cancelled.complete(None)
    assert driver.said == ["open", "close"]


@both
def test_a_driver_that_never_answers_is_given_up_and_the_command_sent(make):
    hand, driver = make()
    hand.command("open", 0.0)
    hand.command("close", 0.5)
    assert driver.said == ["open"]
    hand.tick(1.1)
    assert driver.said == ["open", "close"], "the goal was not answered"
    driver.goals[1].accept()
    hand.command("open", 2.0)
    hand.tick(2.9)
    assert len(driver.goals) == 2
    hand.tick(3.1)
    assert driver.said == ["open", "close", "open"], "stop or cancel was not answered"
    driver.goals[0].accept()  # much too late
    driver.goals[0].end(ABORTED, success=False, error="late", reached_goal=False, stalled=False, position=0.0)
    assert hand.problem == ""


@both
def test_a_refused_goal_and_an_absent_driver_are_problems_and_the_command_is_kept(make):
    hand, driver = make()
    hand.command("open", 0.0)
    driver.goals[0].refuse()
    assert "refused to open" in hand.problem
    driver.ready = False
    hand.command("close", 1.0)
    assert "load_gripper:=true" in hand.problem and len(driver.goals) == 1
    driver.ready = True
    hand.tick(2.0)
    assert driver.said == ["open", "close"] and hand.problem == ""


@both
def test_a_command_that_waited_long_for_its_driver_is_dropped_so_that_it_surprises_nobody(make):
    hand, driver = make()
    driver.ready = False
    hand.command("close", 0.0)
    hand.tick(9.0)
    assert "dropped" not in hand.problem
    hand.tick(11.0)
    assert "dropped: enable the gate again" in hand.problem
    driver.ready = True
    hand.tick(12.0)
    assert driver.said == [] and "dropped" in hand.problem, "it stays on display until the next command"
    hand.command("open", 13.0)
    assert driver.said == ["open"] and hand.problem == ""


@both
def test_after_a_stop_nothing_goes_out_that_had_not_gone_out_before(make):
    hand, driver = make()
    hand.command("close", 0.0)
    hand.command("open", 0.1)  # waits for the answer to the first, or for its driver
    hand.forget()
    hand.tick(1.1)
    driver.ready = False
    hand.command("close", 2.0)
    hand.forget()
    driver.ready = True
    hand.tick(2.1)
    assert driver.said == ["close"]


def test_why_a_goal_failed_is_told():
    hand, driver = franka()
    hand.command("open", 0.0)
    driver.goals[0].accept()
    driver.goals[0].end(ABORTED, success=False, error="width out of range")
    assert hand.problem == "the gripper could not open: width out of range"
    hand, driver = command()
    hand.command("open", 0.0)
    driver.goals[0].accept()
    driver.goals[0].end(ABORTED, reached_goal=False, stalled=False, position=0.0123)
    assert hand.problem == "the gripper could not open: it stands at 0.0123 m"


def test_holding_an_object_is_no_failure_with_control_msgs():
    hand, driver = command()
    hand.command("close", 0.0)
    driver.goals[0].accept()
    driver.goals[0].end(ABORTED, reached_goal=False, stalled=True, position=0.02)
    assert hand.problem == ""


@both
@settings(deadline=None)  # a busy machine is no failure
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["open", "close", "accept", "end", "answer"]), st.floats(0, 0.7)), max_size=40
    )
)
def test_whatever_the_driver_does_one_goal_runs_and_the_last_command_gets_through(make, steps):
    hand, driver = make()
    now_s, last = 0.0, None
    handled: set[int] = set()
    for step, wait_s in steps:
        now_s += wait_s
        hand.tick(now_s)
        open_goals = [goal for index, goal in enumerate(driver.goals) if index not in handled]
        if step in ("open", "close"):
            last = step
            hand.command(step, now_s)
        elif step == "accept" and driver.goals and driver.goals[-1].answer.result() is None:
            driver.goals[-1].accept()
        elif step == "end" and open_goals and open_goals[-1].answer.result() is not None:
            handled.add(driver.goals.index(open_goals[-1]))
            open_goals[-1].end(success=True, error="", reached_goal=True, stalled=False, position=0.0)
        elif step == "answer":
            for answer in [*driver.stops[-1:], *(goal.cancelled for goal in driver.goals[-1:] if goal.cancels)]:
                answer.complete(None)
    for _ in range(5):  # silence: everything that is waited for is given up
        now_s += 1.01
        hand.tick(now_s)
    assert (driver.said[-1] if driver.said else None) == last
    assert all(goal.cancels <= 1 for goal in driver.goals)


# -- homing ------------------------------------------------------------------------------------------------------------


def test_homing_ends_with_its_result_and_commands_wait_for_it():
    hand, driver = franka()
    answers: list[str] = []
    hand.home(0.0, answers.append)
    assert driver.said == ["home"]
    driver.goals[0].accept()
    hand.command("close", 1.0)
    hand.home(1.0, answers.append)
    assert driver.said == ["home"] and driver.stops == [] and answers == ["homing is going on already"]
    driver.goals[0].end(success=True, error="")
    assert answers[1:] == [""] and driver.said == ["home", "close"]


def test_homing_stops_what_runs_and_says_what_went_wrong():
    hand, driver = franka()
    answers: list[str] = []
    hand.command("open", 0.0)
    driver.goals[0].accept()
    hand.home(0.1, answers.append)
    assert driver.said == ["open"] and len(driver.stops) == 1
    driver.stops[0].complete(None)
    driver.goals[1].accept()
    driver.goals[1].end(ABORTED, success=False, error="no power")
    assert driver.said == ["open", "home"] and answers == ["the gripper could not home: no power"]


def test_homing_that_never_ends_is_answered_and_so_is_one_that_cannot_begin():
    hand, driver = franka()
    answers: list[str] = []
    hand.home(0.0, answers.append)
    driver.goals[0].accept()
    hand.tick(29.0)
    assert answers == []
    hand.tick(30.5)
    assert answers == [] and len(driver.stops) == 1, "it is ended before anybody may ask again"
    driver.stops[0].complete(None)
    assert answers == ["homing did not end within 30 s, and was stopped"]
    driver.ready = False
    hand.home(31.0, answers.append)
    assert "load_gripper" in answers[1]
    command()[0].home(0.0, answers.append)
    assert "no homing" in answers[2]
    NoHand("no gripper here", wanted=True).home(0.0, answers.append)
    assert answers[3] == "no gripper here"


class Start:
    """A homing at the start of a gate, its driver, and the ticks of the two."""

    def __init__(self) -> None:
        self.hand, self.driver = franka()
        self.moving = False
        self.homing = Homing(self.hand, lambda: self.moving, at_start=True)
        self.now_s = 0.0

    def tick(self, seconds: float = 0.1) -> None:
        for _ in range(round(seconds / 0.1)):
            self.now_s += 0.1
            self.hand.tick(self.now_s)
            self.homing.tick(self.now_s)


def test_a_homing_whose_answer_is_lost_is_asked_again_once_the_driver_has_answered_stop():
    start = Start()
    start.tick(1.5)
    assert start.driver.said == ["home"] and len(start.driver.stops) == 1, "it may run: nothing new before its end"
    assert "being homed" in start.hand.refusal, "nobody enables the arm meanwhile"
    start.driver.stops[0].complete(None)
    assert "asked again" in start.homing.note and not start.homing.failed
    start.tick()
    assert start.driver.said == ["home", "home"]
    start.driver.goals[0].accept()
    assert start.driver.goals[0].cancels == 1, "one that is taken much too late does not run beside the new one"
    start.driver.goals[1].accept()
    start.driver.goals[1].end(success=True, error="")
    assert (start.homing.note, start.hand.problem, start.hand.refusal) == ("", "", "")
    start.tick(2.0)
    assert len(start.driver.goals) == 2


def test_a_homing_that_nobody_answers_is_given_up_with_what_to_do():
    start = Start()
    for tries in (1, 2, 3):
        start.tick(1.2)
        assert len(start.driver.goals) == len(start.driver.stops) == tries
        start.driver.stops[-1].complete(None)
    start.tick(10.0)
    assert len(start.driver.goals) == 3 and start.homing.failed and start.hand.refusal == ""
    assert start.homing.note.endswith("3 times: see its driver's log, then call ~/home_gripper")
    answers: list[str] = []
    start.homing.request(start.now_s, answers.append)
    start.driver.goals[3].accept()
    start.driver.goals[3].end(success=True, error="")
    assert answers == [""] and start.homing.note == "" and not start.homing.failed


@pytest.mark.parametrize("there", [True, False], ids=["silent", "gone"])
def test_a_homing_that_may_be_running_still_is_not_asked_again(there):
    """Neither its own answer nor that of stop has come: the fingers may be moving, so nothing more is sent to them."""
    start = Start()
    start.driver.stoppable = there
    start.tick(5.0)
    assert start.driver.said == ["home"] and start.homing.failed and "nor to stop" in start.homing.note


def test_a_homing_taken_while_it_is_being_stopped_is_cancelled_and_does_not_count():
    start = Start()
    start.tick(1.2)
    start.driver.goals[0].accept()
    assert start.driver.goals[0].cancels == 1 and start.driver.said == ["home"]
    start.driver.stops[0].complete(None)
    start.tick()
    assert start.driver.said == ["home", "home"]


def test_homing_at_the_start_waits_for_driver_and_gate_and_says_so():
    start = Start()
    start.driver.ready, start.moving = False, True
    assert "not homed yet" in start.homing.note
    start.tick()
    assert "until the gate is disabled" in start.homing.note
    start.moving = False
    start.tick()
    assert "load_gripper:=true" in start.homing.note and not start.homing.failed
    start.driver.ready = True
    start.tick()
    start.homing.request(start.now_s, (answers := []).append)
    assert start.driver.said == ["home"] and answers == ["homing is going on already"]
    start.driver.goals[0].accept()
    start.driver.goals[0].end(ABORTED, success=False, error="no power")
    start.tick()
    assert "could not home: no power: see its driver's log" in start.homing.note and start.driver.said == ["home"]


# -- error recovery ----------------------------------------------------------------------------------------------------


def recovery(refusal: str = "") -> tuple[ErrorRecovery, Driver, list[str], list[str]]:
    """(recovery, driver, answers, what happened in which order)."""
    driver, answers, order = Driver(), [], []

    def hold() -> str:
        order.append("hold")
        return refusal

    def goal() -> str:
        order.append("goal")
        return "recover"

    return ErrorRecovery(driver, goal, hold, timeout_s=5.0), driver, answers, order


def test_the_measured_pose_is_sent_before_the_driver_recovers():
    errors, driver, answers, order = recovery()
    errors.start(0.0, answers.append)
    assert order == ["hold", "goal"] and answers == []
    driver.goals[0].accept()
    driver.goals[0].end(SUCCEEDED)
    assert answers == [""]


def test_without_a_pose_to_hold_nothing_is_recovered():
    errors, driver, answers, _ = recovery("no fresh measured pose")
    errors.start(0.0, answers.append)
    assert answers == ["no fresh measured pose"] and driver.goals == []
    errors.start(1.0, answers.append)
    assert len(answers) == 2, "the next attempt is not 'going on already'"


def test_every_way_to_fail_is_answered_once():
    errors, driver, answers, order = recovery()
    driver.ready = False
    errors.start(0.0, answers.append)
    assert "is it running" in answers[-1] and order == [], "nothing is sent to a controller in vain"
    driver.ready = True
    errors.start(1.0, answers.append)
    errors.start(1.1, answers.append)
    assert "going on already" in answers[-1]
    driver.goals[0].refuse()
    assert "refused" in answers[-1]
    errors.start(2.0, answers.append)
    driver.goals[1].accept()
    driver.goals[1].end(ABORTED)
    assert "could not recover" in answers[-1]
    errors.start(3.0, answers.append)
    errors.tick(5.5)
    assert "did not answer" in answers[-1]
    driver.goals[2].accept()
    driver.goals[2].end(SUCCEEDED)
    assert len(answers) == 5
    errors.start(10.0, answers.append)
    driver.goals[3].accept()
    errors.tick(14.9)
    assert len(answers) == 5
    errors.tick(15.1)
    assert "within 5 s" in answers[-1]
    ErrorRecovery(None, str, str).start(0.0, answers.append)
    assert "franka_msgs" in answers[-1] and len(answers) == 7
