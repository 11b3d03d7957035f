"""Finds the limit of surprise on normal episodes, and how often it would have been a false alarm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from world4rl_data.store import EpisodeStore
from world4rl_policy.surprise import episode_surprise, parts_of, trigger_level
from world4rl_policy.trust_limit import TrustError, TrustLimit
from world4rl_policy.trust_monitor import TrustMonitor
from world4rl_wm.checkpoint_identity import learned_from, weights_digest
from world4rl_wm.model.world_model import WorldModel

SCALE_QUANTILE = 0.99  # of a part's surprise over all calibration steps: what counts as 1
BISECTIONS = 5


@dataclass(frozen=True)
class Calibration:
    """How the limit is found.

    The limit is the lowest with which the monitor lets a share `quantile` of the episodes pass (it stops one when
    `steps` steps in a row lie above), times `margin`. A share `held_out` of the episodes does not take part; on it the
    rate of false alarms is measured.
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


def calibrate(
    model: WorldModel,
    checkpoint: Path,
    store: EpisodeStore,
    episodes: Sequence[int],
    config: Calibration = Calibration(),
    watch: Callable[[int], object] = lambda done: None,
) -> TrustLimit:
    """Find the limit on some of `episodes` and count the false alarms on the others.

    Args:
        checkpoint: the folder that `model` is of.
        episodes: normal ones, best such that the world model has not learned from.
        watch: called with the number of episodes looked at so far.

    Raises:
        ContractMismatch: the store has another contract than the world model.
        TrustError: fewer than two episodes are as long as `config.steps`.
        ValueError: episodes of a task that a world model of several tasks has not learned.
    """
    from world4rl_policy.statistics import wilson_interval  # scipy takes a while to import

    model.contract.require_same(store.contract, f"store {store.path}")
    usable = [e for e in episodes if store.infos[e].length >= config.steps]
    if len(usable) < 2:
        raise TrustError(f"{len(usable)} of {len(episodes)} episodes have {config.steps} steps, at least 2 must")
    order = [int(e) for e in np.random.default_rng(config.seed).permutation(usable)]
    kept = min(max(1, round(len(order) * config.held_out)), len(order) - 1)
    surprises = []
    for done, episode in enumerate(order[kept:], 1):
        surprises.append(episode_surprise(model, store, episode))
        watch(done)
    scales = np.maximum(np.quantile(np.concatenate(surprises), SCALE_QUANTILE, axis=0), 1e-6)
    limit = TrustLimit(
        scales=dict(zip(parts_of(model.contract), scales.tolist(), strict=True)),
        limit=1.0,
        steps=config.steps,
        weights=weights_digest(checkpoint),
        calibration_episodes=len(surprises),
        held_out_episodes=kept,
        false_alarms=0,
        false_alarm_ci95=(0.0, 1.0),
        store=str(store.path),
        store_hash=store.content_hash,
        trained_on_store=learned_from(checkpoint, store, order) > 0,
        calibration=asdict(config),
    )
    scores = {episode: (s / scales).max(1) for episode, s in zip(order[kept:], surprises, strict=True)}
    lowest = _lowest_limit(model, limit, store, scores, config)
    limit = replace(limit, limit=config.margin * lowest)
    alarms = 0
    for done, episode in enumerate(order[:kept], len(surprises) + 1):
        alarms += raises_alarm(model, limit, store, episode)
        watch(done)
    return replace(limit, false_alarms=alarms, false_alarm_ci95=wilson_interval(alarms, kept))


def _lowest_limit(
    model: WorldModel, limit: TrustLimit, store: EpisodeStore, scores: dict[int, np.ndarray], config: Calibration
) -> float:
    """By bisection between the level of streaks in the true past, which disbelief can only lengthen, and of maxima."""
    allowed = (1 - config.quantile) * len(scores)
    streaks, maxima = ([trigger_level(s, steps) for s in scores.values()] for steps in (config.steps, 1))
    low, high = (float(np.quantile(levels, config.quantile, method="higher")) for levels in (streaks, maxima))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        alarms = sum(raises_alarm(model, limit, store, e, middle) for e, s in scores.items() if s.max() > middle)
        low, high = (low, middle) if alarms <= allowed else (middle, high)
    return high


def raises_alarm(
    model: WorldModel, limit: TrustLimit, store: EpisodeStore, episode: int, threshold: float = 0.0
) -> bool:
    """Whether a monitor that watches a stored episode as it would a live one of its task stops it."""
    monitor = TrustMonitor(model, limit, threshold, task=store.infos[episode].task)
    made, period_ns = store.episode(episode), int(store.contract.period_s * 1e9)
    frames = store.frames(episode)
    for step in range(len(made) + 1):  # stored stamps may jitter: by its number each step is a period from the last
        monitor.saw(step * period_ns, frames[step], made.proprio[step])
        if monitor.check():
            return True
        if step < len(made):
            monitor.executed(step * period_ns, made.actions[step])
    return False
