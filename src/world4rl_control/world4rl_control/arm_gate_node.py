"""`arm_gate` node: the only publisher on the controller's target; every action passes the safety gate in here.

Event driven: an action is applied when it arrives and its target goes out at once, so a simulator in lock-step waits
for nothing else. A timer on a steady clock notices silence, a second publisher, and a clock that stands still.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from world4rl_control.arm_links_node import ArmLinks, connect_gripper
from world4rl_control.arm_state import ArmState, ClockWatch
from world4rl_control.gate import SafetyGate
from world4rl_control.node_support import describe, diagnostics
from world4rl_control.spin_node import spin_until_shutdown
from world4rl_data.contract import TaskContract
from world4rl_interfaces.msg import Action, ArmStatus
from world4rl_interfaces.srv import ResetArm

_WATCH_PERIOD_S = 0.05
_DIAGNOSTICS_PERIOD_S = 1.0
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_PARAMETERS: dict[str, tuple[Any, str]] = {
    "contract": ("", "Task contract: a shipped name or the path of a YAML file."),
    "target_topic": ("/target_pose", "The controller's target, geometry_msgs/PoseStamped; nobody else may publish it."),
    "pose_topic": ("", "Measured end-effector pose; empty: the contract's pose stream, else current_pose."),
    "gripper_namespace": ("", "Namespace of the Franka hand; empty: the contract's."),
    "robot_state_topic": ("/franka_robot_state_broadcaster/robot_state", "Watched for the robot's mode."),
    "clock_timeout_s": (1.0, "The node's clock standing still for this long of real time holds the arm [s]."),
    "reset_timeout_s": (30.0, "Real time after which a reset that has not arrived is given up [s]."),
}


class ArmGateNode(Node):
    """Starts disabled; `~/enable` starts at the measured pose, and nothing but `~/enable` ends a stop."""

    def __init__(self, parameters: list[Parameter] | None = None) -> None:
        super().__init__("arm_gate", parameter_overrides=parameters or [])
        for name, (value, text) in _PARAMETERS.items():
            self.declare_parameter(name, value, describe(text))
        self._contract = contract = TaskContract.load(self._value("contract"))
        self._lock = threading.RLock()
        self.gate, self._arm = SafetyGate(contract), ArmState()
        self._clock_watch = ClockWatch(self._value("clock_timeout_s"))
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._arrival: Future | None = None  # of a reset
        self._reset_started_s = self._diagnosed_s = self._ahead_s = 0.0
        self._told: tuple[Any, ...] = ()
        namespace = self._value("gripper_namespace") or contract.gripper.namespace
        self._gripper = connect_gripper(self, contract.gripper, namespace)
        self._target = self.create_publisher(PoseStamped, self._value("target_topic"), 1)
        self._executed = self.create_publisher(Action, contract.executed_action_topic, 10)
        self._status = self.create_publisher(ArmStatus, "~/status", _LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        state_topic, pose_topic = self._value("robot_state_topic"), self._value("pose_topic")
        self._links = ArmLinks(self, contract, self._arm, pose_topic, namespace, state_topic, self._stop_on_fault)
        # Deeper than the publishers' 1: two sources that speak at the same moment must not push each other out.
        self.create_subscription(Action, contract.action_topic, self._on_action, 10)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/release", self._on_release)
        self.create_service(ResetArm, "~/reset", self._on_reset, callback_group=ReentrantCallbackGroup())
        self.create_timer(_WATCH_PERIOD_S, self._watch, clock=self._steady)
        self._reset_timer = self.create_timer(contract.period_s, self._reset_step)
        self._reset_timer.cancel()
        self._publish_status()

    # -- actions ------------------------------------------------------------------------------------------------------

    def _on_action(self, message: Action) -> None:
        with self._lock:
            now_s = self._time_of(message)
            arm = self._arm
            out = self.gate.apply(message.values, message.source, arm.position, arm.quat, now_s, arm.pose_age(now_s))
            if out.accepted:
                self._send(out.target_position, out.target_quat)
                executed = Action(values=out.executed, source=message.source, policy_id=message.policy_id)
                executed.header.stamp, executed.header.frame_id = message.header.stamp, self._contract.base_frame
                self._executed.publish(executed)
                if out.gripper is not None and self._gripper is not None:
                    self._gripper.command(out.gripper, time.monotonic())
            elif not out.reason.startswith("early"):
                self.get_logger().warning(f"action dropped: {out.reason}", throttle_duration_sec=2.0)
            self._publish_status()

    def _time_of(self, message: Action) -> float:
        """Now [s]. Under /clock the source may know the new time a moment before this node does: then the action's."""
        now_s, soon_s = self._now_s(), 2.0 * self._contract.period_s
        stamp_s = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
        # Never back to before the last action, but for a clock that starts again.
        self._ahead_s = max([now_s, *(s for s in (stamp_s, self._ahead_s) if s <= now_s + soon_s)])
        return self._ahead_s

    def _send(self, position: np.ndarray, quat: np.ndarray) -> None:
        target = PoseStamped()
        target.header.stamp, target.header.frame_id = self.get_clock().now().to_msg(), self._contract.base_frame
        p, q = target.pose.position, target.pose.orientation
        p.x, p.y, p.z = (float(v) for v in position)
        q.x, q.y, q.z, q.w = (float(v) for v in quat)
        self._target.publish(target)

    # -- enabling and stopping ----------------------------------------------------------------------------------------

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        with self._lock:
            if not request.data:
                self._stop("disabled on request")
                response.success, response.message = True, "disabled"
                return response
            refusal = self._fault() or self._not_ready()
            if not refusal:
                self._end_reset("enabled afresh")
                self.gate.enable(self._arm.position, self._arm.quat, self._arm.gripper_width, self._now_s())
            response.success, response.message = not refusal, refusal or "enabled at the measured pose"
            self._publish_status()
        return response

    def _not_ready(self) -> str:
        """Why enabling would be of no use; empty when it would."""
        if self._arm.pose_age(self._now_s()) > self.gate.config.pose_timeout_s:
            return "no fresh measured pose: is the robot's driver (or sim_arm) running, and the pose topic right?"
        if self._gripper is None and self._contract.gripper.fixed is None:
            return f"contract {self._contract.name} moves the gripper, which needs franka_msgs: install and source it"
        return ""

    def _fault(self) -> str:
        """Why the gate must be stopped; empty when all is well."""
        topic = self._target.topic_name
        others = self.count_publishers(topic) - 1
        if others > 0:
            return f"{others} other publisher(s) on {topic}: stop them, then call ~/enable"
        return self._arm.mode_fault

    def _stop_on_fault(self) -> None:
        with self._lock:
            if self.gate.enabled and (fault := self._fault()):
                self._stop(fault)
                self.get_logger().error(f"stopped: {fault}")

    def _stop(self, reason: str) -> None:
        """Disable; the controller keeps its last target for ever, so it is given the measured pose to stay at."""
        if self.gate.enabled and self._arm.pose_age(self._now_s()) <= self.gate.config.pose_timeout_s:
            self._send(self._arm.position, self._arm.quat)
        self.gate.disable(reason)
        self._end_reset(reason)
        self._publish_status()

    def _on_release(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            self.gate.release()
            self._publish_status()
        response.success, response.message = True, "the next source that speaks has the arm"
        return response

    # -- reset --------------------------------------------------------------------------------------------------------

    async def _on_reset(self, request: ResetArm.Request, response: ResetArm.Response) -> ResetArm.Response:
        with self._lock:
            try:
                if self._arrival is not None:
                    raise ValueError("a reset is going on already")
                self.gate.start_reset(request.pose or "home")
            except ValueError as error:
                response.success, response.message = False, str(error)
                return response
            self._arrival, self._reset_started_s = Future(), time.monotonic()
            arrival = self._arrival
            self._reset_timer.reset()
        response.message = await arrival
        response.success = not response.message
        return response

    def _reset_step(self) -> None:
        with self._lock:
            if not self.gate.resetting:
                self._end_reset("a human took over")
                return
            now_s = self._now_s()
            out = self.gate.reset_step(self._arm.position, self._arm.quat, now_s, self._arm.pose_age(now_s))
            if out.accepted:
                self._send(out.target_position, out.target_quat)
            if not self.gate.resetting:
                self._end_reset("")

    def _end_reset(self, message: str) -> None:
        self._reset_timer.cancel()
        if self._arrival is not None:
            self._arrival.set_result(message)
            self._arrival = None

    # -- watching -----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        with self._lock:
            steady_s = time.monotonic()
            self._links.tick()
            self._stop_on_fault()
            if self._arrival is not None and steady_s - self._reset_started_s > self._value("reset_timeout_s"):
                self.gate.stop_reset()
                self._end_reset("the arm did not arrive in time: is it blocked, or is its controller not running?")
            if self._gripper is not None:
                self._gripper.tick(steady_s)
            self._publish_status()
            if steady_s - self._diagnosed_s >= _DIAGNOSTICS_PERIOD_S:
                self._diagnosed_s = steady_s
                self._publish_diagnostics()

    def _reason(self) -> str:
        now_s = self._now_s()
        reason = self.gate.check(now_s, self._arm.pose_age(now_s))
        if self.gate.enabled and self._clock_watch.stands_still(now_s, time.monotonic()):
            return "the clock stands still: is the simulation (/clock) running?"
        return reason

    def _publish_status(self) -> None:
        state = (self.gate.enabled, int(self.gate.active_source), self._reason(), self.gate.rejected)
        if state == self._told:
            return
        self._told = state
        enabled, source, reason, rejected = state
        status = ArmStatus(enabled=enabled, active_source=source, reason=reason, rejected_actions=rejected)
        status.header.stamp = self.get_clock().now().to_msg()
        self._status.publish(status)

    def _publish_diagnostics(self) -> None:
        enabled, source, reason, rejected = self._told
        gripper = "no franka_msgs" if self._gripper is None else self._gripper.problem
        values = {"enabled": enabled, "active_source": source, "rejected_actions": rejected, "gripper": gripper or "ok"}
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics(self.get_fully_qualified_name(), stamp, reason or gripper, values))

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value


def main(args: list[str] | None = None) -> None:
    """Entry point of `ros2 run world4rl_control arm_gate`."""
    spin_until_shutdown("arm_gate", ArmGateNode, args)


if __name__ == "__main__":
    main()
