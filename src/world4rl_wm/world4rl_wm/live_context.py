"""Where a dream of the present starts: the last frames on the graph and the actions that were executed between them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from world4rl_data.contract import TaskContract
from world4rl_data.observation import Missing, ObservationAssembler
from world4rl_wm.dream_context import DreamContext, padded
from world4rl_wm.imagine_request import Refusal


class LiveContext:
    """The last frames on the graph, a control period apart, with the actions that were executed between them.

    Messages are pushed by one thread while another asks; both may do so at any time.
    """

    def __init__(self, contract: TaskContract, history: int):
        self.contract = contract
        self.history = history
        self._assembler = ObservationAssembler(contract, history_s=2 * history * contract.period_s)
        self._actions: deque[tuple[int, np.ndarray]] = deque(maxlen=8 * history)
        self._lock = threading.Lock()

    def push(self, topic: str, stamp_ns: int, message: Any) -> None:
        """Add an observation's message."""
        with self._lock:
            self._assembler.push(topic, stamp_ns, message)

    def push_action(self, stamp_ns: int, values: Sequence[float]) -> None:
        """Add an executed action; one of the wrong length or with NaN is not of this contract and is left out."""
        action = np.asarray(values, np.float32)
        if action.shape != (self.contract.action_dim,) or not np.isfinite(action).all():
            return
        with self._lock:
            if self._actions and stamp_ns < self._actions[-1][0]:
                self._actions.clear()  # the clock was set back
            self._actions.append((stamp_ns, action.clip(-1, 1)))

    def context(self, now_ns: int) -> DreamContext:
        """The start at `now_ns`.

        Raises:
            Refusal: there is no complete observation now; says which stream is silent.
        """
        with self._lock:
            stamps, actions = self._moments(now_ns)
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

    def _moments(self, now_ns: int) -> tuple[list[int], list[np.ndarray]]:
        """Stamps of the frames and the actions between them, newest first.

        A frame belongs to the stamp of the action decided on it, as in a recorded episode; where nobody acts, frames
        are a period apart and the action is zero. An action of the last half period shows no effect yet: the dream
        starts before it.
        """
        period = int(self.contract.period_s * 1e9)
        past = [entry for entry in self._actions if entry[0] <= now_ns]
        moment = past.pop()[0] if past and now_ns - past[-1][0] < period // 2 else now_ns
        stamps, actions = [moment], []
        while len(stamps) < self.history:
            if past and moment - past[-1][0] < 3 * period // 2:
                moment, action = past.pop()
            else:
                moment, action = moment - period, np.zeros(self.contract.action_dim, np.float32)
            stamps.append(moment)
            actions.append(action)
        return stamps, actions
