"""A process that ignores SIGINT and SIGTERM, as a hanging driver would."""

import signal
import time

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions


def main() -> None:
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    node = Node("unnamed")
    while True:
        rclpy.spin_once(node, timeout_sec=0.1)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
