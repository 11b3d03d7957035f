"""The ablations' rows: the settings that each puts on top of a run's, and which models it trains anew for them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from world4rl.runs.dreamers import DREAMERS
from world4rl.runs.run_folder import Run
from world4rl_wm.uncertainty.calibration import MODELS as DISAGREEMENT
from world4rl_wm.uncertainty.calibration import UNCERTAINTY

LIMITS = ("refine_from=-1", "cautious_from=-1", "precision_from=0", "min_episodes=0")
NO_RANDOM = "collect.random_episodes=0"
NO_POLICY = ("collect.policy_episodes=0", "collect.scout_episodes=0")
NO_CHECK = tuple(f"replay_check.limits.{limit}" for limit in LIMITS)
ROWS: dict[str, tuple[str, ...]] = {
    "the whole recipe": (),
    "last checkpoint, whatever the judge says": ("selection.by=last", "selection.max_start_kl=1.0e9"),
    "checkpoint by the dream itself": ("selection.by=dream",),
    "success verified by the judge's reward model": ("verified_success=true",),
    "dreams end where the world models disagree": ("imagination.max_uncertainty={limit}",),
    "disagreement has a price": ("imagination.uncertainty_penalty={penalty}",),
    "progress is rewarded": ("imagination.progress_reward=0.3",),
    "starts at key frames too": ("imagination.key_frames=0.3",),
    "anchor to filtered BC": ("ppo.kl_coefficient=0.05",),
    "its own verified dreams are imitated too": ("ppo.imagined_bc=0.5",),
    "one hit is a success": ("imagination.hits=1",),
    "success by a calibrated threshold": ("reward.calibration.threshold=calibrated", "reward.calibration.episodes=0.2"),
    "no BC term": ("ppo.bc_coefficient=0",),
    "no KL stop": ("ppo.target_kl=1.0e9",),
    "no value warm-up": ("ppo.value_warm_up=0",),
    "no moving average": ("ppo.ema_decay=0",),
    "std e^0, the paper's bound": ("ppo.std=1.0",),
    "std learned, e^0 at most": ("ppo.learn_std=true",),
    "no BC on dreams": ("dream_bc.steps=0",),
    "no replay check": NO_CHECK,
    "no dreams for the reward models": ("reward.learn_dreams=false",),
    "no random motion for the world models": (NO_RANDOM,),
    "no policy episodes for the world models": NO_POLICY,
    "none of these": (
        *("selection.by=last", "selection.max_start_kl=1.0e9", "imagination.hits=1"),
        *("dream_bc.steps=0", "ppo.bc_coefficient=0", "ppo.target_kl=1.0e9", "ppo.value_warm_up=0", "ppo.ema_decay=0"),
        *NO_CHECK,
    ),
}
"""Names and their settings; {limit} and {penalty} are the run's own, see `uncertainty_values`."""
REWARD_MODELS = tuple(f"reward_{name}" for name in DREAMERS)
MODELS = (*(f"world_model_{name}" for name in DREAMERS), *REWARD_MODELS)
PENALTY = 0.1
"""Reward that a dream at the limit of uncertainty costs a step."""


def settings_of(run: Run, row: str) -> list[str]:
    """The settings that a row puts on top of the run's.

    Raises:
        ValueError: as `uncertainty_values`, where the row needs them.
    """
    told = uncertainty_values(run) if any("{" in text for text in ROWS[row]) else {}
    return [text.format(**told) for text in ROWS[row]]


def uncertainty_values(run: Run) -> dict[str, float]:
    """A limit that about one frame in twenty of the run's fresh episodes passes, and the price of a unit below it.

    Raises:
        ValueError: the run's world models have not been calibrated against each other.
    """
    file = run.checkpoint("world_model_a") / UNCERTAINTY
    signals = json.loads(file.read_text())["signals"] if file.is_file() else {}
    if DISAGREEMENT not in signals:
        raise ValueError(
            "its world models' uncertainty is not calibrated: "
            f"`world4rl calibrate-uncertainty --run {run.path}` does it"
        )
    middles = signals[DISAGREEMENT]["map"]["disagreement"]  # of bins that are equally full
    limit = float(np.interp(0.95, (np.arange(len(middles)) + 0.5) / len(middles), middles))
    return {"limit": limit, "penalty": PENALTY / limit}


def unseen_sources(settings: Sequence[str]) -> set[str]:
    """Whose practice episodes the models do not learn from under these settings; where any, all of them learn anew."""
    policy = {"policy"} if set(NO_POLICY) <= set(settings) else set()
    return policy | ({"random"} if NO_RANDOM in settings else set())


def trained_anew(settings: Sequence[str]) -> tuple[str, ...]:
    """Which of `MODELS` these settings make others of; a row trains them, and takes the rest from its run."""
    if unseen_sources(settings):
        return MODELS
    return REWARD_MODELS if any(text.startswith("reward.") for text in settings) else ()
