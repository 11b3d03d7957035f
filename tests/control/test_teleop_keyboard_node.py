"""The keyboard as an input device: the teleop node as a process at a terminal."""

import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from teleop_hand import LIFT, Hand  # noqa: E402

KEYBOARD = [sys.executable, "-m", "world4rl_control.teleop_node", "--ros-args"]
KEYBOARD += ["-p", "contract:=franka_sim_lift", "-p", "device:=keyboard"]


def test_keys_move_the_arm_and_ctrl_c_gives_the_terminal_back(ros_domain):
    person, program = pty.openpty()
    before = termios.tcgetattr(program)
    rig, executor = rclpy.create_node("rig"), SingleThreadedExecutor()
    executor.add_node(rig)
    hand = Hand(rig, executor)
    hand.speaking = False
    process = subprocess.Popen(KEYBOARD, stdin=program, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        hand.until(lambda: rig.count_publishers(LIFT.action_topic), 30.0, "the node")
        hand.spin(0.3)

        def type_until(keys: bytes, condition: Callable[[], Any]) -> None:
            end = time.monotonic() + 10.0
            while not condition():
                assert time.monotonic() < end
                os.write(person, keys)
                hand.spin(0.04)

        type_until(b"w", lambda: len(hand.heard) > 3)
        np.testing.assert_allclose(hand.values(), [0.5, 0.0, 0.0, 0.0])
        for _ in range(3):  # the best of three tries, for a busy machine
            type_until(b"w", lambda: time.monotonic() - hand.heard[-1][0] < 0.1)
            last_key_s = time.monotonic()
            hand.spin(0.8)
            after_s = hand.heard[-1][0] - last_key_s
            if after_s < 0.6:
                break
        assert after_s < 0.6, "a key that repeats no more ends the actions"
        type_until(b" g", lambda: hand.values()[3] == -1.0)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 0 and termios.tcgetattr(program) == before
    finally:
        process.kill()
        process.wait()
        executor.shutdown()
        rig.destroy_node()
        os.close(person)
        os.close(program)


def test_without_a_terminal_the_keyboard_ends_with_the_mend(ros_domain):
    ended = subprocess.run(KEYBOARD, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0 and "no terminal on standard input" in ended.stderr
    assert "Traceback" not in ended.stderr
