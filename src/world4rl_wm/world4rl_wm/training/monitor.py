"""What a training shows while it runs: metrics.jsonl, and TensorBoard with pictures and films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from world4rl_wm.model.frames import FrameWindows, to_uint8
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.pictures import side_by_side
from world4rl_wm.training.board import Board
from world4rl_wm.training.metrics_log import MetricsLog

_PICTURES = 6  # moments shown, spread over the data


class TrainingMonitor:
    """Goes on at `step` in `folder`: rows and points beyond it, of a run that was interrupted, are dropped.

    `name` is what the model is called in TensorBoard.
    """

    def __init__(self, folder: Path, step: int, name: str = "world_model") -> None:
        self.log = MetricsLog(folder / "metrics.jsonl", step)
        self._board = Board(folder, step, name)

    def loss(self, step: int, loss: float, learning_rate: float, **parts: float) -> None:
        """A point of the curves; `parts` are further losses by name."""
        self.log.write(step=step, loss=loss, learning_rate=learning_rate, **parts)
        self._board.curves(step, {"loss": loss, "learning_rate": learning_rate, **parts})

    def picture(self, step: int, title: str, rgb: np.ndarray) -> None:
        """A picture uint8 ``(H, W, 3)``."""
        self._board.picture(step, title, rgb)

    @torch.no_grad()
    def pictures(self, step: int, model: WorldModel, windows: FrameWindows) -> None:
        """Rows of: last frame, true next frame, predicted next frame, their difference (brightened, grey is none)."""
        spread = torch.linspace(0, len(windows.current) - 1, _PICTURES).long()
        window = windows.window(windows.current[spread], model.device)
        model.eval()
        task = None if window.task is None else model.task_table.vectors(window.task)
        generator = torch.Generator(model.device).manual_seed(0)
        predicted = model.predict(window.context, window.actions, generator, task)
        model.train()
        shown = [window.context[:, -1], window.target, predicted, (predicted - window.target).mul(2).clamp(-1, 1)]
        frames = [to_uint8(column).cpu().numpy() for column in shown]
        rows = [np.concatenate([side_by_side(column[i]) for column in frames], axis=1) for i in range(_PICTURES)]
        self.picture(step, "last_true_predicted_difference", np.concatenate(rows))

    def film(self, step: int, title: str, rgb: np.ndarray, rate_hz: float) -> None:
        """A film uint8 ``(T, H, W, 3)`` of `rate_hz` pictures a second."""
        self._board.film(step, title, rgb, rate_hz)

    def close(self) -> None:
        self._board.close()
