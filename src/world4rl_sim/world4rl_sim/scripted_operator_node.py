"""ROS node: drives the simulated arm as a person by teleoperation would, records and labels the episodes."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from world4rl_data.episode import ActionSource
from world4rl_interfaces.msg import Action

from .episode_node import EpisodeNode, run_node
from .experts import ExpertConfig
from .operator import Scene, ScriptedOperator


class ScriptedOperatorNode(EpisodeNode):
    """Publishes `action` (source SCRIPTED) for each new scene; `noise` and `hesitation` as in ExpertConfig."""

    operator_id = "scripted_operator"

    def __init__(self) -> None:
        super().__init__("scripted_operator", exit_when_done=False)
        config = ExpertConfig(noise=self.param("noise", 0.1), hesitation=self.param("hesitation", 0.05))
        self._operator = ScriptedOperator(self.task.name, self.contract, config)
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._action = self.create_publisher(Action, self.contract.action_topic, qos)

    def begin(self, seed: int) -> None:
        self._operator.start(seed)

    def on_scene(self, scene: Scene) -> None:
        values = self._operator.act(scene)
        if values is None:
            return
        # The node's clock may not have heard of the scene's own instant yet.
        stamp_ns = max(self.get_clock().now().nanoseconds, scene.stamp_ns)
        stamp = Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
        header = Header(stamp=stamp, frame_id=self.contract.base_frame)
        self._action.publish(Action(header=header, values=values.tolist(), source=int(ActionSource.SCRIPTED)))


def main(args: list[str] | None = None) -> None:
    """Entry point `scripted_operator`."""
    run_node(ScriptedOperatorNode, args)


if __name__ == "__main__":
    main()
