"""A refinement of two iterations on untrained models, which takes a second or two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dream_rig import policy, press_store, reward_model, world_model
from micro_refinement import CHECK

from world4rl.refinement.checkpoint_choice import Refinement, Selection
from world4rl.refinement.dreamed import Dreamer
from world4rl.refinement.refine import RefineConfig
from world4rl.refinement.rehearsal import Rehearsal
from world4rl_policy.ppo_config import PpoConfig
from world4rl_wm.imagination.env import ImaginationConfig
from world4rl_wm.model.frames import StartStates

DREAM, JUDGE = Dreamer(world_model(0), reward_model()), Dreamer(world_model(5), reward_model())
CONFIG = RefineConfig(
    PpoConfig(iterations=2, horizon=2, epochs=1, minibatch_size=8, value_warm_up=0, ema_decay=0.0),
    ImaginationConfig(num_envs=4, horizon=2, hits=1),
    Selection(every=1, episodes=2),
)


def refined(tmp_path: Path, history: int = 2, **selection: object) -> Refinement:
    """Refine the untrained policy in `tmp_path`, with `selection` in place of its settings."""
    store = press_store(tmp_path / "store", (3, 4), won=(0, 1))
    config = replace(CONFIG, selection=replace(CONFIG.selection, **selection))
    starts = StartStates.of(store, [0, 1])
    start, out = policy(history=history), tmp_path / "refine"
    rehearsal = Rehearsal(DREAM, JUDGE, starts, starts, (store, [0, 1]), config, 0, False)
    return rehearsal.refine(rehearsal.seen(start, start), CHECK, out)
