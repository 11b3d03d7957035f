"""A refinement of the smallest size with everything switched on, and what it leaves to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from dream_rig import CONTRACT, policy, press_store, reward_model, world_model

from world4rl.refinement.checkpoint_choice import Refinement, Selection
from world4rl.refinement.dreamed import Dreamer
from world4rl.refinement.refine import RefineConfig
from world4rl.refinement.rehearsal import Rehearsal
from world4rl_data.store import EpisodeStore
from world4rl_policy.ppo_config import PpoConfig
from world4rl_wm.imagination.env import ImaginationConfig
from world4rl_wm.measures.replay_check import ReplayCheck
from world4rl_wm.model.frames import StartStates
from world4rl_wm.reward.model import RewardModel
from world4rl_wm.training.metrics_log import read_metrics

CHECK = ReplayCheck(1.0, 0.0, 0.9, 0.1, 1.0, 10, 10, "refine", "J = 1.00")
SECONDS = {"time", "dream_s", "learn_s", "judge_s"}
CONFIG = RefineConfig(
    PpoConfig(
        iterations=8,
        horizon=2,
        epochs=2,
        minibatch_size=3,
        value_warm_up=1,
        bc_batch_size=5,
        imagined_bc=0.4,
        kl_coefficient=0.1,
        learn_std=True,
        entropy_coefficient=0.01,
        normalise_value=True,
        ema_decay=0.5,
    ),
    ImaginationConfig(num_envs=4, horizon=2, hits=1, uncertainty_penalty=0.1),
    Selection(every=3, episodes=2, margin=-2.0),
)


def torn_reward_model(threshold: float = 0.49) -> RewardModel:
    """Untrained: it says about 1/2 of everything, and its threshold lies there: some dreams succeed, others fail."""
    model = reward_model()
    return RewardModel(replace(model.config, threshold=threshold), CONTRACT).eval()


def micro_store(folder: Path) -> EpisodeStore:
    return press_store(folder / "store", (3, 4), won=(0, 1))


def micro_refinement(
    folder: Path,
    config: RefineConfig = CONFIG,
    device: str = "cpu",
    seed: int = 3,
    judged_from: Sequence[int] = (0, 1),
) -> Refinement:
    """Refine the untrained policy in `folder`, which has the store of `micro_store`; the judge's dreams begin with the
    episodes `judged_from`."""
    torch.manual_seed(99)  # nothing may hang on where the process began
    store = EpisodeStore.open(folder / "store")
    starts, judge_starts = (StartStates.of(store, episodes) for episodes in ([0, 1], judged_from))
    dream, judge = (Dreamer(world_model(s).to(device), torn_reward_model(0.486).to(device)) for s in (0, 5))
    successes, out = (store, [0, 1]), folder / "out"
    rehearsal = Rehearsal(dream, judge, starts, judge_starts, successes, config, seed, False)
    return rehearsal.refine(rehearsal.seen(policy(), policy()), CHECK, out)


def curve(out: Path) -> list[dict[str, Any]]:
    """The rows of a refinement's log without its seconds."""
    rows = read_metrics(out / "metrics.jsonl")
    return [{key: value for key, value in row.items() if key not in SECONDS} for row in rows]
