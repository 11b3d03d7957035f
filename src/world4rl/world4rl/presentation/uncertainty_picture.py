"""What calibration found, as a picture: real (mean absolute) error by disagreement, and the map."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from world4rl.presentation.drawing import SAMPLES, TEXT
from world4rl.presentation.plot import Curve, plot
from world4rl_wm.uncertainty.calibration import MODELS, NOISE, UncertaintyCalibration
from world4rl_wm.uncertainty.replay import ReplayedErrors

NAMES = {MODELS: "disagreement of the world models", NOISE: "disagreement of noise seeds"}
SIZE, MAX_DOTS = (520, 400), 2000


def uncertainty_picture(found: UncertaintyCalibration, measured: ReplayedErrors, path: Path) -> Path:
    """Write a PNG with a panel for each signal; `measured` are the held-out episodes."""
    inside = measured.inside
    error = measured.error[inside]
    highest = float(np.quantile(error, 0.995)) * 1.05
    panels = []
    for name, quality in found.signals.items():
        apart = measured.disagreement[name][inside]
        x_max = float(np.quantile(apart, 0.995)) * 1.05
        shown = np.linspace(0, len(error) - 1, min(MAX_DOTS, len(error))).astype(int)
        inner = shown[(apart[shown] <= x_max) & (error[shown] <= highest)]
        dots = list(zip(apart[inner].tolist(), error[inner].tolist()))
        fitted = [p for p in zip(quality.map.disagreement, quality.map.error) if p[0] <= x_max]
        curves = [Curve("held-out frame", dots, SAMPLES[0], 1.5, dots=True), Curve("map", fitted, SAMPLES[1], 2.5)]
        wrong = [(0.0, found.wrong_from), (x_max, found.wrong_from)]
        curves.append(Curve("wrong from here", wrong, TEXT, 1.0))
        title = f"error by {NAMES[name]}: AUROC {quality.auroc:.2f}, Spearman {quality.spearman:.2f}"
        panels.append(plot(*SIZE, title, curves, x_max, highest, x_label="disagreement"))
    if not cv2.imwrite(str(path), np.concatenate(panels, axis=1)[..., ::-1]):
        raise OSError(f"cannot write {path}: is the folder writable?")
    return path
