"""Calibrates what the disagreement of world models means; map, figures and picture stay beside the dreaming model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from world4rl.presentation.uncertainty_picture import uncertainty_picture
from world4rl_data.store import EpisodeStore
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.uncertainty.calibration import (
    MODELS,
    UNCERTAINTY,
    CalibrationConfig,
    UncertaintyCalibration,
    UncertaintyError,
    calibrate,
)
from world4rl_wm.uncertainty.ensemble_loading import load_others
from world4rl_wm.uncertainty.kind import UncertaintyKind
from world4rl_wm.uncertainty.quality import SignalQuality

PICTURE = Path(UNCERTAINTY).with_suffix(".png").name


def calibrate_checkpoint(
    checkpoint: Path,
    ensemble: Sequence[Path],
    store: EpisodeStore,
    episodes: Sequence[int],
    config: CalibrationConfig,
    device: str | torch.device = "cpu",
    progress: bool = True,
) -> UncertaintyCalibration:
    """Dream `episodes` with the model in `checkpoint` and those in `ensemble`; what is found is kept in `checkpoint`.

    Raises:
        CheckpointError, ContractMismatch: a folder is no such model, or the models or the store do not fit together.
        UncertaintyError: nothing to measure, or too few episodes for it; what was kept before stays.
    """
    model = WorldModel.load(checkpoint, device, store.contract)
    others = load_others(model, ensemble)
    with tqdm(total=len(episodes), desc="uncertainty", unit="episode", disable=not progress) as bar:
        found, measured = calibrate(
            model, checkpoint, others, store, episodes, config, lambda done: bar.update(done - bar.n)
        )
    uncertainty_picture(found, measured, checkpoint / PICTURE)
    found.save(checkpoint)  # last: where it is, the picture is
    return found


def signal_figures(quality: SignalQuality) -> dict[str, Any]:
    """A signal's quality without the map, for people and records; None where few episodes left nothing to compare."""
    known = quality.to_dict().items()
    return {name: None if value != value else value for name, value in known if name != "map"}  # JSON has no NaN


def run_figures(found: UncertaintyCalibration | UncertaintyError) -> dict[str, Any]:
    """What a run's record says of its two world models: `kind` as in `UncertaintyKind`, and the figures or a reason."""
    if isinstance(found, UncertaintyError):
        return {"kind": UncertaintyKind.DISAGREEMENT.name.lower(), "reason": str(found)}
    names = ("auroc_of_step", "wrong_from", "fitted_episodes", "held_out_episodes", "trained_on_store")
    own = {name: getattr(found, name) for name in names}
    return {"kind": UncertaintyKind.EXPECTED_ERROR.name.lower(), **signal_figures(found.signals[MODELS]), **own}
