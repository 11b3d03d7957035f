"""The other end of the arm gate for its node tests: an arm's state topics, a controller's ear, and sources."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import SetBool, Trigger

from world4rl_interfaces.msg import Action, ArmStatus
from world4rl_interfaces.srv import ResetArm

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STATE = "/franka_robot_state_broadcaster"
GATE = "/arm_gate"
CAMERAS = tuple(f"/{name}camera/camera/color/image_raw" for name in ("", "side_", "wrist_"))


class ArmRig(Node):
    """Publishes a measured pose at 50 Hz while `speaking`; with `follow` the arm jumps to each target."""

    def __init__(self) -> None:
        super().__init__("arm_rig")
        self.position, self.quat = np.array([0.45, 0.0, 0.30]), np.array([1.0, 0.0, 0.0, 0.0])
        self.speaking, self.follow = True, False
        self.targets: list[PoseStamped] = []
        self.executed: list[Action] = []
        self.status = ArmStatus()
        self._pose = self.create_publisher(PoseStamped, f"{STATE}/current_pose", BEST_EFFORT)
        self._fingers = self.create_publisher(JointState, "/franka_gripper/joint_states", 1)
        self.cameras = {topic: self.create_publisher(Image, topic, BEST_EFFORT) for topic in CAMERAS}
        self.silent: set[str] = set()  # cameras that say nothing
        self.actions = self.create_publisher(Action, "/world4rl/action", 1)
        self.create_subscription(PoseStamped, "/target_pose", self._on_target, 10)
        self.create_subscription(Action, "/world4rl/executed_action", self.executed.append, 10)
        self.create_subscription(ArmStatus, f"{GATE}/status", self._on_status, LATCHED)
        self.enabler = self.create_client(SetBool, f"{GATE}/enable")
        self.releaser = self.create_client(Trigger, f"{GATE}/release")
        self.resetter = self.create_client(ResetArm, f"{GATE}/reset")
        self.create_timer(0.02, self._speak)
        self.executor_ = SingleThreadedExecutor()
        self.executor_.add_node(self)

    def _speak(self) -> None:
        if self.speaking:
            self.publish_pose()

    def publish_pose(self) -> None:
        pose = PoseStamped()
        pose.header.stamp = self.get_clock().now().to_msg()
        p, q = pose.pose.position, pose.pose.orientation
        p.x, p.y, p.z = (float(v) for v in self.position)
        q.x, q.y, q.z, q.w = (float(v) for v in self.quat)
        self._pose.publish(pose)
        self._fingers.publish(JointState(name=["a", "b"], position=[0.04, 0.04]))
        for topic, camera in self.cameras.items():
            if topic not in self.silent:
                camera.publish(Image())  # what is in it does not matter to the gate

    def _on_target(self, target: PoseStamped) -> None:
        self.targets.append(target)
        if self.follow:
            p, q = target.pose.position, target.pose.orientation
            self.position, self.quat = np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])

    def _on_status(self, status: ArmStatus) -> None:
        self.status = status

    def until(self, condition: Callable[[], Any], timeout_s: float = 5.0, what: str = "") -> None:
        """Spin until the condition holds; fail naming it otherwise."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"waited {timeout_s} s for {what or condition}: {self.status}"
            self.executor_.spin_once(timeout_sec=0.02)

    def spin(self, seconds: float) -> None:
        """Spin for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor_.spin_once(timeout_sec=0.01)

    def ready(self) -> None:
        """Wait until gate and rig have found each other."""
        self.until(lambda: self.enabler.service_is_ready() and self.resetter.service_is_ready(), what="services")
        self.until(lambda: self.actions.get_subscription_count() and self._pose.get_subscription_count(), what="ears")
        self.until(lambda: self.count_publishers("/target_pose"), what="the target's publisher")
        self.until(lambda: self.status.reason, what="the first status")
        self.spin(0.1)  # a pose has been measured by then

    def call(self, client: Any, request: Any, timeout_s: float = 5.0) -> Any:
        """Call a service and spin until it answers."""
        answer = client.call_async(request)
        self.until(answer.done, timeout_s, f"an answer of {client.srv_name}")
        return answer.result()

    def await_answers(self, timeout_s: float = 20.0) -> None:
        """Ask a node that is starting to disable until it answers; what is asked before it is found gets lost."""
        asked: list[Any] = []
        asked_s = 0.0

        def answered() -> bool:
            nonlocal asked_s
            if time.monotonic() - asked_s > 1.0:
                asked.append(self.enabler.call_async(SetBool.Request(data=False)))
                asked_s = time.monotonic()
            return any(answer.done() for answer in asked)

        self.until(answered, timeout_s, "an answer of the gate")

    def enable(self, on: bool = True) -> Any:
        return self.call(self.enabler, SetBool.Request(data=on))

    def act(self, values: Any, source: int = Action.POLICY, wait: bool = True) -> None:
        """Publish one action, stamped now; wait for the gate's answer, and at least for a control period."""
        before = (len(self.executed), self.status.rejected_actions)
        action = Action(values=[float(v) for v in values], source=int(source), policy_id="test")
        action.header.stamp = self.get_clock().now().to_msg()
        self.actions.publish(action)
        if wait:
            self.spin(0.11)
            end = time.monotonic() + 1.0
            while before == (len(self.executed), self.status.rejected_actions) and time.monotonic() < end:
                self.executor_.spin_once(timeout_sec=0.02)
            self.spin(0.01)  # the target and the status that left together with the answer
