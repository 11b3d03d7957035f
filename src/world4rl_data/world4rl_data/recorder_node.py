"""Lifecycle node that records episodes: one bag each, raw bytes, started and stopped by services.

Subscribes to the contract's topics, its `action` and `executed_action`, and `extra_topics`. Services: start_episode,
stop_episode, discard_episode (relative to the namespace), and triggers ~/start, ~/stop_success, ~/stop_failure,
~/discard. Publishes ~/status (reliable, transient local) and /diagnostics.
"""

from __future__ import annotations

import time
from concurrent.futures import Future as Closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.task import Future

from .contract import ContractError, TaskContract
from .episode import Outcome
from .episode_services_node import EpisodeServices
from .recorder import EpisodeRecorder, RecorderConfig, RecorderError, result_of
from .recorder_parameters_node import declare_parameters
from .recorder_report_node import RecorderReport
from .spin_node import leave_signals_to_ros, until_shutdown
from .tap import Tap
from .topic_taps_node import TopicTaps

_ACTION_TYPE = "world4rl_interfaces/msg/Action"


@dataclass
class _Stop:
    """A stop that was asked for at `asked_ns` [ns]; `closing` once it has begun."""

    outcome: Outcome
    asked_ns: int
    note: str
    closing: Closing[Path] | None = None

    def begin(self, recorder: EpisodeRecorder) -> Closing[Path]:
        """End the running episode; a second time does nothing."""
        if self.closing is None:
            self.closing = recorder.begin_stop(self.outcome, self.asked_ns, self.note)
        return self.closing


class RecorderNode(LifecycleNode):
    """Thin ROS shell around `EpisodeRecorder`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("recorder", **options)
        declare_parameters(self)
        self._recorder: EpisodeRecorder | None = None
        self._taps: TopicTaps | None = None
        self._episode_services: EpisodeServices | None = None
        self._timers_made: list[Any] = []
        self._stopping: _Stop | None = None
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        # Services wait without blocking anything else, so they need a group of their own.
        self._group = ReentrantCallbackGroup()
        self._report = RecorderReport(self)
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
        self._episode_services = EpisodeServices(self, self._group, self._start, self._stop)
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
        self._taps = TopicTaps(self, taps, self._recorder.push, self._recorder.lost)
        for period, callback in ((0.25, self._taps.look_for_publishers), (1.0, self._watch)):
            self._timers_made.append(self.create_timer(period, callback, clock=self._steady))
        self._publish_status()
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        self.interrupt("the recorder was deactivated")
        self.close_taps()
        while self._timers_made:
            self.destroy_timer(self._timers_made.pop())
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        if self._episode_services is not None:
            self._episode_services.close()
        self._episode_services = self._recorder = None
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        self.interrupt("the recorder was shut down")
        self.close_taps()
        return TransitionCallbackReturn.SUCCESS

    def interrupt(self, why: str) -> None:
        """Close a running episode as INTERRUPTED, or as was asked where its stop waits for the last messages, and wait
        for all bags that are being closed. Safe at any time, also after the ROS context has ended."""
        if self._recorder is None:
            return
        ended = self._recorder.closing
        if self._recorder.recording:
            stop = self._stopping
            if stop is None or stop.closing is not None:
                stop = _Stop(Outcome.INTERRUPTED, self._now(), why)
            ended[stop.begin(self._recorder)] = stop.outcome
        for closing, outcome in ended.items():
            try:
                self._warn(f"{why}: episode closed as {outcome.name.lower()} in {result_of(closing)}")
            except RecorderError as error:
                self._warn(str(error))

    def _warn(self, message: str) -> None:
        if rclpy.ok(context=self.context):
            self.get_logger().warning(message)
            self._publish_status()
        else:  # the logger's topic is gone with the context
            print(f"[recorder] {message}", flush=True)

    def close_taps(self) -> None:
        """End all subscriptions and the thread that serves them."""
        if self._taps is not None:
            self._taps.close()
        self._taps = None

    # -- episodes ------------------------------------------------------------------------------------------------

    async def _start(self, task: str, operator_id: str, note: str) -> tuple[bool, str, str, str]:
        """(success, message, episode id, uri)."""
        try:
            self._require_active()
            await self._wait_for_topics()
            recorder = self._require_active()  # again: it may have been deactivated meanwhile
            record = recorder.start(task, self._now(), operator_id, note)
        except RecorderError as error:
            self.get_logger().error(f"no episode started: {error}")
            return False, str(error), "", ""
        if self._taps is not None:
            self._taps.replay(record.start_ns)
        self._publish_status()
        return True, f"recording {record.episode_id}", record.episode_id, str(recorder.uri)

    async def _stop(self, outcome: int, note: str) -> tuple[bool, str, str]:
        """(success, message, uri). Asked again after it was done, the uri tells whoever lost the first answer."""
        asked_ns = self._now()
        if self._stopping:
            return False, "the episode is already being stopped", ""
        try:
            recorder = self._require_active()
            if outcome not in list(Outcome):
                raise RecorderError(
                    f"outcome {outcome} is unknown; give one of {[f'{o.value}={o.name}' for o in Outcome]}"
                )
            if not recorder.recording:
                ended = recorder.ended_as(Outcome(outcome))
                last = f"; the last one has ended as {Outcome(outcome).name}, in {ended}" if ended else ""
                return False, f"no episode is being recorded; call start_episode first{last}", str(ended or "")
            silent = self._silent()
            stop = self._stopping = _Stop(Outcome(outcome), asked_ns, note)
            episode, grace_s = recorder.status().episode_id, self._value("stop_grace_s")
            self.get_logger().info(
                f"{episode} ends as {stop.outcome.name}: messages on their way are recorded for {grace_s:g} s more"
            )
            await self._sleep(grace_s)
            closing = stop.begin(recorder)
            await self._closed(closing)
            path = result_of(closing)
        except RecorderError as error:
            self.get_logger().error(str(error))
            return False, str(error), ""
        finally:
            self._stopping = None
        self._publish_status()
        status = recorder.status()
        said = [f"{status.outcome.name}: {status.messages} messages in {status.seconds:.1f} s.", status.message]
        if silent:
            said.append(f"`world4rl dataset validate` it, for at the stop {'; '.join(silent.values())}")
        return True, " ".join(part for part in said if part), str(path)

    def _require_active(self) -> EpisodeRecorder:
        if self._recorder is None or self._taps is None:
            raise RecorderError("the recorder is not active; activate it (`ros2 lifecycle set <recorder> activate`)")
        return self._recorder

    async def _wait_for_topics(self) -> None:
        """Return once every topic of the observation is alive; raise RecorderError naming those that stay silent, or
        send pictures of the wrong size."""
        deadline, told = time.monotonic() + self._value("start_timeout_s"), False
        while silent := self._silent():
            lines = "; ".join(silent.values())
            if time.monotonic() > deadline:
                raise RecorderError(f"nothing to record on: {lines}")
            if not told:
                self.get_logger().info(f"the start of an episode waits: {lines}")
                told = True
            await self._sleep(0.05)
        if self._recorder and self._taps and (wrong := self._taps.wrong_pictures(self._recorder.contract.images)):
            raise RecorderError("nothing to learn from: " + "; ".join(wrong))
        if self._now() == 0:
            raise RecorderError("the clock stands at zero: use_sim_time is set, but nobody publishes /clock")

    async def _sleep(self, seconds: float) -> None:
        """Wait on the steady clock while other callbacks run."""
        done: Future = Future(executor=self.executor)
        group = ReentrantCallbackGroup()  # of its own: a group never forgets the timers that it once held
        timer = self.create_timer(
            seconds, lambda: done.done() or done.set_result(None), callback_group=group, clock=self._steady
        )
        try:
            await done
        finally:
            self.destroy_timer(timer)

    async def _closed(self, closing: Closing[Path]) -> None:
        """Wait for the disk while other callbacks run."""
        done: Future = Future(executor=self.executor)
        wake = self.executor.wake

        def tell(_: Closing[Path]) -> None:
            done.set_result(None)
            wake()  # only now: an executor that looked before would sleep until the next callback is due

        closing.add_done_callback(tell)
        await done

    # -- the rest ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Once a second: end an episode in trouble, tell how it stands."""
        if self._recorder is None:
            return
        if self._recorder.trouble and not self._stopping:
            self.interrupt(self._recorder.trouble)
        self._publish_status()  # also while nothing is recorded: that a bag could not be closed comes out afterwards

    def _publish_status(self) -> None:
        if self._recorder is not None:
            silent = self._silent() if self._recorder.recording else {}
            self._report.publish(self._recorder, self._taps.notes if self._taps else [], silent)

    def _silent(self) -> dict[str, str]:
        """Topic to a line about it, of those that an episode needs and that are silent now."""
        return self._taps.silent(self._value("silence_s")) if self._taps else {}

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value


def main(args: list[str] | None = None) -> None:
    """Spin until SIGINT or SIGTERM; an episode being recorded is then closed as interrupted, and further signals are
    not heard until it is."""
    leave_signals_to_ros()
    rclpy.init(args=args)
    node = RecorderNode()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        with until_shutdown():
            executor.spin()
    finally:
        node.interrupt("the recorder was told to end")
        node.close_taps()
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
