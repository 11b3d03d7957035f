"""From checkpoint folders to an ensemble, with what was measured about it, and a sentence on what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from world4rl_wm.checkpoint import CheckpointError
from world4rl_wm.checkpoint_identity import weights_digest
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.uncertainty.calibration import MODELS, NOISE, UNCERTAINTY, UncertaintyCalibration, UncertaintyError
from world4rl_wm.uncertainty.ensemble import Ensemble
from world4rl_wm.uncertainty.kind import UncertaintyKind
from world4rl_wm.uncertainty.quality import USABLE_AUROC, SignalQuality


def load_others(model: WorldModel, folders: Sequence[Path]) -> list[tuple[WorldModel, Path]]:
    """World models that can dream along with `model`, on its device.

    Raises:
        CheckpointError, ContractMismatch: a folder is none, or does not fit; a folder given twice.
    """
    if len({weights_digest(folder) for folder in folders if folder.is_dir()}) < len(folders):
        raise CheckpointError(f"of {', '.join(map(str, folders))} two are the same or missing: give differing models")
    others = [(WorldModel.load(folder, model.device, model.contract), folder) for folder in folders]
    for other, folder in others:
        why = misfit(model, other)
        if why:
            raise CheckpointError(f"{folder} {why}: give models that were trained alike")
    return others


def misfit(model: WorldModel, other: WorldModel) -> str:
    """Why `other`, of the same contract, cannot dream along with `model`; empty where it can."""
    if other.history != model.history:
        return f"looks at {other.history} frames, the dreaming world model at {model.history}"
    if other.config.tasks != model.config.tasks:
        theirs, ours = (", ".join(m.config.tasks) or "none" for m in (other, model))
        return f"is told tasks ({theirs}) that are not those of the dreaming world model ({ours})"
    return ""


def ensemble_of(checkpoint: Path, others: Sequence[tuple[WorldModel, Path]] = ()) -> tuple[Ensemble, str]:
    """Who dreams along with the world model in `checkpoint`, calibrated where that was measured; and what it tells.

    Without others the model's own noise counts, where it was measured to predict the real error, and else nothing.
    """
    models = tuple(other for other, _ in others)
    uncalibrated = Ensemble(models)
    try:
        found = UncertaintyCalibration.load(checkpoint)
    except UncertaintyError as error:
        return uncalibrated, f"{uncalibrated.kind.value} ({error})" if models else uncalibrated.kind.value
    if models:
        if MODELS not in found.signals or found.others != tuple(sorted(weights_digest(path) for _, path in others)):
            return uncalibrated, f"{uncalibrated.kind.value} ({checkpoint / UNCERTAINTY} was made with other models)"
        quality = found.signals[MODELS]
        return Ensemble(models, calibration=quality.map), _told(quality)
    if NOISE not in found.signals:
        return uncalibrated, uncalibrated.kind.value
    quality = found.signals[NOISE]
    if not quality.usable:
        why = f"AUROC {quality.auroc:.2f} on held-out episodes, {USABLE_AUROC} needed"
        return uncalibrated, f"{UncertaintyKind.NONE.value}; its noise does not tell its errors: {why}"
    return Ensemble((), found.config.noise_dreams, quality.map), f"{_told(quality)}, from the noise alone"


def _told(quality: SignalQuality) -> str:
    low, high = quality.auroc_ci95
    caution = "" if quality.usable else "; it hardly tells wrong frames from right ones"
    return f"{UncertaintyKind.EXPECTED_ERROR.value}: AUROC {quality.auroc:.2f} [{low:.2f}, {high:.2f}]{caution}"
