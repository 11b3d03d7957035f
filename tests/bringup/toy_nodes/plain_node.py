"""A plain node for the runner's tests: publishes its parameters, dies with ``exit_code`` (default 7) when told to."""

import json
import sys

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger


class PlainNode(Node):
    def __init__(self) -> None:
        super().__init__("unnamed", automatically_declare_parameters_from_overrides=True)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.publisher = self.create_publisher(String, "~/parameters", latched)
        names = ("text", "number", "flag", "from_file", "overridden")
        values = {n: self.get_parameter(n).value for n in names if self.has_parameter(n)}
        self.publisher.publish(String(data=json.dumps(values)))
        self.create_service(Trigger, "~/die", self.die)

    def die(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        print("about to die on request", flush=True)
        sys.exit(self.get_parameter("exit_code").value if self.has_parameter("exit_code") else 7)


def main() -> None:
    rclpy.init()
    try:
        rclpy.spin(PlainNode())
    except (KeyboardInterrupt, ExternalShutdownException):
        print("plain node ends in order", flush=True)
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
