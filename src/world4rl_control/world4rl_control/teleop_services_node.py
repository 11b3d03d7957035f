"""The services behind teleop's buttons: called without waiting, the answer goes to the log."""

from __future__ import annotations

import functools
import math
import time
from typing import Any

from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from world4rl_control.teleop_buttons import TeleopEvent

_PATIENCE_S = 15.0  # an answer later than this is not waited for; starting an episode may take some seconds
_STOP_AGAIN_S = 0.5  # a stop whose answer stays out this long is sent again: it may have been lost on the way
_SAY_AGAIN_S = 1.0  # a held key repeats tens of times a second, and so would what is said of it
_RECORDER, _GATE = "is the recorder running and active?", "is the arm gate running?"
# Names are relative: a namespace moves them with the nodes that serve them.
SERVICES: dict[TeleopEvent, tuple[type, str, Any, str]] = {
    TeleopEvent.START: (Trigger, "recorder/start", None, _RECORDER),
    TeleopEvent.SUCCESS: (Trigger, "recorder/stop_success", None, _RECORDER),
    TeleopEvent.FAILURE: (Trigger, "recorder/stop_failure", None, _RECORDER),
    TeleopEvent.DISCARD: (Trigger, "recorder/discard", None, _RECORDER),
    TeleopEvent.ENABLE: (SetBool, "arm_gate/enable", True, _GATE),
    TeleopEvent.DISABLE: (SetBool, "arm_gate/enable", False, _GATE),
    TeleopEvent.RELEASE: (Trigger, "arm_gate/release", None, _GATE),
}


class TeleopServices:
    """Calls the service of an event, one call at a time per event; a stop waits for none from before an enable."""

    def __init__(self, node: Node) -> None:
        self._node, self._log = node, node.get_logger()
        kinds = {name: kind for kind, name, _, _ in SERVICES.values()}
        self._clients = {name: node.create_client(kind, name) for name, kind in kinds.items()}
        self._pending: dict[TeleopEvent, tuple[float, Any]] = {}
        self._enabled_s = -math.inf  # when the gate was last asked to enable

    def call(self, event: TeleopEvent) -> None:
        """Ask for it and return at once."""
        kind, name, data, hint = SERVICES[event]
        client = self._clients[name]
        if not client.service_is_ready():
            self._log.error(f"{event.value}: no service {client.srv_name}: {hint}", throttle_duration_sec=_SAY_AGAIN_S)
            return
        now_s = time.monotonic()
        if event in self._pending:
            asked_s, future = self._pending[event]
            if not self._outlived(event, asked_s, now_s):
                told = f"{event.value}: {client.srv_name} has not answered the press before"
                self._log.warning(told, throttle_duration_sec=_SAY_AGAIN_S)
                return
            self._pending.pop(event)
            client.remove_pending_request(future)
        request = kind.Request() if data is None else kind.Request(data=data)  # type: ignore[attr-defined]
        future = client.call_async(request)
        self._pending[event] = (now_s, future)
        if event is TeleopEvent.ENABLE:
            self._enabled_s = now_s
        future.add_done_callback(functools.partial(self._on_answer, event))

    def _outlived(self, event: TeleopEvent, asked_s: float, now_s: float) -> bool:
        """Whether a call that has no answer yet stands in the way of the same press no longer."""
        if event is TeleopEvent.DISABLE:
            return self._enabled_s >= asked_s or now_s - asked_s >= _STOP_AGAIN_S
        return now_s - asked_s >= _PATIENCE_S

    def _on_answer(self, event: TeleopEvent, future: Any) -> None:
        if self._pending.get(event, (0.0, None))[1] is future:
            del self._pending[event]
        if future.cancelled():
            return
        if future.exception() is not None:
            self._log.error(f"{event.value}: {future.exception()}")
            return
        answer = future.result()
        if answer.success:
            self._log.info(f"{event.value}: {answer.message}")
        else:
            self._log.error(f"{event.value} refused: {answer.message}")
