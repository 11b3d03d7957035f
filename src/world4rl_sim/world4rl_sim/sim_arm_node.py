"""ROS node: the simulated Franka behind franka_ros2's and RealSense's topic names, types and QoS.

One thread: between two ticks the node serves its callbacks, so physics and pictures need no lock.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from world4rl_data.contract import TaskContract
from world4rl_interfaces.srv import ResetArm

from .arm import SimArm
from .gripper_server_node import GripperServer
from .pacing import Pacer, PacingConfig
from .parameters_node import declare
from .pictures import picture_size
from .sim_publishers_node import SimPublishers
from .tasks import make_task

_FIRST_STAMP_NS = 1_000_000_000  # a stamp of zero means "no stamp"
# Always the same: with another timeout rclpy begins its round anew, always with the goals that wait, and never gets to
# the services behind them.
_SPIN_S = 0.002
_TICKS_PER_PERIOD = 5  # free running: poses and clock between two pictures


class SimArmNode(Node):
    """Publishes what the arm senses, follows `/target_pose`, resets from a seed."""

    def __init__(self) -> None:
        super().__init__("sim_arm")
        self.contract = TaskContract.load(self._param("contract", "franka_sim"))
        task = self._param("task", "press_button")
        lamp = self._param("lamp", True)
        options = {"lamp": lamp} if task == "press_button" else {}
        pacing = PacingConfig(
            lockstep=self._param("lockstep", True),
            lockstep_timeout_s=self._param("lockstep_timeout_s", PacingConfig.lockstep_timeout_s),
            real_time_factor=self._param("real_time_factor", PacingConfig.real_time_factor),
        )
        cameras = tuple(stream.name for stream in self.contract.images)
        size = picture_size(self.contract, self._param("image_size", 64))
        self.arm = SimArm(make_task(task, **options), size, cameras)
        self.arm.reset(self._param("seed", 0))
        self._pacer = Pacer(pacing)
        self._lockstep = pacing.lockstep
        self._stamp_ns = _FIRST_STAMP_NS
        self._ticks = 0
        self._out = SimPublishers(self, self.contract, self.arm)
        self._gripper = GripperServer(self, self.arm, self.contract.gripper.namespace)
        self.create_subscription(PoseStamped, "/target_pose", self._on_target, 1)
        self.create_service(ResetArm, "~/reset", self._on_reset)
        self.get_logger().info(f"simulated arm, task {task}, {'lockstep' if pacing.lockstep else 'free running'}")

    def _param(self, name: str, default: Any) -> Any:
        return declare(self, name, default)

    def run(self, executor: SingleThreadedExecutor) -> None:
        """Ticks until ROS shuts down."""
        self._out.publish(self._stamp_ns, with_images=True)
        while rclpy.ok():
            executor.spin_once(timeout_sec=_SPIN_S)  # heard also when the simulator is slower than asked for
            if self._pacer.wait_s() <= 0.0:
                self._tick()

    def _tick(self) -> None:
        period = self.contract.period_s
        tick_s = period if self._lockstep else period / _TICKS_PER_PERIOD
        self.arm.advance(tick_s)
        self._ticks += 1
        self._stamp_ns += round(tick_s * 1e9)
        is_period = self._lockstep or self._ticks % _TICKS_PER_PERIOD == 0
        self._pacer.ticked(tick_s)  # before publishing: the answer to these observations counts for the next tick
        self._out.publish(self._stamp_ns, with_images=is_period)
        if is_period:
            self._gripper.update()

    def _on_target(self, message: PoseStamped) -> None:
        p, q = message.pose.position, message.pose.orientation
        try:
            self.arm.set_target(np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w]))
        except ValueError as error:
            self.get_logger().error(f"target ignored: {error}", throttle_duration_sec=1.0)
            return
        self._pacer.target_came()

    def _on_reset(self, request: ResetArm.Request, response: ResetArm.Response) -> ResetArm.Response:
        if request.pose and request.pose not in self.contract.poses:
            response.message = f"the contract has no pose '{request.pose}': it has {', '.join(self.contract.poses)}"
            return response
        start = self.contract.poses.get(request.pose)
        self._gripper.abort("the arm was reset")
        self.arm.reset(request.seed, None if start is None else (np.array(start[0]), np.array(start[1])))
        # The clock only goes forwards: one period lies between the old scene and the new one.
        self._stamp_ns += round(self.contract.period_s * 1e9)
        self._pacer.ticked(self.contract.period_s)
        self._out.publish(self._stamp_ns, with_images=True)
        response.success = True
        return response


def main(args: list[str] | None = None) -> None:
    """Entry point `sim_arm`."""
    rclpy.init(args=args)
    node = None
    try:
        node = SimArmNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        node.run(executor)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (ValueError, RuntimeError) as error:
        if rclpy.ok():  # else: a shutdown in the middle of a tick
            sys.exit(f"sim_arm: {error}")
    finally:
        if node is not None:
            node.arm.close()
            node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
