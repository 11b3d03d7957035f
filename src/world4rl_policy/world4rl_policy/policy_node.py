"""The lifecycle node `policy`: observations in, actions out, once per control period and only when it was enabled.

It acts on the executor's own thread: a small policy takes milliseconds, and every hand-over to another thread would add
to the time from picture to action, for which the simulator in lock-step waits.
"""

from __future__ import annotations

import array
import gc
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from std_srvs.srv import SetBool

from world4rl_data.contract import TaskContract
from world4rl_data.observation import message_stamp
from world4rl_interfaces.msg import Action, PolicyStatus
from world4rl_interfaces.srv import LoadCheckpoint
from world4rl_wm.message_types import message_class

if TYPE_CHECKING:  # torch takes seconds to import: when the node is configured
    from world4rl_policy.policy_loop import PolicyLoop

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
PARAMETERS = {
    "checkpoint": ("", "folder of a policy; empty: load one later with ~/load_checkpoint"),
    "contract": ("", "name or path of the task contract that checkpoints must have; empty: any"),
    "device": ("cpu", "where the policy runs: cpu, cuda ...; small policies are quicker on the cpu"),
    "deterministic": (True, "act with the mean action; false: sample, as for exploration"),
}


class PolicyNode(LifecycleNode):
    """Parameters, topics and services around `PolicyLoop`. Starts disabled, and never enables itself."""

    def __init__(self) -> None:
        super().__init__("policy")
        for name, (default, text) in PARAMETERS.items():
            self.declare_parameter(name, default, ParameterDescriptor(description=text, read_only=True))
        self._loop: PolicyLoop | None = None
        self._contract: TaskContract | None = None  # the one required
        self._checkpoint = ""
        self._active = False
        self._subscriptions_made: list[Subscription] = []
        self._action: Publisher | None = None
        self._status = self.create_publisher(PolicyStatus, "~/status", LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(LoadCheckpoint, "~/load_checkpoint", self._on_load)
        self.create_timer(1.0, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _parameter(self, name: str) -> Any:
        return self.get_parameter(name).value

    # -- life cycle ----------------------------------------------------------------------------------------------

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Load the checkpoint, where one is named; one that does not fit is a failure."""
        import torch

        torch.set_num_threads(1)  # for one frame at a time, more threads only wait for each other
        try:
            self._contract = TaskContract.load(self._parameter("contract")) if self._parameter("contract") else None
            if self._parameter("checkpoint"):
                self._load(self._parameter("checkpoint"))
        except Exception as error:  # a damaged folder must not take the node down
            self._unload()
            self.get_logger().error(f"cannot configure: {error}")
            self.get_logger().debug(traceback.format_exc())
            return TransitionCallbackReturn.FAILURE
        gc.freeze()  # what is loaded now stays: no collection walks it while the policy acts
        self._publish_status()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        self._active = True
        self._publish_status()
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        self._disable()
        self._active = False
        self._publish_status()
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        self._unload()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        self._active = False
        self._unload()
        return TransitionCallbackReturn.SUCCESS

    # -- the policy ----------------------------------------------------------------------------------------------

    def _load(self, uri: str) -> None:
        """Put a checkpoint to work, disabled; on any exception the old one stays."""
        from world4rl_policy.deploy import load_policy
        from world4rl_policy.policy_loop import PolicyLoop
        from world4rl_policy.policy_runner import PolicyRunner, RunnerConfig

        path = Path(uri.removeprefix("file://")).expanduser().resolve()
        policy = load_policy(str(path), self._parameter("device"))
        if self._contract is not None:
            self._contract.require_same(policy.contract, f"checkpoint {path}")
        runner = PolicyRunner(policy, RunnerConfig(deterministic=self._parameter("deterministic")))
        runner.warm_up()
        types = {topic: message_class(kind) for topic, kind in policy.contract.observation_topics.items()}
        self._unload()
        self._loop, self._checkpoint = PolicyLoop(runner), str(path)
        self._action = self.create_publisher(Action, policy.contract.action_topic, 1)
        self._subscriptions_made = [
            self.create_subscription(kind, topic, self._taker(topic), NEWEST) for topic, kind in types.items()
        ]
        self.get_logger().info(f"loaded {path} for contract {policy.contract.name} {policy.contract.hash}")

    def _unload(self) -> None:
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        if self._action is not None:
            self.destroy_publisher(self._action)
        self._subscriptions_made, self._action, self._loop, self._checkpoint = [], None, None, ""

    def _taker(self, topic: str) -> Callable[[Any], None]:
        return lambda message: self._on_message(topic, message)

    def _on_message(self, topic: str, message: Any) -> None:
        loop, action = self._loop, self._action
        if loop is None or action is None:
            return
        now_ns, was_enabled = self._now_ns(), loop.enabled
        decision = loop.push(topic, message_stamp(message, now_ns), message, now_ns)
        if decision is not None:
            stamp = Time(sec=decision.stamp_ns // 1_000_000_000, nanosec=decision.stamp_ns % 1_000_000_000)
            out = Action(values=array.array("f", decision.values), source=Action.POLICY, policy_id=self._policy_id)
            out.header.stamp, out.header.frame_id = stamp, loop.contract.base_frame
            action.publish(out)
        elif was_enabled and not loop.enabled:
            self.get_logger().error(loop.problem(now_ns))
            self._publish_status()

    @property
    def _policy_id(self) -> str:
        return Path(self._checkpoint).name

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    # -- services ------------------------------------------------------------------------------------------------

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if not request.data:
            self._disable()
            response.success, response.message = True, "disabled"
        elif not self._active:
            response.message = "the node is not active: configure and activate it first"
        elif self._loop is None:
            response.message = "no checkpoint is loaded: call ~/load_checkpoint with a policy's folder"
        else:
            self._loop.enable()
            waiting = self._loop.problem(self._now_ns())
            response.success, response.message = True, f"enabled; it waits: {waiting}" if waiting else "enabled"
        self._publish_status()
        return response

    def _disable(self) -> None:
        if self._loop is not None:
            self._loop.disable()

    def _on_load(self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response) -> LoadCheckpoint.Response:
        if self._loop is not None and self._loop.enabled:
            response.message = "the policy is acting: disable it first (~/enable with data false)"
            return response
        try:
            self._load(request.uri)
            assert self._loop is not None
            response.success, response.contract_hash = True, self._loop.contract.hash
        except Exception as error:  # a damaged folder must not take the node down
            self.get_logger().error(f"cannot load {request.uri}: {error}")
            self.get_logger().debug(traceback.format_exc())
            kept = f"; {self._checkpoint} stays" if self._checkpoint else ""
            response.message = f"{type(error).__name__}: {error}{kept}"
        self._publish_status()
        return response

    # -- telling -------------------------------------------------------------------------------------------------

    def _problem(self) -> str:
        if not self._active:
            return "the node is not active"
        if self._loop is None:
            return "no checkpoint is loaded: call ~/load_checkpoint"
        return self._loop.problem(self._now_ns())

    def _make_status(self) -> PolicyStatus:
        status = PolicyStatus(checkpoint=self._checkpoint, uncertainty=float("nan"), message=self._problem())
        status.header.stamp = self.get_clock().now().to_msg()
        if self._loop is not None:
            runner = self._loop.runner
            status.enabled = self._loop.enabled
            status.rate = runner.rate_hz if status.enabled else 0.0
            status.latency_ms, status.uncertainty = runner.latency_ms, runner.uncertainty
        return status

    def _publish_status(self) -> None:
        self._status.publish(self._make_status())

    def _report(self) -> None:
        """Once a second: status and diagnostics."""
        status = self._make_status()
        self._status.publish(status)
        level = DiagnosticStatus.WARN if status.message else DiagnosticStatus.OK
        values = {
            "checkpoint": status.checkpoint,
            "enabled": status.enabled,
            "rate [Hz]": f"{status.rate:.1f}",
            "image to action [ms]": f"{status.latency_ms:.1f}",
        }
        report = DiagnosticArray(status=[DiagnosticStatus(level=level, name="world4rl: policy")])
        report.header.stamp = status.header.stamp
        report.status[0].message = status.message or ("acting" if status.enabled else "ready, not enabled")
        report.status[0].values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        self._diagnostics.publish(report)


def main() -> None:
    """Run the node until it is told to end."""
    rclpy.init()
    try:
        rclpy.spin(PolicyNode())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
