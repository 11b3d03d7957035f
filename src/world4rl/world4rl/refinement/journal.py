"""What a refinement writes down while it runs: a row for every iteration, the state to go on from, and TensorBoard."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from world4rl.refinement.checkpoint_choice import CHECKPOINTS
from world4rl_wm.training.board import Board
from world4rl_wm.training.metrics_log import MetricsLog
from world4rl_wm.training.share import Share
from world4rl_wm.training.state import STATE, TrainingState

METRICS = "metrics.jsonl"


class RefinementJournal:
    """Goes on in `folder` where the refinement `fingerprint` was, else begins anew. The main process alone writes.

    Attributes:
        resumed: whether it goes on; the state is restored then.
    """

    def __init__(self, folder: Path, state: TrainingState, fingerprint: str, share: Share):
        self._path, self._state, self._fingerprint = folder / STATE, state, fingerprint
        self.resumed = state.restore(self._path, fingerprint)
        share.wait()  # all have read the state before anybody writes one
        self._log, self._board = None, None
        if share.main:
            step = state.step if self.resumed else -1
            self._log, self._board = refinement_log(folder, step), Board(folder, step, "refinement")
            if not self.resumed:
                shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # another refinement's

    def bar(self, iterations: int, progress: bool) -> tqdm:
        """Where the refinement is."""
        return tqdm(
            total=iterations,
            initial=self._state.step,
            desc="PPO in imagination",
            unit="iteration",
            disable=not (progress and self._log is not None),
        )

    def write(self, row: dict[str, float]) -> None:
        """The row of the iteration that is over, then the state: what is killed between them is done again."""
        if self._log is not None and self._board is not None:
            self._log.write(**row)
            self._state.step = int(row["iteration"])
            self._board.curves(self._state.step, {name: value for name, value in row.items() if name != "iteration"})
            self._state.save(self._path, self._fingerprint)

    def film(self, make: Callable[[], np.ndarray], rate_hz: float) -> None:
        """Show what `make` returns, uint8 ``(T, H, W, 3)``, as a film of the policy after the newest iteration."""
        if self._board is not None:
            self._board.film(self._state.step, "practice", make(), rate_hz)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()

    def tell_times(self) -> None:
        """Print where the time of all iterations went."""
        if self._log is None:
            return
        practice, choice, learning = (self._log.total(name) for name in ("dream_s", "judge_s", "learn_s"))
        share = learning / max(practice + choice + learning, 1e-9)
        dreams = f"{practice:.0f} s of dreams to learn from, {choice:.0f} s of dreams to choose by"
        print(f"refinement: {dreams}, {learning:.0f} s of PPO's own arithmetic ({share:.0%})")


def refinement_log(folder: Path, iteration: int = -1) -> MetricsLog:
    """metrics.jsonl of a refinement, without what it holds of later iterations."""
    return MetricsLog(folder / METRICS, iteration, counted="iteration")
