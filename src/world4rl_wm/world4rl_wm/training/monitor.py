"""What a training shows while it runs: metrics.jsonl, and TensorBoard with pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from world4rl_wm.model.frames import FrameWindows, to_uint8
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.pictures import side_by_side
from world4rl_wm.training.metrics_log import MetricsLog

_PICTURES = 6  # moments shown, spread over the data


class TrainingMonitor:
    """Goes on at `step` in `folder`: rows and points beyond it, of a run that was interrupted, are dropped.

    `name` is what the model is called in TensorBoard.
    """

    def __init__(self, folder: Path, step: int, name: str = "world_model") -> None:
        self._name = name
        self.log = MetricsLog(folder / "metrics.jsonl", step)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def loss(self, step: int, loss: float, learning_rate: float, **parts: float) -> None:
        """A point of the curves; `parts` are further losses by name."""
        self.log.write(step=step, loss=loss, learning_rate=learning_rate, **parts)
        for curve, value in {"loss": loss, "learning_rate": learning_rate, **parts}.items():
            self._board.add_scalar(f"{self._name}/{curve}", value, step)

    def picture(self, step: int, title: str, rgb: np.ndarray) -> None:
        """A picture uint8 ``(H, W, 3)``."""
        self._board.add_image(f"{self._name}/{title}", rgb, step, dataformats="HWC")

    @torch.no_grad()
    def pictures(self, step: int, model: WorldModel, windows: FrameWindows) -> None:
        """Rows of: last frame, true next frame, predicted next frame, their difference (brightened, grey is none)."""
        spread = torch.linspace(0, len(windows.current) - 1, _PICTURES).long()
        window = windows.window(windows.current[spread], model.device)
        model.eval()
        predicted = model.predict(window.context, window.actions, torch.Generator(model.device).manual_seed(0))
        model.train()
        shown = [window.context[:, -1], window.target, predicted, (predicted - window.target).mul(2).clamp(-1, 1)]
        frames = [to_uint8(column).cpu().numpy() for column in shown]
        rows = [np.concatenate([side_by_side(column[i]) for column in frames], axis=1) for i in range(_PICTURES)]
        self.picture(step, "last_true_predicted_difference", np.concatenate(rows))

    def close(self) -> None:
        self._board.close()
