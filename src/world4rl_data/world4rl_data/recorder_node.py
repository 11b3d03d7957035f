"""Lifecycle node that records episodes: one bag each, raw bytes, started and stopped by services.

Subscribes to the contract's topics, its `action` and `executed_action`, and `extra_topics`. Services (relative to the
namespace): start_episode, stop_episode, discard_episode. Publishes ~/status (reliable, transient local).
"""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from std_srvs.srv import Trigger

from world4rl_interfaces.msg import EpisodeStatus
from world4rl_interfaces.srv import StartEpisode, StopEpisode

from .bag_writer import BagTopic
from .contract import ContractError, TaskContract
from .episode import Outcome
from .message_definition import DefinitionError, message_definition
from .recorder import EpisodeRecorder, RecorderConfig, RecorderError, subscription_qos

_ACTION_TYPE = "world4rl_interfaces/msg/Action"
_DEPTH = 1000

_PARAMETERS = {
    "contract": ("franka_sim", "Task contract: name of a shipped one or path of a YAML file."),
    "bags_dir": ("bags", "Folder that receives one bag directory per episode."),
    "extra_topics": ([""], "Topics recorded beside the contract's; types are taken from the graph."),
    "min_free_mb": (500.0, "Free disk space [MB] below which no episode is started and a running one is closed."),
    "max_queue_mb": (256.0, "Messages waiting for the disk [MB] before more are dropped (and counted)."),
    "flush_s": (1.0, "Data is brought to the file at least this often [s]."),
    "silence_s": (2.0, "A topic without a message for this long [s] counts as silent."),
    "start_timeout_s": (3.0, "How long start_episode waits [s] for silent topics before it refuses."),
    "stop_grace_s": (0.1, "How long after stop_episode [s] messages still on their way are recorded."),
    "autostart": (False, "Configure and activate at once, for use without a lifecycle manager."),
}


@dataclass
class _Tap:
    """One recorded topic and what is known of it."""

    name: str
    type: str = ""  # empty: taken from the graph
    observed: bool = False  # part of the observation: must be alive before an episode starts
    trouble: str = "has no publisher"
    topic: BagTopic | None = None
    subscription: Any = None
    qos: tuple[bool, bool] = (True, False)
    seen_at: float = field(default=float("-inf"))  # monotonic [s]
    latest: tuple[int, bytes] | None = None


class RecorderNode(LifecycleNode):
    """Thin ROS shell around `EpisodeRecorder`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("recorder", **options)
        for name, (default, description) in _PARAMETERS.items():
            self.declare_parameter(name, default, ParameterDescriptor(description=description))
        self._recorder: EpisodeRecorder | None = None
        self._taps: dict[str, _Tap] = {}
        self._owned: list[tuple[Any, Any]] = []  # (destroy function, entity) made on configure and activate
        self._active = False
        self._stopping = False
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        # Services wait without blocking subscriptions, so they need a group of their own.
        self._group = ReentrantCallbackGroup()
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._status = self.create_publisher(EpisodeStatus, "~/status", latched)
        if self._value("autostart"):
            self.trigger_configure()
            self.trigger_activate()

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        try:
            contract = TaskContract.load(self._value("contract"))
        except ContractError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        config = RecorderConfig(
            bags_dir=Path(self._value("bags_dir")).expanduser().resolve(),
            min_free_mb=self._value("min_free_mb"),
            max_queue_mb=self._value("max_queue_mb"),
            flush_s=self._value("flush_s"),
        )
        self._recorder = EpisodeRecorder(contract, config)
        for kind, name, callback in (
            (StartEpisode, "start_episode", self._on_start),
            (StopEpisode, "stop_episode", self._on_stop),
            (Trigger, "discard_episode", self._on_discard),
        ):
            service = self.create_service(kind, name, callback, callback_group=self._group)
            self._owned.append((self.destroy_service, service))
        self.get_logger().info(f"contract {contract.name} ({contract.hash}), bags go to {config.bags_dir}")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        assert self._recorder is not None
        contract = self._recorder.contract
        taps = [_Tap(name, kind, observed=True) for name, kind in contract.observation_topics.items()]
        taps += [_Tap(name, _ACTION_TYPE) for name in (contract.action_topic, contract.executed_action_topic)]
        taps += [_Tap(self.resolve_topic_name(name)) for name in self._value("extra_topics") if name]
        self._taps = {tap.name: tap for tap in reversed(taps)}  # the contract's own entry wins
        for name in (contract.action_topic, contract.executed_action_topic):
            self._subscribe(self._taps[name], (True, False), "")  # before the publisher comes: no first action is lost
        self._look_for_publishers()
        for period, callback in ((0.25, self._look_for_publishers), (1.0, self._watch)):
            self._owned.append((self.destroy_timer, self.create_timer(period, callback, clock=self._steady)))
        self._active = True
        self._publish_status()
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        self.interrupt("the recorder was deactivated")
        self._active = False
        for tap in self._taps.values():
            if tap.subscription is not None:
                self.destroy_subscription(tap.subscription)
        self._taps = {}
        self._release(self.destroy_timer)
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        self._release(self.destroy_service)
        self._recorder = None
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        self.interrupt("the recorder was shut down")
        return TransitionCallbackReturn.SUCCESS

    def interrupt(self, why: str) -> None:
        """Close a running episode as INTERRUPTED. Safe at any time, also after the ROS context has ended."""
        if self._recorder is None or not self._recorder.recording:
            return
        try:
            path = self._recorder.stop(Outcome.INTERRUPTED, self._now(), why)
            message = f"{why}: episode closed as interrupted in {path}"
        except RecorderError as error:
            message = str(error)
        if rclpy.ok(context=self.context):
            self.get_logger().warning(message)
            self._publish_status()
        else:  # the logger's topic is gone with the context
            print(f"[recorder] {message}", flush=True)

    # -- services ------------------------------------------------------------------------------------------------

    async def _on_start(self, request: StartEpisode.Request, response: StartEpisode.Response) -> StartEpisode.Response:
        try:
            recorder = self._require_active()
            await self._wait_for_topics()
            record = recorder.start(request.task, self._now(), request.operator_id, request.note)
        except RecorderError as error:
            self.get_logger().error(f"no episode started: {error}")
            response.success, response.message = False, str(error)
            return response
        for tap in self._taps.values():  # what is known at the start: the first action may come before the next message
            if tap.latest is not None and tap.topic is not None and (tap.observed or tap.qos[1]):
                recorder.push(tap.topic, *tap.latest)
        response.success, response.episode_id, response.uri = True, record.episode_id, str(recorder.uri)
        response.message = f"recording {record.episode_id}"
        self._publish_status()
        return response

    async def _on_stop(self, request: StopEpisode.Request, response: StopEpisode.Response) -> StopEpisode.Response:
        response.success, response.message, response.uri = await self._stop(request.outcome, request.note)
        return response

    async def _on_discard(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message, _ = await self._stop(Outcome.DISCARDED, "")
        return response

    async def _stop(self, outcome: int, note: str) -> tuple[bool, str, str]:
        """(success, message, uri)."""
        asked_ns = self._now()
        if self._stopping:
            return False, "the episode is already being stopped", ""
        try:
            recorder = self._require_active()
            if not recorder.recording:
                raise RecorderError("no episode is being recorded; call start_episode first")
            if outcome not in list(Outcome):
                raise RecorderError(
                    f"outcome {outcome} is unknown; give one of {[f'{o.value}={o.name}' for o in Outcome]}"
                )
            self._stopping = True
            await self._sleep(self._value("stop_grace_s"))
            path = recorder.stop(Outcome(outcome), asked_ns, note)
        except RecorderError as error:
            self.get_logger().error(str(error))
            return False, str(error), ""
        finally:
            self._stopping = False
        self._publish_status()
        status = recorder.status()
        message = f"{status.outcome.name}: {status.messages} messages in {status.seconds:.1f} s. {status.message}"
        return True, message.strip(), str(path)

    def _require_active(self) -> EpisodeRecorder:
        if self._recorder is None or not self._active:
            raise RecorderError("the recorder is not active; activate it (`ros2 lifecycle set <recorder> activate`)")
        return self._recorder

    async def _wait_for_topics(self) -> None:
        """Return once every topic of the observation is alive; raise RecorderError naming those that stay silent."""
        deadline = time.monotonic() + self._value("start_timeout_s")
        while silent := self._silent():
            if time.monotonic() > deadline:
                raise RecorderError("nothing to record on: " + "; ".join(silent))
            await self._sleep(0.05)
        if self._now() == 0:
            raise RecorderError("the clock stands at zero: use_sim_time is set, but nobody publishes /clock")

    def _silent(self) -> list[str]:
        limit = self._value("silence_s")
        executed = self._require_active().contract.executed_action_topic
        silent = []
        for tap in self._taps.values():
            age = time.monotonic() - tap.seen_at
            if tap.trouble and (tap.observed or tap.name == executed):
                silent.append(f"{tap.name} {tap.trouble}")
            elif tap.observed and age > limit:
                silent.append(f"{tap.name} has a publisher, but no message came for {min(age, 999):.1f} s")
        return silent

    async def _sleep(self, seconds: float) -> None:
        """Wait on the steady clock while other callbacks run."""
        done: Future = Future(executor=self.executor)
        timer = self.create_timer(
            seconds, lambda: done.done() or done.set_result(None), callback_group=self._group, clock=self._steady
        )
        try:
            await done
        finally:
            self.destroy_timer(timer)

    # -- topics --------------------------------------------------------------------------------------------------

    def _look_for_publishers(self) -> None:
        """Subscribe to topics whose publishers have come, with QoS that all of them offer."""
        for tap in self._taps.values():
            infos = self.get_publishers_info_by_topic(tap.name)
            if not infos:
                tap.trouble = "has no publisher"
                continue
            tap.type = tap.type or infos[0].topic_type
            other = sorted({i.topic_type for i in infos} - {tap.type})
            if other:
                tap.trouble = f"is published as {', '.join(other)}, expected {tap.type}"
                continue
            qos = subscription_qos(
                [
                    (
                        i.qos_profile.reliability == ReliabilityPolicy.RELIABLE,
                        i.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                    )
                    for i in infos
                ]
            )
            tap.trouble = ""
            if tap.subscription is None or tap.qos != qos:
                self._subscribe(tap, qos, str(getattr(infos[0], "topic_type_hash", "")))

    def _subscribe(self, tap: _Tap, qos: tuple[bool, bool], type_hash: str) -> None:
        """(Re)subscribe to raw bytes; on failure `tap.trouble` says why."""
        reliable, latched = qos
        try:
            package, kind, name = tap.type.split("/")
            message_class = getattr(importlib.import_module(f"{package}.{kind}"), name)
            definition = message_definition(tap.type)
        except (ImportError, AttributeError, DefinitionError) as error:
            tap.trouble = f"has type {tap.type}, which is not installed here ({error})"
            self.get_logger().warning(f"{tap.name} {tap.trouble}", throttle_duration_sec=30.0)
            return
        if tap.subscription is not None:
            self.destroy_subscription(tap.subscription)
        profile = QoSProfile(
            depth=_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        tap.topic = BagTopic(tap.name, tap.type, definition, reliable, latched, type_hash=type_hash)
        tap.qos = qos
        tap.subscription = self.create_subscription(
            message_class, tap.name, partial(self._on_message, tap), profile, raw=True
        )

    def _on_message(self, tap: _Tap, data: bytes) -> None:
        now_ns = self._now()
        tap.seen_at = time.monotonic()
        tap.latest = (now_ns, data)
        if self._recorder is not None and tap.topic is not None:
            self._recorder.push(tap.topic, now_ns, data)

    # -- the rest ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Once a second: end an episode in trouble, tell the status of a running one."""
        if self._recorder is None or not self._recorder.recording:
            return
        if self._recorder.trouble and not self._stopping:
            self.interrupt(self._recorder.trouble)
        self._publish_status()

    def _publish_status(self) -> None:
        if self._recorder is None:
            return
        status = self._recorder.status()
        message = EpisodeStatus(
            episode_id=status.episode_id,
            task=status.task,
            recording=status.recording,
            outcome=int(status.outcome),
            messages=status.messages,
            dropped=status.dropped,
            seconds=status.seconds,
            message=status.message,
        )
        message.header.stamp = self.get_clock().now().to_msg()
        self._status.publish(message)

    def _release(self, destroy: Any) -> None:
        """Destroy what was made with the matching create function."""
        for function, entity in self._owned:
            if function == destroy:
                function(entity)
        self._owned = [(f, e) for f, e in self._owned if f != destroy]

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value


def main(args: list[str] | None = None) -> None:
    """Spin until SIGINT or SIGTERM; an episode being recorded is then closed as interrupted."""
    rclpy.init(args=args)
    node = RecorderNode()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.interrupt("the recorder was told to end")
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
