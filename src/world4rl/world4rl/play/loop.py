"""The loop of a play: ask the hand, do its orders, step the dream, show it, no faster than the robot."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from world4rl.play.hands import Hand, Order
from world4rl.play.session import PlaySession
from world4rl.play.views import View, save_clip
from world4rl_wm.protocols import Policy

POLL_S = 0.02  # between two looks at a hand that moves nothing


class Play:
    """Puts a session, a hand and views together. Clips go to `clips` with -1, -2 ... before the ending."""

    def __init__(
        self,
        session: PlaySession,
        hand: Hand,
        views: Sequence[View],
        clips: Path,
        policy: Policy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._session, self._hand, self._views, self._policy = session, hand, views, policy
        self._clips, self._sleep = clips, sleep
        self._saved = 0
        self._acts = False  # the policy
        self.steps = 0

    def run(self) -> int:
        """Play until the hand quits; returns the number of steps dreamt."""
        self._show(f"start {self._session.row}")
        while True:
            began = time.monotonic()
            wish = self._hand.poll()
            for order in wish.orders:
                if order is Order.QUIT:
                    return self.steps
                self._do(order)
            if wish.action is not None:
                self._acts = False
            action = wish.action
            if action is None and self._acts and self._policy is not None:
                action = self._session.action_of(self._policy)
            if action is None:
                self._sleep(POLL_S)
                continue
            self._session.step(action)
            self.steps += 1
            self._show("the policy acts" if self._acts else "")
            if self._hand.live:
                self._sleep(max(0.0, 1 / self._session.rate_hz - (time.monotonic() - began)))

    def _do(self, order: Order) -> None:
        session = self._session
        if order is Order.SAVE:
            self._saved += 1
            path = self._clips.with_stem(f"{self._clips.stem}-{self._saved}")
            save_clip(session.moments, session.kind, path, session.rate_hz)
            self._show(f"saved {path}")
        elif order is Order.POLICY:
            self._acts = self._policy is not None
            self._show("the policy acts" if self._acts else "no policy is loaded: start with --policy")
        else:
            self._acts = False
            session.reset() if order is Order.RESET else session.new_start()
            self._show(f"start {session.row}")

    def _show(self, note: str) -> None:
        for view in self._views:
            view.show(self._session.moments, self._session.kind, note)
