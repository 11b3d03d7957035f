"""Settings of a refinement, the dream that they make, and what is kept of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from world4rl.refinement.checkpoint_choice import Refinement, Selection
from world4rl.refinement.dream_bc import DreamBcConfig
from world4rl.refinement.dreamed import Dreamer
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.ppo_config import PpoConfig
from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.model.frames import StartStates
from world4rl_wm.training.share import Share
from world4rl_wm.uncertainty.ensemble import Ensemble


@dataclass(frozen=True)
class Caution:
    """Factors on PPO's policy learning rate and BC term where the replay check asks for caution."""

    learning_rate: float = 0.5
    bc_coefficient: float = 2.0


@dataclass(frozen=True)
class RefineConfig:
    """All settings of a refinement. `verified_success`: the judge's reward model must agree in the dream; `dream_bc`:
    how the start policy is made (`world4rl.refinement.dream_bc`)."""

    ppo: PpoConfig = field(default_factory=PpoConfig)
    imagination: ImaginationConfig = field(default_factory=ImaginationConfig)
    selection: Selection = field(default_factory=Selection)
    caution: Caution = field(default_factory=Caution)
    verified_success: bool = False
    dream_bc: DreamBcConfig = field(default_factory=DreamBcConfig)


def with_horizon(config: RefineConfig, real: EpisodeStore) -> RefineConfig:
    """A dream has as long for its success as the real episodes had: the longest failure, or the latest success."""
    steps = max(info.length if info.success_index is None else info.success_index for info in real.infos)
    imagination = replace(config.imagination, horizon=max(1, steps))
    return replace(config, ppo=replace(config.ppo, horizon=imagination.max_steps), imagination=imagination)


def cautious(config: RefineConfig) -> RefineConfig:
    """Smaller steps and a stronger BC term, for a dream that is only half true."""
    ppo = replace(
        config.ppo,
        policy_learning_rate=config.ppo.policy_learning_rate * config.caution.learning_rate,
        bc_coefficient=config.ppo.bc_coefficient * config.caution.bc_coefficient,
    )
    return replace(config, ppo=ppo)


def practice_env(
    policy: GaussianPolicy,
    dream: Dreamer,
    judge: Dreamer,
    starts: StartStates,
    config: RefineConfig,
    share: Share = Share(),  # noqa: B008 (frozen)
) -> ImaginationEnv:
    """The dream for the policy to practise in, which shows it what it looks back on. Where the settings ask for a
    second opinion, the judge's models give it: on what counts as a success, or only on which successes are imitated."""
    readers = [dream.reward_model, judge.reward_model] if config.verified_success else [dream.reward_model]
    beside = Ensemble((judge.world_model,)) if config.imagination.needs_uncertainty else None
    witness = judge.reward_model if config.ppo.imagined_bc else None
    imagination = replace(config.imagination, observed_frames=policy.history)
    return ImaginationEnv([dream.world_model], readers, starts, imagination, beside, share, witness)


def save_refinement(result: Refinement, out: Path, seed: int) -> Path:
    """Write the chosen policy as a checkpoint folder that tells how it was made."""
    metrics = result.to_dict() | {"config": json.loads(json.dumps(result.config))}
    return result.policy.save(out, metrics=metrics, seed=seed)
