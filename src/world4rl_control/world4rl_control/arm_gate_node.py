"""`arm_gate` node: the only publisher on the controller's target; every action passes the safety gate in here.

Event driven: an action is applied when it arrives and its target goes out at once (or along a path, at the controller's
rate), so a simulator in lock-step waits for nothing else. A timer on a steady clock notices silence, a second
publisher, and a clock that stands still.
"""

from __future__ import annotations

import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.time import Time

from world4rl_control.arm_control import ArmControl, ControlConfig
from world4rl_control.arm_links_node import ArmLinks
from world4rl_control.arm_model_node import ArmModel, declare_arm_model
from world4rl_control.arm_services_node import ArmServices
from world4rl_control.backends_node import CommandPublisher, ServoSwitch, make_backend
from world4rl_control.clocks_node import instant_of, settle_clock, timing_clock
from world4rl_control.controller_frame import ControllerFrame
from world4rl_control.dead_man_node import connect_dead_man
from world4rl_control.gate_output import GateConfig
from world4rl_control.gate_report_node import GateReport
from world4rl_control.gate_services_node import GateServices
from world4rl_control.hand_node import connect_hand
from world4rl_control.instant import Instant
from world4rl_control.joint_trajectory import JointTrajectory
from world4rl_control.servo_twist import ServoTwist
from world4rl_control.servo_units_node import ServoUnits
from world4rl_data.contract import TaskContract
from world4rl_data.parameter_messages import describe
from world4rl_data.spin_node import spin_until_told
from world4rl_interfaces.msg import Action

_WATCH_PERIOD_S = 0.05
_PARAMETERS: dict[str, tuple[Any, ...]] = {
    "contract": ("", "Task contract: a shipped name or the path of a YAML file."),
    "pose_topic": ("", "Measured end-effector pose; empty: the contract's pose stream, else current_pose."),
    "controller_pose_topic": ("", "Pose measured by the motion controller itself, geometry_msgs/PoseStamped: enabling "
                              "and recovering are refused unless it agrees with the driver's. Empty: not compared."),
    "robot_state_topic": ("/franka_robot_state_broadcaster/robot_state", "Watched for the robot's mode, franka_msgs/"
                          "FrankaRobotState. Empty: the arm has none."),
    "clock_timeout_s": (1.0, "The node's clock standing still for so long of real time holds the arm [s].", 0.1, 60.0),
    "driver_timeout_s": (1.0, "Silence of the measured pose, or of a robot_state that once spoke, that stops the arm "
                         "until ~/enable [s].", 0.3, 60.0),
    "reset_timeout_s": (30.0, "Real time after which a reset that has not arrived is given up [s].", 1.0, 600.0),
    "reset_tolerance_m": (0.02, "A reset has arrived where the arm rests so far from the pose [m].", 0.01, 0.1),
    "reset_tolerance_rad": (0.1, "And turned by no more than this [rad].", 0.05, 0.5),
}  # fmt: skip


class ArmGateNode(Node):
    """Starts disabled; `~/enable` starts at the measured pose, and nothing but `~/enable` ends a stop."""

    def __init__(self, parameters: list[Parameter] | None = None) -> None:
        super().__init__("arm_gate", parameter_overrides=parameters or [])
        settle_clock(self)
        for name, (value, text, *span) in _PARAMETERS.items():
            self.declare_parameter(name, value, describe(text, *span))
        self._contract = contract = TaskContract.load(self._value("contract"))
        self._ahead_s = 0.0
        self._control = self._make_control()
        self._report = GateReport(self, self._control)
        self._report.notes["doubts"] = lambda: self._control.doubted(self._instant())
        self._hand = connect_hand(self, contract.gripper)
        if contract.gripper.fixed is None:
            self._control.requirements.append(lambda _now: self._hand.refusal)
        self._control.on_stop.append(lambda _reason: self._hand.forget())
        self._report.notes["gripper"] = self._gripper_problem
        namespace = self._value("gripper_namespace") or contract.gripper.namespace
        self._links = ArmLinks(self, self._control, namespace, self._instant, self._tick)
        connect_dead_man(self, self._control, self._tick)
        self._connect_backend()
        self._executed = self.create_publisher(Action, contract.executed_action_topic, 10)
        # Deeper than the publishers' 1: two sources that speak at the same moment must not push each other out.
        self.create_subscription(Action, contract.action_topic, self._on_action, 10)
        self._requests = GateServices(self, self._control, self._instant, self._changed)
        services = ArmServices(self, self._hand, self._hold_for_recovery, lambda: self._control.gate.enabled)
        self._control.doubts.append(lambda _now: services.homing.note)
        self.create_timer(_WATCH_PERIOD_S, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._changed()

    def _make_control(self) -> ArmControl:
        contract = self._contract
        self._backend, topic, rate_hz = make_backend(self, contract)
        declare_arm_model(self)
        by_joints = isinstance(self._backend, JointTrajectory)  # then the controller's pose is that of its joints
        told_on = self._value("controller_pose_topic")
        frame = ControllerFrame(contract.controller_offset, topic=told_on) if by_joints or told_on else None
        arriving = GateConfig(
            settled_m=self._value("reset_tolerance_m"), settled_rad=self._value("reset_tolerance_rad")
        )
        config = ControlConfig(rate_hz, self._value("clock_timeout_s"), self._value("driver_timeout_s"), gate=arriving)
        self._commands = CommandPublisher(self, topic, contract.base_frame)
        control = ArmControl(contract, self._backend, self._commands.send, config, frame)
        control.faults.append(self._rivals)
        if rate_hz > 0.0:
            self.create_timer(1.0 / rate_hz, self._command, clock=timing_clock(self))
        return control

    def _connect_backend(self) -> None:
        if isinstance(self._backend, ServoTwist):
            switch = ServoSwitch(self, self._commands.topic)
            self._control.on_enable.append(switch.ask)
            self._report.notes["backend"] = lambda: switch.problem
            units = ServoUnits(self, self._commands.topic)
            self._control.faults.append(units.wrong)
            self._control.doubts.append(units.unknown)
        elif isinstance(self._backend, JointTrajectory):
            model = ArmModel(self, self._control, self._backend, self._instant)
            self._report.notes["backend"] = lambda: model.problem

    def _on_action(self, message: Action) -> None:
        stamp_s = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
        out = self._control.act(message.values, message.source, stamp_s, self._instant_of(stamp_s))
        if out.accepted:
            executed = Action(values=out.executed, source=message.source, policy_id=message.policy_id)
            executed_s = self._control.stamps.executed_s
            own = executed_s == stamp_s  # then exactly, not rounded to what a float holds
            executed.header.stamp = message.header.stamp if own else Time(seconds=executed_s).to_msg()
            executed.header.frame_id = self._contract.base_frame
            self._executed.publish(executed)
            if out.gripper is not None:
                self._hand.command(out.gripper, time.monotonic())
        elif not out.reason.startswith("early"):
            self.get_logger().warning(f"action dropped: {out.reason}", throttle_duration_sec=2.0)
        self._changed()

    def _instant_of(self, stamp_s: float) -> Instant:
        """Now. Under /clock the source may know the new time a moment before this node does: then the action's.

        On the machines' own clocks a stamp ahead of this one's is no news, but a clock that is wrong.
        """
        now, soon_s = self._instant(), 2.0 * self._contract.period_s
        if not now.simulated:
            return now
        # Never back to before the last action, but for a clock that starts again.
        self._ahead_s = max([now.ros_s, *(s for s in (stamp_s, self._ahead_s) if s <= now.ros_s + soon_s)])
        return Instant(self._ahead_s, now.steady_s, now.simulated)

    def _hold_for_recovery(self) -> str:
        refusal = self._control.prepare_recovery(self._instant())
        self._changed()
        return refusal

    def _command(self) -> None:
        self._control.command(self._instant())

    def _tick(self) -> None:
        if fault := self._control.tick(self._instant()):
            self.get_logger().error(f"stopped: {fault}")
            self._changed()

    def _watch(self) -> None:
        self._links.tick()
        self._tick()
        self._requests.tick()
        self._hand.tick(time.monotonic())
        self._report.tick(self._instant())

    def _gripper_problem(self) -> str:
        """With what the fingers measure: a command whose answer was lost may have been obeyed. It is not sent again, as
        to close twice may be once too often."""
        problem, width_m = self._hand.problem, self._control.arm.gripper_width
        return (
            problem if width_m is None or not problem else f"{problem} (last measured opening: {1e3 * width_m:.0f} mm)"
        )

    def _rivals(self, _now: Instant) -> str:
        others = self._commands.rivals
        if others <= 0:
            return ""
        return f"{others} other publisher(s) on {self._commands.topic}: stop them, then call ~/enable"

    def _changed(self) -> None:
        self._report.status(self._instant())

    def _instant(self) -> Instant:
        return instant_of(self)

    def end(self) -> None:
        """Stop the arm where it is: nobody is there any more to do so, and the controller keeps its last target."""
        self._control.stop("the gate ends", self._instant())
        self._changed()
        self._commands.flush()
        self._report.flush()

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value


def main(args: list[str] | None = None) -> None:
    """Entry point of `ros2 run world4rl_control arm_gate`."""
    spin_until_told("arm_gate", ArmGateNode, ArmGateNode.end, args)


if __name__ == "__main__":
    main()
