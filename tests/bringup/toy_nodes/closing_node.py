"""A node that takes two seconds to end after SIGINT, and dies of SIGTERM meanwhile."""

import signal
import time

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions


def main() -> None:
    asked: list[int] = []
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    node = Node("unnamed")
    while not asked:
        rclpy.spin_once(node, timeout_sec=0.1)
    time.sleep(2.0)
    print("closed", flush=True)


if __name__ == "__main__":
    main()
