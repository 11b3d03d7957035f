"""The limit of surprise above which a policy is not trusted: calibrated on episodes, kept beside the world model."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from world4rl_data.store import EpisodeStore
from world4rl_policy.surprise import episode_surprise, parts_of, trigger_level
from world4rl_wm.checkpoint import WEIGHTS
from world4rl_wm.world_model import WorldModel

TRUST = "trust.json"
SCALE_QUANTILE = 0.99  # of a part's surprise over all calibration steps: what counts as 1


class TrustError(RuntimeError):
    """There is no usable limit; the message says how to get one."""


@dataclass(frozen=True)
class Calibration:
    """How the limit is found.

    The score of a step is its largest surprise in units of each part's scale. The limit is the `quantile` over episodes
    of the level that `steps` steps in a row stay above, times `margin`. A share `held_out` of the episodes does not
    take part; on it the rate of false alarms is measured.
    """

    quantile: float = 0.99
    steps: int = 3
    margin: float = 1.2
    held_out: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.quantile <= 1 or not 0 < self.held_out < 1:
            raise ValueError("quantile must lie above 0 and up to 1, held_out between 0 and 1")
        if self.steps < 1 or not self.margin > 0:
            raise ValueError("steps must be at least 1, margin above 0")


@dataclass(frozen=True)
class TrustLimit:
    """Scales of the parts, the limit of the score, for how many steps; and on what it rests."""

    scales: dict[str, float]
    limit: float
    steps: int
    weights: str  # digest of the world model that it holds for
    calibration_episodes: int
    held_out_episodes: int
    false_alarms: int  # of the held-out episodes
    false_alarm_ci95: tuple[float, float]
    store: str = ""
    store_hash: str = ""
    trained_on_store: bool = False
    calibration: dict[str, Any] | None = None

    def save(self, checkpoint: Path) -> Path:
        """Write `trust.json` into the world model's folder, as a whole or not at all."""
        path = checkpoint / TRUST
        temporary = checkpoint / f".{TRUST}.{os.getpid()}"
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")
        temporary.replace(path)
        return path

    @classmethod
    def load(cls, checkpoint: Path, model: WorldModel) -> TrustLimit:
        """Read a world model's `trust.json`.

        Raises:
            TrustError: there is none, it is damaged, or it was made for other weights.
        """
        path, mend = checkpoint / TRUST, "run `world4rl calibrate-trust` for this world model"
        if not path.is_file():
            raise TrustError(f"{checkpoint} has no {TRUST}: {mend}")
        try:
            values = json.loads(path.read_text())
            limit = cls(**{f.name: values[f.name] for f in fields(cls)})
            numbers = [limit.limit, limit.steps, *limit.scales.values()]
            good = all(math.isfinite(n) and n > 0 for n in numbers) and set(limit.scales) == set(
                parts_of(model.contract)
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrustError(f"{path} is damaged ({type(error).__name__}: {error}): {mend}") from error
        if not good:
            raise TrustError(f"{path} does not fit its world model ({limit.scales}, limit {limit.limit}): {mend}")
        if limit.weights != digest(checkpoint):
            raise TrustError(f"{path} was made for other weights: {mend}")
        return limit


def digest(checkpoint: Path) -> str:
    """16 hex digits that change with a checkpoint's weights."""
    return hashlib.sha256((checkpoint / WEIGHTS).read_bytes()).hexdigest()[:16]


def score(surprises: np.ndarray, scales: Sequence[float] | np.ndarray) -> np.ndarray:
    """``(..., parts)`` to ``(...)``: the largest surprise in units of its scale."""
    return (surprises / np.asarray(scales)).max(-1)


def calibrate(
    model: WorldModel,
    checkpoint: Path,
    store: EpisodeStore,
    episodes: Sequence[int],
    config: Calibration = Calibration(),
    watch: Callable[[int], None] = lambda done: None,
) -> TrustLimit:
    """Find the limit on some of `episodes` and count the false alarms on the others.

    Args:
        checkpoint: the folder that `model` is of.
        episodes: normal ones, best such that the world model has not learned from.
        watch: called with the number of episodes looked at so far.

    Raises:
        ContractMismatch: the store has another contract than the world model.
        TrustError: fewer than two episodes are as long as `config.steps`.
    """
    from world4rl_policy.statistics import wilson_interval

    model.contract.require_same(store.contract, f"store {store.path}")
    usable = [e for e in episodes if store.infos[e].length >= config.steps]
    if len(usable) < 2:
        raise TrustError(f"{len(usable)} of {len(episodes)} episodes have {config.steps} steps, at least 2 must")
    order = np.random.default_rng(config.seed).permutation(usable)
    surprises = []
    for done, episode in enumerate(order, 1):
        surprises.append(episode_surprise(model, store, int(episode)))
        watch(done)
    kept = min(max(1, round(len(order) * config.held_out)), len(order) - 1)
    held_out, used = surprises[:kept], surprises[kept:]
    scales = np.maximum(np.quantile(np.concatenate(used), SCALE_QUANTILE, axis=0), 1e-6)
    levels = [trigger_level(score(s, scales), config.steps) for s in used]
    limit = config.margin * float(np.quantile(levels, config.quantile, method="higher"))
    alarms = sum(trigger_level(score(s, scales), config.steps) > limit for s in held_out)
    return TrustLimit(
        scales=dict(zip(parts_of(model.contract), scales.tolist(), strict=True)),
        limit=limit,
        steps=config.steps,
        weights=digest(checkpoint),
        calibration_episodes=len(used),
        held_out_episodes=kept,
        false_alarms=int(alarms),
        false_alarm_ci95=wilson_interval(int(alarms), kept),
        store=str(store.path),
        store_hash=store.content_hash,
        trained_on_store=_trained_on(checkpoint, store.content_hash),
        calibration=asdict(config),
    )


def _trained_on(checkpoint: Path, content_hash: str) -> bool:
    from world4rl_wm.checkpoint import PROVENANCE

    path = checkpoint / PROVENANCE
    data = json.loads(path.read_text()).get("data", {}) if path.is_file() else {}
    return content_hash in data.values()
