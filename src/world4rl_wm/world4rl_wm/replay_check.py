"""The replay check: do fresh real action sequences come out in the dream as they came out in reality?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.stats import beta
from torch import Tensor
from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore

from world4rl_wm.dream import Dream
from world4rl_wm.frames import StartStates, to_uint8
from world4rl_wm.reward import RewardModel
from world4rl_wm.world_model import WorldModel

Verdict = Literal["refine", "refine_cautiously", "keep"]


@dataclass(frozen=True)
class ReplayCheckConfig:
    """Limits on J = TPR - FPR, and the fewest episodes of each outcome to decide on."""

    refine_from: float = 0.8
    cautious_from: float = 0.5
    min_episodes: int = 10
    confidence: float = 0.95


@dataclass(frozen=True)
class ReplayCheck:
    """Outcome of the check. `tpr_low` and `fpr_high` are one-sided bounds at the configured confidence."""

    tpr: float
    fpr: float
    tpr_low: float
    fpr_high: float
    j: float
    successes: int
    failures: int
    verdict: Verdict
    reason: str

    @property
    def passed(self) -> bool:
        return self.verdict != "keep"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"passed": self.passed, "episodes": self.successes + self.failures}


@dataclass(frozen=True)
class Replay:
    """Real episodes dreamed again from their first frame with their own actions.

    `frames` uint8 ``(E, T + 1, C, H, W)``; `probability` ``(E, T + 1)``, 0 at the first frame, which is real;
    `real_success` and `dreamed_success` bool ``(E,)``; `lengths` ``(E,)``.
    """

    frames: Tensor
    probability: Tensor
    real_success: Tensor
    dreamed_success: Tensor
    lengths: Tensor


def longest_streak(hits: Tensor) -> Tensor:
    """Longest run of True along the last axis of ``(E, T)``."""
    best = streak = torch.zeros(len(hits), dtype=torch.long)
    for column in hits.T:
        streak = torch.where(column, streak + 1, torch.zeros_like(streak))
        best = torch.maximum(best, streak)
    return best


@torch.no_grad()
def replay(
    world_model: WorldModel,
    reward_models: list[RewardModel],
    store: EpisodeStore,
    episodes: Sequence[int],
    hits: int = 2,
    seed: int = 0,
    batch: int = 64,
) -> Replay:
    """Dream the episodes again, open loop, and judge the dreams with the reward models (all must agree)."""
    lengths = torch.tensor([store.infos[e].length for e in episodes])
    longest = int(lengths.max())
    starts = StartStates.of(store, episodes)
    actions = torch.zeros(len(episodes), longest, store.contract.action_dim)
    for row, episode in enumerate(episodes):
        actions[row, : lengths[row]] = torch.from_numpy(np.array(store.actions(episode)))
    frames, probabilities = [starts.frames], [torch.zeros(len(episodes))]
    dreams = [Dream.from_start(world_model, part, seed + i) for i, part in enumerate(starts.split(batch))]
    for step in range(longest):
        parts = actions[:, step].split(batch)
        following = torch.cat([dream.step(part) for dream, part in zip(dreams, parts, strict=True)])
        frames.append(to_uint8(following))
        odds = torch.stack([model.probability(following) - model.threshold for model in reward_models]).min(0).values
        probabilities.append(odds + reward_models[0].threshold)
    probability = torch.stack(probabilities, 1)
    inside = torch.arange(longest + 1) <= lengths.unsqueeze(1)
    verdict = longest_streak((probability > reward_models[0].threshold) & inside) >= hits
    truth = torch.tensor([store.infos[e].outcome == Outcome.SUCCESS for e in episodes])
    return Replay(torch.stack(frames, 1), probability, truth, verdict, lengths)


def judge(real: Tensor, dreamed: Tensor, config: ReplayCheckConfig = ReplayCheckConfig()) -> ReplayCheck:
    """Rates with exact (Clopper-Pearson) one-sided bounds and the verdict on whether to refine."""
    successes, failures = int(real.sum()), int((~real).sum())
    true_positive, false_positive = int((real & dreamed).sum()), int((~real & dreamed).sum())
    tpr = true_positive / successes if successes else 0.0
    fpr = false_positive / failures if failures else 1.0
    miss = 1 - config.confidence
    tpr_low = float(beta.ppf(miss, true_positive, successes - true_positive + 1)) if true_positive else 0.0
    certain = false_positive >= failures
    fpr_high = 1.0 if certain else float(beta.ppf(config.confidence, false_positive + 1, failures - false_positive))
    j = tpr - fpr
    verdict: Verdict
    if min(successes, failures) < config.min_episodes:
        verdict = "keep"
        reason = (
            f"undecided: {successes} successes and {failures} failures, {config.min_episodes} of each are needed. "
            "Collect more episodes of the start policy."
        )
    elif j >= config.refine_from:
        verdict, reason = "refine", f"J = {j:.2f}: the dream tells success from failure"
    elif j >= config.cautious_from:
        verdict, reason = "refine_cautiously", f"J = {j:.2f} is below {config.refine_from}: small steps, strong BC term"
    else:
        verdict = "keep"
        reason = (
            f"J = {j:.2f} is below {config.cautious_from}: the dream cannot tell success from failure. Collect more "
            "episodes (near misses above all) and train the world model longer."
        )
    return ReplayCheck(tpr, fpr, tpr_low, fpr_high, j, successes, failures, verdict, reason)
