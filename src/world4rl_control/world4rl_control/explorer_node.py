"""`explorer` node: random actions for the world model's diet, one per control period, while enabled."""

from __future__ import annotations

import functools

from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_srvs.srv import SetBool

from world4rl_control.explorer import RandomExplorer
from world4rl_control.node_support import describe, message_type
from world4rl_control.pacing import ObservationPacer
from world4rl_control.spin_node import spin_until_shutdown
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource
from world4rl_interfaces.msg import Action

_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class ExplorerNode(Node):
    """Publishes `action` (source RANDOM) when a complete new observation has arrived. `~/enable` starts, stops."""

    def __init__(self, parameters: list[Parameter] | None = None) -> None:
        super().__init__("explorer", parameter_overrides=parameters or [])
        self.declare_parameter("contract", "", describe("Task contract: a shipped name or the path of a YAML file."))
        self.declare_parameter("seed", -1, describe("Seed of the random actions; -1: a different one every time."))
        contract = TaskContract.load(self.get_parameter("contract").value)
        seed = self.get_parameter("seed").value
        self._frame = contract.base_frame
        self._explorer = RandomExplorer(contract, None if seed < 0 else seed)
        self._pacer = ObservationPacer(contract.observation_topics, contract.period_s)
        self._enabled = False
        self._actions = self.create_publisher(Action, contract.action_topic, 1)
        for topic, kind in contract.observation_topics.items():
            # Raw: only that something new came is of interest here, and images are dear to decode.
            heard = functools.partial(self._on_message, topic)
            self.create_subscription(message_type(kind), topic, heard, _NEWEST, raw=True)
        self.create_service(SetBool, "~/enable", self._on_enable)
        # The clock's own message may come after the observation of the same instant: look again soon.
        self.create_timer(0.2 * contract.period_s, self._act_when_due)

    def _on_message(self, topic: str, _raw: bytes) -> None:
        self._pacer.saw(topic)
        self._act_when_due()

    def _act_when_due(self) -> None:
        now = self.get_clock().now()
        if not self._enabled or not self._pacer.due(now.nanoseconds * 1e-9):
            return
        action = Action(values=self._explorer.act(), source=int(ActionSource.RANDOM))
        action.header.stamp, action.header.frame_id = now.to_msg(), self._frame
        self._actions.publish(action)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled, response.success = bool(request.data), True
        self._explorer.reset()
        waiting = f"waits for {', '.join(self._pacer.missing)}" if self._pacer.missing else "exploring"
        response.message = waiting if self._enabled else "stopped"
        return response


def main(args: list[str] | None = None) -> None:
    """Entry point of `ros2 run world4rl_control explorer`."""
    spin_until_shutdown("explorer", ExplorerNode, args)


if __name__ == "__main__":
    main()
