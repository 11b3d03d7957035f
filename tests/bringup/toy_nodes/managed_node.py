"""A lifecycle node for the runner's tests: refuses to configure where its parameter ``refuse`` is true."""

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn


class ManagedNode(LifecycleNode):
    def __init__(self) -> None:
        super().__init__("unnamed")
        self.declare_parameter("refuse", False)

    def on_configure(self, state: object) -> TransitionCallbackReturn:
        if self.get_parameter("refuse").value:
            self.get_logger().error("told to refuse")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS


def main() -> None:
    rclpy.init()
    try:
        rclpy.spin(ManagedNode())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
