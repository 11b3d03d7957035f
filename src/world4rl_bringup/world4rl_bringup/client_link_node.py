"""The client's own corner of ROS: context, node and executor thread, and calls that may come from any thread.

All that rclpy does happens on the executor's thread, and no code of the caller runs there: a call never waits for
itself, whichever thread or callback it comes from.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from world4rl_bringup.client_types import ClientError, NoAnswer, NotThere, Progress, Refused
from world4rl_bringup.missing_nodes import what_is_missing
from world4rl_data.spin_node import until_shutdown

_SLICE_S = 0.05  # how often a waiting thread looks whether the other side is still there
_GONE_S = 3.0  # a service or action that has not been seen for this long while its answer is awaited has ended
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class ClientLink:
    """Services, actions and latched topics under one namespace (``/world4rl``), for callers of any thread."""

    def __init__(self, namespace: str, name: str, domain_id: int | None) -> None:
        self.namespace = namespace
        if domain_id is None and rclpy.ok():  # the caller's own ROS says where the graph is
            domain_id = rclpy.utilities.get_default_context().get_domain_id()
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, domain_id=domain_id)
        quiet = {"start_parameter_services": False, "enable_rosout": False, "use_global_arguments": False}
        self._node = Node(name, namespace=namespace, context=self._context, **quiet)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._lock = threading.Lock()  # guards _endpoints
        self._endpoints: dict[str, Any] = {}
        self._newest: dict[str, Any] = {}
        self._heard = threading.Condition()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="world4rl client", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a thread in DDS while the interpreter is taken down may abort the process

    def _spin(self) -> None:
        with until_shutdown(self._context):
            self._executor.spin()

    def close(self) -> None:
        """Ends the thread; calls that still wait in other threads raise ClientError."""
        if self._closed.is_set():
            return
        self._closed.set()
        atexit.unregister(self.close)
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(5.0)
        self._node.destroy_node()
        self._context.try_shutdown()

    def absolute(self, name: str) -> str:
        """``/world4rl/policy/enable`` for ``policy/enable``."""
        return f"{self.namespace.rstrip('/')}/{name}"

    # -- services ------------------------------------------------------------------------------------------------

    def call(self, kind: Any, name: str, request: Any, timeout_s: float) -> Any:
        """The service's answer. Raises NotThere or NoAnswer; `timeout_s` counts from now to the answer."""
        end = time.monotonic() + timeout_s
        client = self._endpoint(name, lambda: self._node.create_client(kind, self.absolute(name)))
        self._await_server(client.service_is_ready, "service", name, timeout_s)
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        pending = self._on_executor(lambda: _chained(client.call_async(request), answer))
        try:
            return self._await_answer(answer, client.service_is_ready, f"service {self.absolute(name)}", end)
        finally:
            if not answer.done():
                self._on_executor(lambda: client.remove_pending_request(pending.result()))

    def _await_answer(
        self, answer: concurrent.futures.Future[Any], ready: Callable[[], bool], what: str, end: float
    ) -> Any:
        late = "did not answer in time: see its node's log, or allow a longer timeout_s"
        look = self._lookout(ready, what, end, late)
        while True:
            with contextlib.suppress(concurrent.futures.TimeoutError):
                return answer.result(_SLICE_S)
            look()

    def _lookout(self, ready: Callable[[], bool], what: str, end: float, late: str) -> Callable[[], None]:
        """What to call again and again while waiting: it raises NotThere once the other side has been gone for a while
        (a discovery that flickers is not its end), and NoAnswer, which says `late`, after the time `end`."""
        gone: float | None = None  # since when; not when it was last seen, as the caller may have been away in between

        def look() -> None:
            nonlocal gone
            now = time.monotonic()
            self._require_open()
            if ready():
                gone = None
            elif gone is None:
                gone = now
            elif now - gone > _GONE_S:
                raise NotThere(f"{what} went away before it answered: its node has ended, see its log and start it")
            if now > end:
                raise NoAnswer(f"{what} {late}")

        return look

    # -- actions -------------------------------------------------------------------------------------------------

    def run_goal(
        self,
        kind: Any,
        name: str,
        goal: Any,
        timeout_s: float,
        on_progress: Callable[[Progress], None] | None,
        cancel: threading.Event | None,
    ) -> Any:
        """The result of a dream, also of one that was cancelled or that the node broke off half-way.

        A goal that is left behind is cancelled, also one that the node takes only then.
        """
        end = time.monotonic() + timeout_s
        client = self._endpoint(name, lambda: ActionClient(self._node, kind, self.absolute(name)))
        self._await_server(client.server_is_ready, "action", name, timeout_s)
        news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        accepted: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._on_executor(lambda: _chained(client.send_goal_async(goal, lambda m: news.put(m.feedback)), accepted))
        what = f"action {self.absolute(name)}"
        result: concurrent.futures.Future[Any] = concurrent.futures.Future()
        late = "did not end in time, and was cancelled: allow a longer timeout_s"
        look, asked_to_stop = self._lookout(client.server_is_ready, what, end, late), False
        try:
            handle = self._await_answer(accepted, client.server_is_ready, what, end)
            if not handle.accepted:
                raise Refused(f"{what} did not take the goal")
            self._on_executor(lambda: _chained(handle.get_result_async(), result))
            while not (result.done() and news.empty()):
                with contextlib.suppress(queue.Empty):
                    feedback = news.get(timeout=_SLICE_S)
                    if on_progress is not None:
                        on_progress(Progress(feedback.step, feedback.total, bytes(feedback.preview.data)))
                if cancel is not None and cancel.is_set() and not asked_to_stop:
                    asked_to_stop = True
                    self._on_executor(handle.cancel_goal_async)
                if not result.done():
                    look()
        finally:
            if not result.done() and not asked_to_stop:
                accepted.add_done_callback(self._cancel_accepted)  # at once, or when the node takes it later
        answer = result.result()
        done = answer.status in (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED)
        if not done and not len(answer.result.uncertainty):  # else a dream that was broken off: what there is counts
            raise Refused(answer.result.message or f"{what} was aborted: see its node's log")
        return answer.result

    def _cancel_accepted(self, accepted: concurrent.futures.Future[Any]) -> None:
        """Cancel a goal that nobody waits for any more, where the node has taken it."""
        if not accepted.cancelled() and accepted.exception() is None and accepted.result().accepted:
            with contextlib.suppress(ClientError):  # the client was closed
                self._on_executor(accepted.result().cancel_goal_async)

    # -- latched topics ------------------------------------------------------------------------------------------

    def follow(self, kind: Any, name: str) -> None:
        """Listen to a latched topic from now on."""

        def heard(message: Any) -> None:
            with self._heard:
                self._newest[name] = message
                self._heard.notify_all()

        subscribe = lambda: self._node.create_subscription(kind, self.absolute(name), heard, _LATCHED)  # noqa: E731
        self._endpoint(name, subscribe)

    def await_status(self, name: str, met: Callable[[Any], bool], timeout_s: float) -> Any:
        """The newest message of a followed topic, once it meets the condition and its publisher is there.

        Raises NotThere where nobody publishes it, else NoAnswer, which carries the newest message.
        """
        end = time.monotonic() + timeout_s
        while True:
            with self._heard:
                message = self._newest.get(name)
                alive = message is not None and self._node.count_publishers(self.absolute(name)) > 0
            # Not under the lock, which the executor's thread needs: the condition may use this client itself.
            if alive and met(message):
                return message
            with self._heard:
                if self._newest.get(name) is message:  # else something newer has come meanwhile: look at that first
                    self._heard.wait(_SLICE_S)
            self._require_open()
            if time.monotonic() > end:
                newest = self._newest.get(name) if alive else None
                if newest is None:
                    raise NotThere(self._missing("status topic", name, timeout_s))
                raise NoAnswer(f"{self.absolute(name)} did not come to what was awaited in {timeout_s} s: {newest}")

    # -- plumbing ------------------------------------------------------------------------------------------------

    def _endpoint(self, name: str, make: Callable[[], Any]) -> Any:
        """A client or subscription, made on first use."""
        with self._lock:
            if name not in self._endpoints:
                self._endpoints[name] = self._on_executor(make).result(30.0)
            return self._endpoints[name]

    def _await_server(self, ready: Callable[[], bool], what: str, name: str, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        while not ready():
            self._require_open()
            if time.monotonic() > end:
                raise NotThere(self._missing(what, name, timeout_s))
            time.sleep(_SLICE_S)

    def _missing(self, what: str, name: str, timeout_s: float) -> str:
        seen = [f"{space.rstrip('/')}/{node}" for node, space in self._node.get_node_names_and_namespaces()]
        domain = self._context.get_domain_id()
        return what_is_missing(f"{what} {self.absolute(name)}", name, self.namespace, seen, timeout_s, domain)

    def _on_executor(self, work: Callable[[], Any]) -> concurrent.futures.Future[Any]:
        """Have the executor's thread do something; an exception goes to who waits for the result."""
        self._require_open()
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def run() -> None:
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error)

        self._executor.create_task(run)
        return done

    def _require_open(self) -> None:
        if self._closed.is_set() or not self._thread.is_alive():
            raise ClientError("this client is closed: make a new World4RLClient")


def _chained(future: Any, answer: concurrent.futures.Future[Any]) -> Any:
    """Hand an rclpy future's outcome on to threads that wait. Returns the rclpy future."""

    def done(finished: Any) -> None:
        if finished.cancelled():
            answer.cancel()
        elif finished.exception() is not None:
            answer.set_exception(finished.exception())
        else:
            answer.set_result(finished.result())

    future.add_done_callback(done)
    return future
