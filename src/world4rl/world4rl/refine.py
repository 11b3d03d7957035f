"""Refinement: PPO in imagination, its checkpoint chosen by models that it was never optimised against."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from tqdm import tqdm

from world4rl.dreamed import Dreamer, dreamed_success
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import Demonstrations
from world4rl_policy.ppo import Ppo, PpoConfig, start_kl
from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.measures.replay_check import ReplayCheck
from world4rl_wm.model.frames import StartStates
from world4rl_wm.training.memory import keep_freed_memory
from world4rl_wm.training.metrics_log import MetricsLog
from world4rl_wm.uncertainty.ensemble import Ensemble


@dataclass(frozen=True)
class Selection:
    """How the checkpoint is chosen: every `every` iterations `episodes` dreams of the judge, from its own start frames.

    A checkpoint must beat the start policy there by `margin` and stay within `max_start_kl` of it; otherwise the start
    policy is kept. `by` the `dream` that it practises in instead, or the `last` one whatever anybody says, is for
    finding out what the judge is good for.
    """

    by: Literal["judge", "dream", "last"] = "judge"
    every: int = 10
    episodes: int = 128
    margin: float = 0.02
    max_start_kl: float = 5.0


@dataclass(frozen=True)
class Caution:
    """Factors on PPO's policy learning rate and BC term where the replay check asks for caution."""

    learning_rate: float = 0.5
    bc_coefficient: float = 2.0


@dataclass(frozen=True)
class RefineConfig:
    """All settings of a refinement. `verified_success`: the judge's reward model must agree in the dream."""

    ppo: PpoConfig = field(default_factory=PpoConfig)
    imagination: ImaginationConfig = field(default_factory=ImaginationConfig)
    selection: Selection = field(default_factory=Selection)
    caution: Caution = field(default_factory=Caution)
    verified_success: bool = False


@dataclass(frozen=True)
class Refinement:
    """What came out: which iteration was kept (0: the start policy), and how it did in the judge's dreams."""

    policy: GaussianPolicy
    iteration: int
    imagined_start: float
    imagined_refined: float
    judged_start: float
    judged_refined: float
    start_kl: float
    reason: str

    def to_dict(self) -> dict[str, Any]:
        values = {k: v for k, v in vars(self).items() if k != "policy"}
        return values | {"kept_start_policy": self.iteration == 0}


def kept_checkpoint(out: Path, iteration: int) -> Path:
    """Where the refinement in `out` keeps the policy of an iteration that the judge has seen."""
    return out / "checkpoints" / f"iteration-{iteration:04d}"


def kept_checkpoints(out: Path) -> dict[int, Path]:
    """All that the refinement in `out` has kept, by iteration."""
    return {int(path.name.removeprefix("iteration-")): path for path in sorted(out.glob("checkpoints/iteration-????"))}


def with_horizon(config: RefineConfig, steps: int) -> RefineConfig:
    """Dreams as long as the longest real episode."""
    return replace(
        config, ppo=replace(config.ppo, horizon=steps), imagination=replace(config.imagination, horizon=steps)
    )


def cautious(config: RefineConfig) -> RefineConfig:
    """Smaller steps and a stronger BC term, for a dream that is only half true."""
    ppo = replace(
        config.ppo,
        policy_learning_rate=config.ppo.policy_learning_rate * config.caution.learning_rate,
        bc_coefficient=config.ppo.bc_coefficient * config.caution.bc_coefficient,
    )
    return replace(config, ppo=ppo)


def practice_env(dream: Dreamer, judge: Dreamer, starts: StartStates, config: RefineConfig) -> ImaginationEnv:
    """The dream to practise in. Where its settings ask for a second opinion, the judge's models give it."""
    readers = [dream.reward_model, judge.reward_model] if config.verified_success else [dream.reward_model]
    beside = Ensemble((judge.world_model,)) if config.imagination.needs_uncertainty else None
    return ImaginationEnv([dream.world_model], readers, starts, config.imagination, beside)


def refine(
    start: GaussianPolicy,
    check: ReplayCheck,
    dream: Dreamer,
    judge: Dreamer,
    starts: StartStates,
    judge_starts: StartStates,
    successes: tuple[EpisodeStore, Sequence[int]],
    out: Path,
    config: RefineConfig = RefineConfig(),
    seed: int = 0,
    progress: bool = True,
) -> Refinement:
    """Refine `start` in `dream` as far as `judge` confirms it.

    Args:
        check: the replay check of `dream`; where it refuses, the start policy is kept.
        starts, judge_starts: where dreams begin; disjoint.
        successes: real successful episodes for the BC term.
        out: folder for metrics.jsonl, and for the policies that the judge has seen.
    """
    keep_freed_memory()
    shutil.rmtree(out / "checkpoints", ignore_errors=True)  # of an interrupted attempt
    log = MetricsLog(out / "metrics.jsonl", step=-1)
    judge_starts = judge_starts[: config.selection.episodes]
    imagined_start = dreamed_success(start, dream, starts[: config.selection.episodes], config.imagination)
    judged_start = dreamed_success(start, judge, judge_starts, config.imagination)
    log.write(iteration=0, judged_success=judged_start, start_kl=0.0, imagined_mean_success=imagined_start)
    kept = Refinement(start, 0, imagined_start, imagined_start, judged_start, judged_start, 0.0, check.reason)
    if not check.passed:
        return kept
    if check.verdict == "refine_cautiously":
        config = cautious(config)
    policy = copy.deepcopy(start).requires_grad_(True)
    env = practice_env(dream, judge, starts, config)
    generator = torch.Generator().manual_seed(seed + 1)
    demonstrations = Demonstrations(*successes, policy.history)
    ppo = Ppo(policy, env, config.ppo, lambda size: demonstrations.sample(size, generator), seed)
    reference, _ = demonstrations.sample(256, torch.Generator().manual_seed(seed))
    best = kept
    choice = config.selection
    threshold = (imagined_start if choice.by == "dream" else judged_start) + choice.margin
    reason = f"no checkpoint was better than the start policy in the {choice.by}'s dreams"
    bar = tqdm(range(config.ppo.iterations), desc="PPO in imagination", unit="iteration", disable=not progress)
    for iteration in bar:
        row = ppo.iterate()
        if (iteration + 1) % choice.every == 0:
            kl = start_kl(policy, start, reference, config.ppo.std)
            judged = dreamed_success(policy, judge, judge_starts, config.imagination)
            policy.save(kept_checkpoint(out, iteration + 1), metrics={"judged_success": judged}, seed=seed)
            row |= {"judged_success": judged, "start_kl": kl}
            if kl > choice.max_start_kl:
                log.write(**row)
                reason = f"stopped: the policy has gone too far from the start (KL {kl:.2f})"
                break
            seen = judged
            if choice.by == "dream":
                seen = dreamed_success(policy, dream, starts[: choice.episodes], config.imagination)
            if seen >= threshold or choice.by == "last":
                threshold = seen + 1e-9
                imagined = dreamed_success(policy, dream, starts[: choice.episodes], config.imagination)
                chosen = copy.deepcopy(policy).eval().requires_grad_(False)
                chosen_reason = "the last one" if choice.by == "last" else f"best in the {choice.by}'s dreams"
                best = Refinement(
                    chosen, iteration + 1, imagined_start, imagined, judged_start, judged, kl, chosen_reason
                )
        log.write(**row)
        bar.set_postfix(imagined=f"{row['imagined_success']:.2f}", judged=f"{best.judged_refined:.2f}")
    bar.close()
    return best if best.iteration else replace(best, reason=reason)


def save_refinement(result: Refinement, out: Path, config: RefineConfig, seed: int) -> Path:
    """Write the chosen policy as a checkpoint folder that tells how it was made."""
    metrics = result.to_dict() | {"config": json.loads(json.dumps(asdict(config)))}
    return result.policy.save(out, metrics=metrics, seed=seed)
