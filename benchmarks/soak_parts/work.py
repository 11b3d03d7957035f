"""What a user asks of the graph while it runs: dreams, cancelled dreams, other checkpoints."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

from soak_parts.distribution import Distribution

from world4rl_bringup.client import ClientError, Progress, Refused, World4RLClient

IMAGINE_S, RELOAD_S = 10.0, 30.0
HORIZON = 15


class Requests:
    """Asks in a thread of its own until told to stop; counts answers, refusals by their text, and failures."""

    def __init__(self, client: World4RLClient, checkpoints: dict[str, Path]) -> None:
        self.answered: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.failed: list[str] = []
        self.latencies_ms: dict[str, Distribution] = defaultdict(Distribution)
        self._client, self._checkpoints = client, checkpoints
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(60.0)

    def _work(self) -> None:
        policies = itertools.cycle((self._checkpoints["policy_b"], self._checkpoints["policy_a"]))
        dreams = itertools.cycle((self._dream, self._dream_long, self._dream_cancelled))
        next_dream = next_reload = time.monotonic() + 5.0
        while not self._stop.wait(0.1):
            now = time.monotonic()
            if now >= next_dream:
                next_dream = now + IMAGINE_S
                self._try("imagine", next(dreams))
            if now >= next_reload:
                next_reload = now + RELOAD_S
                path = next(policies)
                self._try("load_policy", lambda path=path: self._client.load_policy(path))
                self._try("load_model", lambda path=path: self._client.load_model(path))

    def _try(self, what: str, ask: object) -> None:
        """Ask; what was refused is asked once more a moment later, as a person would."""
        for attempt in range(20):
            started = time.monotonic()
            try:
                ask()  # type: ignore[operator]
                self.answered[what] += 1
                self.latencies_ms[f"{what}, request to answer"].add(1e3 * (time.monotonic() - started))
                return
            except Refused as error:
                self.refused[f"{what}: {error}"] += 1
                if attempt == 19:
                    self.failed.append(f"{what} was refused 20 times: {error}")
                self._stop.wait(0.25)
            except ClientError as error:
                self.failed.append(f"{what}: {error}")
                return

    def _dream(self) -> None:
        started = time.monotonic()
        dreamt = self._client.imagine(HORIZON, samples=2)
        transport = time.monotonic() - started - dreamt.compute_s
        self.latencies_ms["imagine, all but the dreaming"].add(1e3 * transport)
        if dreamt.frames.shape[:2] != (2, HORIZON):
            self.failed.append(f"imagine gave frames of shape {dreamt.frames.shape}")

    def _dream_long(self) -> None:
        steps: list[int] = []
        self._client.imagine_many(2 * HORIZON, frames=False, on_progress=lambda p: steps.append(p.step))
        if steps != list(range(1, 2 * HORIZON + 1)):
            self.failed.append(f"imagine_many told the steps {steps}")

    def _dream_cancelled(self) -> None:
        cancel = threading.Event()

        def enough(progress: Progress) -> None:
            if progress.step >= 3:
                cancel.set()

        part = self._client.imagine_many(100, frames=False, on_progress=enough, cancel=cancel)
        if part.complete:
            self.failed.append("a cancelled dream went on to its end")
