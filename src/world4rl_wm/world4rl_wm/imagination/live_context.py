"""Where a dream of the present starts: the last frames on the graph and the actions that were executed between them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from world4rl_data.contract import TaskContract
from world4rl_data.observation import Missing, ObservationAssembler
from world4rl_wm.imagination.dream_context import DreamContext, padded
from world4rl_wm.imagination.request import Refusal

ACTION_DELAY_S = 1.0  # an action's stamp may lie this far behind the moment at which it is executed


@dataclass(frozen=True)
class _Heard:
    """The last message of a topic: its stamp, and when it came here by this node's clock [ns]."""

    stamp_ns: int
    received_ns: int


class LiveContext:
    """The last frames on the graph, a control period apart, with the actions that were executed between them.

    What belongs together is told by the messages' stamps, how fresh they are by when they came here: cameras and arm
    may live on a machine whose clock is not this one's. Among each other their stamps must agree.

    Messages are pushed by one thread while another asks; both may do so at any time.
    """

    def __init__(self, contract: TaskContract, history: int):
        self.contract = contract
        self.history = history
        self._assembler = ObservationAssembler(contract, history_s=2 * history * contract.period_s)
        self._heard: dict[str, _Heard] = {}
        self._actions: deque[tuple[int, np.ndarray]] = deque(maxlen=8 * history)
        self._acted: _Heard | None = None
        self._lock = threading.Lock()

    def push(self, topic: str, stamp_ns: int, message: Any, received_ns: int) -> None:
        """Add an observation's message that came at `received_ns` of the clock that `context` is asked by."""
        with self._lock:
            self._assembler.push(topic, stamp_ns, message)
            self._heard[topic] = _Heard(stamp_ns, received_ns)

    def push_action(self, stamp_ns: int, values: Sequence[float], received_ns: int) -> None:
        """Add an executed action; one of the wrong length or with NaN is not of this contract and is left out."""
        action = np.asarray(values, np.float32)
        if action.shape != (self.contract.action_dim,) or not np.isfinite(action).all():
            return
        with self._lock:
            if self._actions and stamp_ns < self._actions[-1][0]:
                self._actions.clear()  # the clock was set back
            self._actions.append((stamp_ns, action.clip(-1, 1)))
            self._acted = _Heard(stamp_ns, received_ns)

    def context(self, now_ns: int) -> DreamContext:
        """The start at `now_ns`.

        Raises:
            Refusal: there is no complete observation now; says which stream is silent, or whose stamps do not fit.
        """
        with self._lock:
            present = self._present(now_ns)
            stamps, actions = self._moments(present)
            newest = self._assembler.at(stamps[0])
            if isinstance(newest, Missing):
                raise Refusal(f"no live picture ({newest}): start the camera and the arm, or give context")
            seen = [newest]
            for stamp in stamps[1:]:
                older = self._assembler.at(stamp)
                if isinstance(older, Missing):
                    break
                seen.append(older)
        actions = actions[: len(seen) - 1]
        between = np.stack(actions[::-1]) if actions else np.zeros((0, self.contract.action_dim), np.float32)
        frames, proprio = (np.stack([getattr(o, name) for o in seen[::-1]]) for name in ("frame", "proprio"))
        return padded(frames, between, self.history, proprio)

    def _present(self, now_ns: int) -> int:
        """The newest stamp on the graph, once it is certain that every stream is fresh and of the same clock."""
        silent = []
        for stream in self.contract.streams:
            heard = self._heard.get(stream.topic)
            if heard is None:
                silent.append(f"{stream.name}: no message on {stream.topic}")
            elif now_ns - heard.received_ns > stream.timeout_s * 1e9:
                ago = (now_ns - heard.received_ns) / 1e9
                silent.append(
                    f"{stream.name}: the newest message on {stream.topic} came {ago:.2f} s ago, "
                    f"time-out {stream.timeout_s} s"
                )
        if silent:
            raise Refusal(f"no live picture ({'; '.join(silent)}): start the camera and the arm, or give context")
        first = max(self.contract.streams, key=lambda stream: self._heard[stream.topic].stamp_ns)
        present = self._heard[first.topic].stamp_ns
        for stream in self.contract.streams:
            behind = (present - self._heard[stream.topic].stamp_ns) / 1e9
            if behind > stream.timeout_s:
                raise Refusal(_clocks(f"{stream.name} ({stream.topic})", behind, first.name))
        self._check_actions(now_ns, present, first.name, max(s.timeout_s for s in self.contract.streams))
        return present

    def _check_actions(self, now_ns: int, present: int, name: str, timeout_s: float) -> None:
        """Refusal where the executed actions come now but their stamps are of another time."""
        if self._acted is None or now_ns - self._acted.received_ns > ACTION_DELAY_S * 1e9:
            return
        behind = (present - self._acted.stamp_ns) / 1e9
        if not -timeout_s - self.contract.period_s <= behind <= 2 * ACTION_DELAY_S:
            raise Refusal(_clocks(f"the executed actions ({self.contract.executed_action_topic})", behind, name))

    def _moments(self, present: int) -> tuple[list[int], list[np.ndarray]]:
        """Stamps of the frames and the actions between them, newest first.

        A frame belongs to the stamp of the action decided on it, as in a recorded episode, but here also where it was
        sent after that stamp; where nobody acts, frames are a period apart and the action is zero. An action of the
        last half period shows no effect yet: the dream starts before it.
        """
        period = int(self.contract.period_s * 1e9)
        past = [entry for entry in self._actions if entry[0] <= present]
        moment = past.pop()[0] if past and present - past[-1][0] < period // 2 else present
        stamps, actions = [moment], []
        while len(stamps) < self.history:
            if past and moment - past[-1][0] < 3 * period // 2:
                moment, action = past.pop()
            else:
                moment, action = moment - period, np.zeros(self.contract.action_dim, np.float32)
            stamps.append(moment)
            actions.append(action)
        return stamps, actions


def _clocks(what: str, behind_s: float, other: str) -> str:
    side = "behind" if behind_s > 0 else "ahead of"
    return (
        f"no live picture: {what} come now, but their stamps lie {abs(behind_s):.2f} s {side} those of {other}: their "
        f"machines' clocks differ (synchronise them, with chrony or PTP), or they come that late; or give context"
    )
