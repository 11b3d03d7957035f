"""The backends' ROS side: their parameters, and the only publisher that speaks to the motion controller."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Duration as DurationMsg
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.node import Node
from std_msgs.msg import Header

from world4rl_control.backend import Backend, Command, JointCommand, PoseCommand, TwistCommand
from world4rl_control.cartesian_pose import CartesianPose
from world4rl_control.joint_trajectory import JointTrajectory
from world4rl_control.last_words_node import await_acknowledged
from world4rl_control.limits import MotionLimits
from world4rl_control.pin_kinematics import MISSING, pinocchio_is_there
from world4rl_control.servo_twist import ServoTwist, ServoTwistConfig
from world4rl_data.contract import TaskContract
from world4rl_data.message_types import message_class
from world4rl_data.parameter_messages import describe

_TOPICS = {
    "cartesian_pose": ("/target_pose", "geometry_msgs/msg/PoseStamped"),
    "servo_twist": ("/servo_node/delta_twist_cmds", "geometry_msgs/msg/TwistStamped"),
    "joint_trajectory": ("/joint_trajectory_controller/joint_trajectory", "trajectory_msgs/msg/JointTrajectory"),
}
_SERVO_RATE_HZ = 50.0  # MoveIt Servo stops by itself when it is told less often than every 0.1 s
_ACKED_S = 0.5
_PARAMETERS: dict[str, tuple[Any, ...]] = {
    "backend": ("cartesian_pose", "Who moves the arm: cartesian_pose, servo_twist or joint_trajectory."),
    "target_topic": ("", "The controller's command topic; nobody else may publish it. Empty: the backend's usual one."),
    "command_rate_hz": (0.0, "Targets are interpolated to this rate [Hz]; 0: each goes out at once, as a simulator in "
                        "lock-step needs it (servo_twist: 50).", 0.0, 1000.0),
}  # fmt: skip


def make_backend(node: Node, contract: TaskContract) -> tuple[Backend, str, float]:
    """Declare the backends' parameters; the chosen backend, its topic, and its rate [Hz].

    Raises ValueError for an unknown one, and for one whose library is not installed.
    """
    for name, (value, text, *span) in _PARAMETERS.items():
        node.declare_parameter(name, value, describe(text, *span))
    name, rate_hz = node.get_parameter("backend").value, float(node.get_parameter("command_rate_hz").value)
    if name not in _TOPICS:
        raise ValueError(f"parameter backend is {name!r}: use one of {', '.join(_TOPICS)}")
    topic = node.get_parameter("target_topic").value or _TOPICS[name][0]
    if name == "cartesian_pose":
        return CartesianPose(), topic, rate_hz
    if name == "servo_twist":
        limits = MotionLimits.of(contract)
        config = ServoTwistConfig(limits.max_speed_m_s, limits.max_step_rad / contract.period_s)
        return ServoTwist(config), topic, rate_hz or _SERVO_RATE_HZ
    if not pinocchio_is_there():
        raise ValueError(MISSING)
    return JointTrajectory(1.0 / rate_hz if rate_hz else contract.period_s), topic, rate_hz


class CommandPublisher:
    """One publisher on the controller's command topic."""

    def __init__(self, node: Node, topic: str, frame: str) -> None:
        self._node, self._frame = node, frame
        kind = message_class(_TOPICS[node.get_parameter("backend").value][1])
        self._publisher = node.create_publisher(kind, topic, 1)
        self._point_type = (
            message_class("trajectory_msgs/msg/JointTrajectoryPoint") if "Joint" in kind.__name__ else None
        )

    @property
    def rivals(self) -> int:
        """How many others publish on the topic."""
        return int(self._node.count_publishers(self._publisher.topic_name)) - 1

    @property
    def topic(self) -> str:
        return str(self._publisher.topic_name)

    def send(self, command: Command) -> None:
        """Publish one command, stamped now."""
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._frame)
        if isinstance(command, PoseCommand):
            self._publisher.publish(_pose_message(command, header))
        elif isinstance(command, TwistCommand):
            self._publisher.publish(_twist_message(command, header))
        else:
            self._publisher.publish(self._trajectory(command))

    def flush(self) -> None:
        """Wait until the controller has the last command, for a moment at most: it may be ending as well."""
        if not await_acknowledged(self._node, self._publisher, _ACKED_S):
            self._node.get_logger().warning(f"nobody said on {self.topic} that the last command has arrived")

    def _trajectory(self, command: JointCommand) -> Any:
        assert self._point_type is not None
        seconds = int(command.seconds)
        after = DurationMsg(sec=seconds, nanosec=round((command.seconds - seconds) * 1e9))
        point = self._point_type(positions=[float(v) for v in command.positions], time_from_start=after)
        # No stamp: the trajectory begins when it arrives.
        return self._publisher.msg_type(joint_names=list(command.names), points=[point])


def _pose_message(command: PoseCommand, header: Header) -> PoseStamped:
    target = PoseStamped(header=header)
    p, q = target.pose.position, target.pose.orientation
    p.x, p.y, p.z = (float(v) for v in command.position)
    q.x, q.y, q.z, q.w = (float(v) for v in command.quat)
    return target


def _twist_message(command: TwistCommand, header: Header) -> TwistStamped:
    message = TwistStamped(header=header)
    linear, angular = message.twist.linear, message.twist.angular
    linear.x, linear.y, linear.z = (float(v) for v in command.linear)
    angular.x, angular.y, angular.z = (float(v) for v in command.angular)
    return message


class ServoSwitch:
    """Asks MoveIt Servo for twists as its command type, where moveit_msgs is installed; without waiting."""

    def __init__(self, node: Node, command_topic: str) -> None:
        self.problem = ""
        self._client = None
        try:
            kind = message_class("moveit_msgs/srv/ServoCommandType")
        except ValueError:
            self.problem = "moveit_msgs is not installed: switch Servo's command type to TWIST by hand"
            return
        self._request = kind.Request(command_type=kind.Request.TWIST)
        self._client = node.create_client(kind, command_topic.rpartition("/")[0] + "/switch_command_type")

    def ask(self) -> None:
        """To be called when the gate is enabled."""
        if self._client is None:
            return
        if not self._client.service_is_ready():
            self.problem = f"no service {self._client.srv_name}: is MoveIt Servo running?"
            return
        self._client.call_async(self._request).add_done_callback(self._answered)

    def _answered(self, answer: Any) -> None:
        result = answer.result()
        self.problem = "" if result is not None and result.success else "MoveIt Servo refused the command type TWIST"
