"""World4RLClient against a node with answers of its own: what a whole graph does too rarely to be tested there."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.ros

import rclpy  # noqa: E402
from rclpy.action import ActionServer, CancelResponse, GoalResponse  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from rclpy.task import Future  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from world4rl_bringup.client import ArmState, NoAnswer, NotThere, Refused, World4RLClient  # noqa: E402
from world4rl_interfaces.action import ImagineRollouts  # noqa: E402
from world4rl_interfaces.msg import ArmStatus  # noqa: E402

NAMESPACE = "/stub"


GATELESS = "/gateless"


class Policy(Node):
    """Stands in a graph without a gate; falls silent when it is asked to, and says no while `stubborn`."""

    def __init__(self) -> None:
        super().__init__("policy", namespace=GATELESS)
        self.asked: list[bool] = []
        self.stubborn = False
        self.create_service(SetBool, "policy/enable", self._on_enable)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self.asked.append(request.data)
        response.success, response.message = not self.stubborn, "stubborn"
        return response


class Stub(Node):
    """A gate that tells its status fifty times a second and enables whenever it is asked to.

    Beside it dreams that are broken off: after two steps, or before the first where more than 100 are asked for. One
    with the seed 7 is taken a second late and lasts until it is cancelled.
    """

    def __init__(self) -> None:
        super().__init__("arm_gate", namespace=NAMESPACE)
        self.status = ArmStatus(reason="just started")
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        publisher = self.create_publisher(ArmStatus, "arm_gate/status", latched)
        self.create_timer(0.02, lambda: publisher.publish(self.status))
        self.create_service(SetBool, "arm_gate/enable", self._on_enable)
        self.cancelled = threading.Event()
        self._dream_ends: Future = Future()
        self._dreams = ActionServer(
            self,
            ImagineRollouts,
            "imagine_rollouts",
            self._on_goal,
            goal_callback=self._on_request,
            cancel_callback=self._on_cancel,
        )

    def _on_request(self, goal: ImagineRollouts.Goal) -> GoalResponse:
        if goal.seed == 7:
            self._dream_ends = Future()
            self.cancelled.clear()
            time.sleep(1.0)
        return GoalResponse.ACCEPT

    def _on_cancel(self, goal_handle: Any) -> CancelResponse:
        self._dream_ends.set_result(None)
        self.cancelled.set()
        return CancelResponse.ACCEPT

    async def _on_goal(self, goal_handle: Any) -> ImagineRollouts.Result:
        if goal_handle.request.seed == 7:
            await self._dream_ends
        goal_handle.abort()
        if goal_handle.request.horizon > 100:
            return ImagineRollouts.Result(message="too long")
        steps = 2 * goal_handle.request.samples
        return ImagineRollouts.Result(message="stopped after 2 steps", uncertainty=[0.0] * steps, actions=[0.5] * steps)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self.status.enabled = request.data
        response.success = True
        return response


@pytest.fixture(scope="module")
def nodes(ros_domain: int) -> Iterator[tuple[Stub, Policy]]:
    rclpy.init()
    nodes, executor = (Stub(), Policy()), SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield nodes
    executor.shutdown()
    thread.join(10)
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def client(nodes: tuple[Stub, Policy]) -> Iterator[World4RLClient]:
    with World4RLClient(NAMESPACE, timeout_s=20) as client:
        yield client


def test_a_condition_may_use_the_client_itself(client: World4RLClient) -> None:
    """It is asked while statuses keep coming: holding these up, it would wait for an answer that cannot come either."""

    def enable_if_not(state: ArmState) -> bool:
        if not state.enabled:
            client.enable_arm()
        return state.enabled

    assert client.wait_for_arm(enable_if_not).enabled


def test_what_was_dreamt_before_the_node_broke_off_is_given_back(client: World4RLClient) -> None:
    """As `imagine` does. Only where nothing was dreamt is it refused."""
    part = client.imagine_many(40, samples=3)
    assert (part.complete, part.message) == (False, "stopped after 2 steps")
    assert part.uncertainty.shape == (3, 2) and part.actions.shape == (3, 2, 1)
    with pytest.raises(Refused, match="too long"):
        client.imagine_many(101)


def test_a_goal_that_is_taken_too_late_is_cancelled(nodes: tuple[Stub, Policy], client: World4RLClient) -> None:
    """Else a dream that nobody waits for would hold up the next one."""
    client.imagine_many(2)  # finds the node, which may take a while
    with pytest.raises(NoAnswer):
        client.imagine_many(40, seed=7, timeout_s=0.5)
    assert nodes[0].cancelled.wait(20)


def test_a_dream_outlives_a_flicker_of_discovery(
    nodes: tuple[Stub, Policy], client: World4RLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of dreaming are not given up because the node was unseen for a moment, only where it stays away."""
    client.imagine_many(2)  # finds the node, which may take a while
    begun, cancel = time.monotonic(), threading.Event()
    unseen_s = [1.5, 2.0]  # the node takes the goal after one second

    def seen() -> bool:
        since_s = time.monotonic() - begun
        if since_s > 2.5:
            cancel.set()
        return not unseen_s[0] <= since_s < unseen_s[1]

    monkeypatch.setattr(client._link._endpoints["imagine_rollouts"], "server_is_ready", seen)
    assert client.imagine_many(40, seed=7, cancel=cancel).message == "stopped after 2 steps"
    assert time.monotonic() - begun > 2.5
    begun, unseen_s[1] = time.monotonic(), 60.0
    with pytest.raises(NotThere, match="went away"):
        client.imagine_many(40, seed=7)


def test_the_policy_falls_silent_although_the_gate_does_not_answer(nodes: tuple[Stub, Policy]) -> None:
    """The error is the gate's, as it is what keeps the arm still; that the policy said no as well stands behind it."""
    policy = nodes[1]
    with World4RLClient(GATELESS, timeout_s=20) as gateless:
        gateless.enable_policy()
        with pytest.raises(NotThere, match="arm_gate/enable"):
            gateless.disable(timeout_s=0.2)
        assert policy.asked == [True, False]
        policy.stubborn = True
        with pytest.raises(NotThere, match="arm_gate/enable") as error:
            gateless.disable(timeout_s=0.2)
    assert isinstance(error.value.__cause__, Refused)


LEFT_OPEN = """
import atexit
from world4rl_bringup.client import ClientError, World4RLClient

@atexit.register  # before the client is made: called after what the client has registered
def look():
    try:
        client.stop_episode(1, timeout_s=0.1)
    except ClientError as error:
        print(error)

client = World4RLClient("nowhere")
"""


def test_a_client_that_a_script_leaves_open_is_closed_at_its_end() -> None:
    """Its thread in DDS could abort the process while the interpreter is taken down."""
    done = subprocess.run([sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "this client is closed" in done.stdout, done.stdout + done.stderr
