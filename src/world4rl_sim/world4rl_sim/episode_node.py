"""Base of the nodes that run whole episodes on the graph: reset, enable, record, act, label.

The episodes run as plain sequential code in the main thread; a second thread serves the callbacks.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import SetBool

from world4rl_data.contract import TaskContract
from world4rl_data.durable import replace_file
from world4rl_data.episode import Outcome
from world4rl_data.spin_node import until_shutdown
from world4rl_interfaces.msg import Action
from world4rl_interfaces.srv import ResetArm, StartEpisode, StopEpisode

from .operator import EpisodeMonitor, EpisodeResult, Scene, results_summary
from .parameters_node import declare
from .scene_reader_node import SceneReader
from .tasks import make_task

_ATTEMPTS = 3
_SLICE_S = 0.5
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class EpisodeError(RuntimeError):
    """The graph did not do what an episode needs; the text says which node and what to mend."""


class EpisodeBroken(EpisodeError):
    """An episode that stopped half-way, of a kind that may go well the next time."""


class EpisodeRefused(EpisodeError):
    """A service's no; `response` is its answer."""

    def __init__(self, name: str, response: Any) -> None:
        super().__init__(f"service {name} refused: {response.message}")
        self.response = response


class EpisodeNode(Node):
    """Subclasses say what happens in an episode: `begin`, `on_scene` for each new scene, `end`."""

    operator_id = ""

    def __init__(self, name: str, exit_when_done: bool) -> None:
        super().__init__(name)
        self.contract = TaskContract.load(self.param("contract", "franka_sim"))
        self.task = make_task(self.param("task", "press_button"))
        self.episodes = self.param("episodes", 10)
        self.first_seed = self.param("first_seed", 0)
        self.exit_when_done = self.param("exit_when_done", exit_when_done)
        self._record = self.param("record", True)
        self._timeout_s = self.param("timeout_s", 30.0)  # wall time for a service, and for the arm to go on moving
        self._results_path = self.param("results", "")
        self.results: list[EpisodeResult] = []
        self._monitor = EpisodeMonitor(self.task.horizon)
        self._scenes = SceneReader(self)
        self._status = self.create_publisher(String, "~/status", _LATCHED)
        self.create_subscription(Action, self.contract.executed_action_topic, self._on_executed, 10)
        self._reset = self.create_client(ResetArm, "sim_arm/reset")
        self._enable_gate = self.create_client(SetBool, "arm_gate/enable")
        self._start = self.create_client(StartEpisode, "start_episode")
        self._stop = self.create_client(StopEpisode, "stop_episode")

    def param(self, name: str, default: Any) -> Any:
        """Declares a parameter and returns its value."""
        return declare(self, name, default)

    def begin(self, seed: int) -> None:
        """The arm stands at its start, enabled and recorded."""

    def on_scene(self, scene: Scene) -> None:
        """A new scene, while the episode goes on."""

    def end(self) -> None:
        """The episode is over, before it is labelled."""

    def run(self) -> None:
        """All episodes, then the summary. Raises EpisodeError."""
        for index in range(self.episodes):
            result = self._try_episode(self.first_seed + index)
            self.results.append(result)
            of = f"episode {index + 1} of {self.episodes}, seed {result.seed}"
            self.get_logger().info(f"{of}: {result.outcome} after {result.steps} actions")
            self._report("running" if index + 1 < self.episodes else "done")

    def _try_episode(self, seed: int) -> EpisodeResult:
        """An episode that breaks off (a message lost, a node that hung) is begun again, at most twice."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return self.run_episode(seed)
            except EpisodeBroken as error:
                if not rclpy.ok():
                    raise
                self.get_logger().warning(f"episode with seed {seed} broke off, begun again: {error}")
        return self.run_episode(seed)

    def run_episode(self, seed: int) -> EpisodeResult:
        """One episode from a seed to its label."""
        self.call(self._enable_gate, SetBool.Request(data=False))  # nothing may move while the scene is set
        before_ns = self._scenes.newest_ns
        self.call(self._reset, ResetArm.Request(seed=seed))
        self._fresh_scene(before_ns)
        self.call_patiently(self._enable_gate, SetBool.Request(data=True))
        uri = self._start_recording(seed) if self._record else ""
        try:
            outcome = self._act(seed)
        except EpisodeError:
            if self._record:
                self._stop_recording(uri, Outcome.INTERRUPTED)
            raise
        if self._record:
            seen_ns = self._monitor.success_stamp_ns
            note = "" if seen_ns is None else f"success_stamp_ns={seen_ns}"  # success came before the episode's end
            uri = self._stop_recording(uri, outcome, note)
        return EpisodeResult(seed, outcome is Outcome.SUCCESS, self._monitor.steps, outcome.name.lower(), uri)

    def _start_recording(self, seed: int) -> str:
        request = StartEpisode.Request(task=self.task.name, operator_id=self.operator_id, note=f"seed={seed}")
        try:
            return self.call_patiently(self._start, request).uri
        except EpisodeBroken:  # no answer: the recorder may have started all the same, or start late
            with contextlib.suppress(EpisodeError):
                self.call_patiently(self._stop, StopEpisode.Request(outcome=int(Outcome.INTERRUPTED)))
            raise

    def _stop_recording(self, uri: str, outcome: Outcome, note: str = "") -> str:
        """The bag's folder. A stop whose answer is lost is asked again, not the whole episode: it may be saved already,
        which the recorder then tells by the folder."""
        request, lost = StopEpisode.Request(outcome=int(outcome), note=note), 0
        end = math.inf
        while True:
            try:
                return self.call(self._stop, request).uri or uri
            except EpisodeRefused as refused:
                if lost and refused.response.uri == uri:
                    return uri
                if not lost or time.monotonic() > end:
                    raise
                time.sleep(0.2)  # it is being stopped still, by the first request
            except EpisodeBroken as error:
                lost += 1
                end = time.monotonic() + self._timeout_s
                if lost == _ATTEMPTS:
                    raise EpisodeError(f"{error}, {lost} times: nobody knows whether {uri} is saved") from error
                self.get_logger().warning(f"{error}: asked again")

    def _act(self, seed: int) -> Outcome:
        # What was under way while the recorder started may be missing in its bag: the second new scene is wholly in it.
        scene = self._fresh_scene(self._fresh_scene(self._scenes.newest_ns).stamp_ns)
        self._monitor = EpisodeMonitor(self.task.horizon)
        self.begin(seed)
        steps, moved_at = 0, time.monotonic()
        try:
            while True:
                outcome = self._monitor.saw(scene)
                if outcome is not None:
                    return outcome
                if scene.stamp_ns == self._scenes.newest_ns:  # judged are all scenes, acted upon only the present one
                    self.on_scene(scene)
                if self._monitor.steps != steps:
                    steps, moved_at = self._monitor.steps, time.monotonic()
                elif time.monotonic() - moved_at > self._timeout_s:
                    waited = f"for {self._timeout_s} s"
                    raise EpisodeBroken(f"no action was executed {waited}: see arm_gate/status and policy/status")
                scene = self._fresh_scene(scene.stamp_ns)
        finally:
            self.end()

    def _fresh_scene(self, after_ns: int) -> Scene:
        found: list[Scene | None] = []

        def look(seconds: float) -> bool:
            found.append(self._scenes.wait(after_ns, seconds))
            return found[-1] is not None

        scene = found[-1] if self._wait(look) else None
        if scene is None:
            raise EpisodeBroken(f"no scene from sim_arm for {self._timeout_s} s: is the node running?")
        return scene

    def _wait(self, wait: Callable[[float], bool]) -> bool:
        """Waits up to `timeout_s` in slices that notice a shutdown; `wait(seconds)` says whether it came."""
        end = time.monotonic() + self._timeout_s
        while time.monotonic() < end:
            if not rclpy.ok():
                raise EpisodeError("ROS was shut down")
            if wait(_SLICE_S):
                return True
        return False

    def _on_executed(self, message: Action) -> None:
        self._monitor.executed(message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec)

    def call(self, client: Client, request: Any) -> Any:
        """Calls a service from the main thread; raises EpisodeError unless it answers with success."""
        if not self._wait(lambda seconds: client.wait_for_service(timeout_sec=seconds)):
            raise EpisodeError(f"service {client.srv_name} is not there after {self._timeout_s} s: start its node")
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not self._wait(answered.wait):
            raise EpisodeBroken(f"service {client.srv_name} did not answer within {self._timeout_s} s")
        response = future.result()
        if not response.success:
            raise EpisodeRefused(client.srv_name, response)
        return response

    def call_patiently(self, client: Client, request: Any) -> Any:
        """As `call`, but a refusal is asked again: a node may still be starting, or wait for its first messages."""
        end = time.monotonic() + self._timeout_s
        while True:
            try:
                return self.call(client, request)
            except EpisodeError:
                if time.monotonic() > end or not rclpy.ok():
                    raise
                time.sleep(0.2)

    def _report(self, state: str) -> None:
        summary = results_summary(self.results, state=state, task=self.task.name, node=self.get_name())
        brief = {key: value for key, value in summary.items() if key != "results"}
        self._status.publish(String(data=json.dumps(brief)))
        if self._results_path:
            path = Path(self._results_path).expanduser()
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, json.dumps(summary, indent=2))
        if state == "done":
            self.get_logger().info(f"done: {summary['successes']} of {summary['episodes']} episodes succeeded")


def run_node(make: Callable[[], EpisodeNode], args: list[str] | None) -> None:
    """The `main` of an episode node: episodes in this thread, callbacks in another; exit code 1 when one fails."""
    rclpy.init(args=args)
    executor = SingleThreadedExecutor()
    spinner = threading.Thread(target=_spin, args=(executor,), daemon=True)
    fault = ""
    try:
        node = make()
        executor.add_node(node)
        spinner.start()
        node.run()
        if not node.exit_when_done:
            spinner.join()
    except EpisodeError as error:
        fault = f"{node.get_name()}: {error}" if rclpy.ok() else ""  # a shutdown under way is not a fault
    except ValueError as error:
        fault = str(error)
    except KeyboardInterrupt:
        pass
    finally:
        rclpy.try_shutdown()
        if spinner.is_alive():
            spinner.join(timeout=5.0)
    if fault:
        sys.exit(fault)


def _spin(executor: SingleThreadedExecutor) -> None:
    with until_shutdown():
        executor.spin()
