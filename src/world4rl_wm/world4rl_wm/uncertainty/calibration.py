"""What the disagreement of world models means in real error, measured on held-out episodes and kept as a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from world4rl_data.durable import replace_file
from world4rl_data.store import EpisodeStore
from world4rl_wm.checkpoint_identity import learned_from, weights_digest
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.uncertainty.ensemble import Ensemble
from world4rl_wm.uncertainty.kind import UncertaintyMap
from world4rl_wm.uncertainty.quality import SignalQuality, auroc, measure
from world4rl_wm.uncertainty.replay import ReplayedErrors, replayed_errors

UNCERTAINTY = "uncertainty.json"
MODELS, NOISE = "models", "noise"
MEND = "run `world4rl calibrate-uncertainty` for this world model"


class UncertaintyError(RuntimeError):
    """There is no usable calibration; the message says how to get one."""


@dataclass(frozen=True)
class CalibrationConfig:
    """How the meaning of disagreement is found.

    A share `held_out` of the episodes does not take part in fitting the maps of `bins` points; on it their quality is
    measured. A frame counts as wrong when its error is among the worst of the fitted ones, from `wrong_quantile` on.
    `noise_dreams` dreams of the world model itself from other noise measure whether noise tells anything; 0: not asked.
    Nor is a world model that repeats itself: they would be copies.
    """

    held_out: float = 0.5
    bins: int = 20
    wrong_quantile: float = 0.75
    noise_dreams: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1 or not 0 < self.wrong_quantile < 1:
            raise ValueError("held_out and wrong_quantile must lie between 0 and 1")
        if self.bins < 2 or self.noise_dreams < 0:
            raise ValueError("bins must be at least 2, noise_dreams at least 0")


@dataclass(frozen=True)
class UncertaintyCalibration:
    """Quality and map by signal: `MODELS`, the disagreement with `others`, and `NOISE`; and on what they rest.

    `weights` and `others` are digests of the dreaming world model and of those that dream along; `auroc_of_step` is
    what the step's number alone reaches.
    """

    weights: str
    others: tuple[str, ...]
    signals: dict[str, SignalQuality]
    wrong_from: float
    auroc_of_step: float
    fitted_episodes: int
    held_out_episodes: int
    store: str
    store_hash: str
    trained_on_store: bool
    config: CalibrationConfig

    def save(self, checkpoint: Path) -> Path:
        """Write `uncertainty.json` into the dreaming world model's folder, as a whole or not at all."""
        values = asdict(self) | {"signals": {name: quality.to_dict() for name, quality in self.signals.items()}}
        return replace_file(checkpoint / UNCERTAINTY, json.dumps(values, indent=2) + "\n")

    @classmethod
    def load(cls, checkpoint: Path) -> UncertaintyCalibration:
        """Read a world model's `uncertainty.json`.

        Raises:
            UncertaintyError: there is none, it is damaged, or it was made for other weights.
        """
        path = checkpoint / UNCERTAINTY
        if not path.is_file():
            raise UncertaintyError(f"{checkpoint} has no {UNCERTAINTY}: {MEND}")
        try:
            values: dict[str, Any] = json.loads(path.read_text())
            known = {name: values[name] for name in cls.__dataclass_fields__}
            known["signals"] = {name: SignalQuality.from_dict(part) for name, part in values["signals"].items()}
            found = cls(**known | {"others": tuple(values["others"]), "config": CalibrationConfig(**values["config"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UncertaintyError(f"{path} is damaged ({type(error).__name__}: {error}): {MEND}") from error
        if found.weights != weights_digest(checkpoint):
            raise UncertaintyError(f"{path} was made for other weights: {MEND}")
        return found


def calibrate(
    model: WorldModel,
    checkpoint: Path,
    others: Sequence[tuple[WorldModel, Path]],
    store: EpisodeStore,
    episodes: Sequence[int],
    config: CalibrationConfig = CalibrationConfig(),
    watch: Callable[[int], object] = lambda done: None,
) -> tuple[UncertaintyCalibration, ReplayedErrors]:
    """Dream `episodes` again, fit on some of them, measure on the others; also returns what the others gave.

    Args:
        checkpoint: the folder that `model` is of; `others` come with theirs.
        episodes: best such that none of the models has learned from.
        watch: called with the number of episodes looked at so far.

    Raises:
        ContractMismatch: the store has another contract than the world model.
        UncertaintyError: nothing to measure, or too few episodes for it.
    """
    model.contract.require_same(store.contract, f"store {store.path}")
    signals = {MODELS: Ensemble(tuple(other for other, _ in others))} if others else {}
    if config.noise_dreams and not model.repeats_itself:
        signals[NOISE] = Ensemble(noise_dreams=config.noise_dreams)
    if not signals:
        raise UncertaintyError(
            "nothing to measure: give another world model, or noise dreams of one that samples from noise"
        )
    if len(episodes) < 2:
        raise UncertaintyError(f"{store.path}: {len(episodes)} episodes chosen, at least 2 are needed; 50 tell more")
    order = np.random.default_rng(config.seed).permutation(np.asarray(episodes)).tolist()
    kept = min(max(1, round(len(order) * config.held_out)), len(order) - 1)
    found = replayed_errors(model, signals, store, order, config.seed, watch=watch)
    held_out, fitted = found[:kept], found[kept:]
    wrong_from = float(np.quantile(fitted.error[fitted.inside], config.wrong_quantile))
    qualities = {}
    for name in signals:
        shape = UncertaintyMap.fit(fitted.disagreement[name][fitted.inside], fitted.error[fitted.inside], config.bins)
        try:
            qualities[name] = measure(held_out, name, shape, wrong_from, config.seed)
        except ValueError as error:
            raise UncertaintyError(f"{store.path}: {error}") from error
    steps = np.broadcast_to(np.arange(held_out.error.shape[1]), held_out.error.shape)[held_out.inside]
    paths = [checkpoint, *(path for _, path in others)]
    calibration = UncertaintyCalibration(
        weights=weights_digest(checkpoint),
        others=tuple(sorted(weights_digest(path) for _, path in others)),
        signals=qualities,
        wrong_from=wrong_from,
        auroc_of_step=auroc(steps, held_out.error[held_out.inside] >= wrong_from),
        fitted_episodes=len(order) - kept,
        held_out_episodes=kept,
        store=str(store.path),
        store_hash=store.content_hash,
        trained_on_store=any(learned_from(path, store, episodes) for path in paths),
        config=config,
    )
    return calibration, held_out
