"""How the arm gate ends, over DDS: with the arm held where it is."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_context")]

from arm_rig import ArmRig  # noqa: E402
from gate_rig import position  # noqa: E402
from rclpy.publisher import Publisher  # noqa: E402

from world4rl_control.last_words_node import RCLError  # noqa: E402
from world4rl_interfaces.msg import Action  # noqa: E402


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_gate_told_to_end_leaves_the_arm_where_it_is_without_a_complaint(ros_domain, tmp_path, number):
    command = [sys.executable, "-m", "world4rl_control.arm_gate_node", "--ros-args", "-p", "contract:=franka_sim_press"]
    rig = ArmRig()
    said = tmp_path / "stderr"
    process = subprocess.Popen(command, stderr=said.open("w"), env=dict(os.environ))
    try:
        rig.await_answers()  # it is past its start and spins
        rig.until(lambda: rig.enable().success, 20.0, "leave to enable")
        rig.until(rig.actions.get_subscription_count, what="the gate's ear")
        rig.act([1, 0, 0], Action.HUMAN)
        rig.until(lambda: rig.targets, what="a target")
        ahead = position(rig.targets[-1]) - rig.position
        assert np.linalg.norm(ahead) > 1e-3, "the arm is on its way"
        before = said.read_text()  # rclpy's word on an answer to a client that DDS had not matched yet, say
        process.send_signal(number)
        rig.until(lambda: process.poll() is not None, 20.0, "the end of the gate")
        rig.until(lambda: len(rig.targets) > 1, what="a last target")
        np.testing.assert_allclose(position(rig.targets[-1]), rig.position, atol=1e-9)
        assert process.returncode == 0 and said.read_text() == before
    finally:
        process.kill()
        rig.executor_.shutdown()
        rig.destroy_node()


def test_under_a_middleware_that_acknowledges_nothing_the_gate_ends_as_it_does_elsewhere(pair, monkeypatch, capfd):
    rig, gate = pair

    def unsupported(*_args) -> bool:
        raise RCLError("Failed to wait for all acknowledgements: unsupported")

    monkeypatch.setattr(Publisher, "wait_for_all_acked", unsupported)
    assert rig.enable().success
    count = len(rig.targets)
    gate.end()
    rig.until(lambda: len(rig.targets) > count and rig.status.reason == "the gate ends", what="the stop")
    told = capfd.readouterr().err
    assert told.count("does not tell whether the last message on") == 2 and "/target_pose has arrived" in told
