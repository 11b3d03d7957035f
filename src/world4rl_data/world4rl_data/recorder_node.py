"""Lifecycle node that records episodes: one bag each, raw bytes, started and stopped by services.

Subscribes to the contract's topics, its `action` and `executed_action`, and `extra_topics`. Services (relative to the
namespace): start_episode, stop_episode, discard_episode. Publishes ~/status (reliable, transient local).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from std_srvs.srv import Trigger

from world4rl_interfaces.msg import EpisodeStatus
from world4rl_interfaces.srv import StartEpisode, StopEpisode

from .contract import ContractError, TaskContract
from .episode import Outcome
from .recorder import EpisodeRecorder, RecorderConfig, RecorderError
from .topic_taps_node import Tap, TopicTaps

_ACTION_TYPE = "world4rl_interfaces/msg/Action"

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


class RecorderNode(LifecycleNode):
    """Thin ROS shell around `EpisodeRecorder`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("recorder", **options)
        for name, (default, description) in _PARAMETERS.items():
            self.declare_parameter(name, default, ParameterDescriptor(description=description))
        self._recorder: EpisodeRecorder | None = None
        self._taps: TopicTaps | None = None
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
        taps = [Tap(name, kind, observed=True) for name, kind in contract.observation_topics.items()]
        taps += [
            Tap(contract.executed_action_topic, _ACTION_TYPE, awaited=True),
            Tap(contract.action_topic, _ACTION_TYPE),
        ]
        taps += [Tap(self.resolve_topic_name(name)) for name in self._value("extra_topics") if name]
        self._taps = TopicTaps(self, taps, self._recorder.push)
        for period, callback in ((0.25, self._taps.look_for_publishers), (1.0, self._watch)):
            self._owned.append((self.destroy_timer, self.create_timer(period, callback, clock=self._steady)))
        self._active = True
        self._publish_status()
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        self.interrupt("the recorder was deactivated")
        self._active = False
        if self._taps is not None:
            self._taps.close()
        self._taps = None
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
        for tap in self._taps or ():  # what is known at the start: the first action may come before the next message
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
        while silent := self._taps.silent(self._value("silence_s")) if self._taps else []:
            if time.monotonic() > deadline:
                raise RecorderError("nothing to record on: " + "; ".join(silent))
            await self._sleep(0.05)
        if self._now() == 0:
            raise RecorderError("the clock stands at zero: use_sim_time is set, but nobody publishes /clock")

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
