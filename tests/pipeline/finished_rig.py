"""A folder as a finished `world4rl demo` leaves it, as far as benchmarks over runs need it, small and untrained."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import yaml
from dream_rig import policy, press_store, reward_model, world_model

from world4rl.presets import load_preset, preset_values
from world4rl.runs.outcomes import POLICIES
from world4rl.runs.seed_ranges import SeedRanges
from world4rl_wm.measures.replay_check import judge

SMALL = [
    "imagination.num_envs=2",
    "dream_bc.steps=2",
    "ppo.iterations=2",
    "ppo.epochs=1",
    "ppo.minibatch_size=8",
    "ppo.bc_batch_size=4",
    "ppo.value_warm_up=0",
    "collect.workers=1",
]


def finished_folder(path: Path, *settings: str, episodes: int = 2) -> Path:
    """Its policies failed on the first of `episodes` held-out start states and succeeded on the others."""
    press_store(path / "stores" / "demonstrations", (3, 4), won=(0, 1), source="expert")
    press_store(path / "stores" / "practice", (2, 4, 3), won=(0,))
    press_store(path / "stores" / "check", (4, 2), won=(1,))
    for name in POLICIES:
        policy().save(path / "checkpoints" / name)
        found = {"seeds": list(SeedRanges(0).take("evaluate", episodes)), "success": [False] + [True] * (episodes - 1)}
        (path / "evaluation").mkdir(exist_ok=True)
        (path / "evaluation" / f"{name}.json").write_text(json.dumps(found | {"steps": [4] * episodes}))
    values = preset_values(load_preset("tiny", [*SMALL, *settings]))
    config = {"task": "press_button", "seed": 0, "preset": "tiny", "settings": values}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    return path


def run_with_dreams(path: Path) -> Path:
    """The same with two dreamers, whose replay check was passed."""
    folder = finished_folder(path, "selection.every=1", "selection.episodes=2")
    for seed, name in enumerate("ab"):
        world_model(seed).save(folder / "checkpoints" / f"world_model_{name}")
        reward_model().save(folder / "checkpoints" / f"reward_{name}")
    real = torch.tensor([True] * 20 + [False] * 20)
    (folder / "replay_check.json").write_text(json.dumps(judge(real, real).to_dict()))
    return folder
