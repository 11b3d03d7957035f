"""What pages presuppose when they begin: a finished run, stores, checkpoints, bags; small, by the project's parts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml
from pages import ROOT

sys.path += [str(ROOT / "tests" / "pipeline"), str(ROOT / "tests" / "data")]
from data_fakes import messages, write_bag
from dream_rig import CONTRACT, press_store
from lerobot_made import foreign

from world4rl.presets import PRESETS_DIR, load_preset, preset_values
from world4rl.refinement.checkpoint_choice import kept_checkpoint
from world4rl.runs.outcomes import POLICIES
from world4rl.runs.seed_ranges import SeedRanges
from world4rl_data.contract import TaskContract
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.model import RewardModel

SMALL = """
description: for tests
collect:
  {demonstrations: 2, demonstration_noise: 0.0, policy_episodes: 2, random_episodes: 1, scout_episodes: 1, workers: 1}
bc:
  network: {width: 4, hidden: 16}
  training: {steps: 4, batch_size: 8}
  filtered_training: {steps: 4, batch_size: 8}
world_model:
  denoiser: {widths: [8, 16], layers: 1, groups: 4}
  training: {steps: 4, batch_size: 4, warm_up: 1, save_every: 100, state: {steps: 4, batch_size: 4}}
reward: {network: {width: 8}, training: {steps: 4, positives: 4, negatives: 4, progress_batch: 4}}
imagination: {num_envs: 4}
dream_bc: {steps: 4, batch_size: 8}
ppo: {iterations: 1, epochs: 1, minibatch_size: 64, value_warm_up: 0}
selection: {every: 1, episodes: 4, margin: -1.0}
replay_check:
  max_episodes: 2
  limits: {min_episodes: 0, precision_from: 0, refine_from: -2.0, cautious_from: -2.0}
loop: {check_share: 0.5, world_model_steps: 4, reward_steps: 4, iterations: 1}
evaluation: {episodes: 2, concordance_episodes: 2, graph_episodes: 0}
"""


def small_presets(folder: Path) -> Path:
    """`tiny`, and Meta-World's, with the smallest networks and amounts; the other presets are not there."""
    (folder / "metaworld").mkdir(parents=True)
    for name in ("tiny.yaml", "metaworld/tiny.yaml"):
        (folder / name).write_text(f"extends: {PRESETS_DIR / name}\n{SMALL}")
    return folder


def store(path: Path) -> None:
    """Demonstrations, of which some failed."""
    press_store(path, (5, 3, 4, 6, 4, 5), won=(0, 1, 3, 4), source="expert")


def models(folder: Path) -> None:
    """Two world models, their reward models, and policies, all untrained."""
    preset = load_preset("tiny")
    for seed, name in enumerate(("_a", "_b", "")):
        torch.manual_seed(seed)
        WorldModel(preset.world_model_config(CONTRACT), CONTRACT).save(folder / f"world_model{name}")
        RewardModel(preset.reward_config(CONTRACT), CONTRACT).save(folder / f"reward{name}")
    for name in POLICIES:
        GaussianPolicy(preset.policy_config(CONTRACT), CONTRACT).save(folder / name)


def policy(path: Path) -> None:
    """A policy of the simulator's first task, untrained."""
    torch.manual_seed(0)
    GaussianPolicy(load_preset("tiny").policy_config(CONTRACT), CONTRACT).save(path)


def run(path: Path) -> None:
    """A folder as a finished `world4rl demo` leaves it, as far as commands read it."""
    preset = load_preset("tiny")
    press_store(path / "stores/demonstrations", (3, 4), won=(0, 1), source="expert")
    press_store(path / "stores/practice", (2, 4, 3), won=(0,))
    press_store(path / "stores/check", (5, 3, 4, 6), won=(1, 3))
    models(path / "checkpoints")
    torch.manual_seed(9)
    GaussianPolicy(preset.policy_config(CONTRACT), CONTRACT).save(kept_checkpoint(path / "refine", 1))
    (path / "refinement.json").write_text(json.dumps({"iteration": 1}))
    (path / "evaluation").mkdir()
    episodes = preset.evaluation.episodes
    for name in POLICIES:
        found = {"seeds": list(SeedRanges(0).take("evaluate", episodes)), "success": [True, False], "steps": [4, 9]}
        (path / "evaluation" / f"{name}.json").write_text(json.dumps(found))
    config = {"task": "press_button", "seed": 0, "preset": "tiny", "settings": preset_values(preset)}
    (path / "config.yaml").write_text(yaml.safe_dump(config))


def bags(folder: Path) -> None:
    """Recorded episodes of the simulated arm."""
    contract = TaskContract.load("franka_sim_push")
    for seed in range(2):
        write_bag(folder / f"episode-{seed}", contract, list(messages(contract, seed=seed)))


def contract_of_pick(path: Path) -> None:
    """One camera, ten actions a second."""
    values = TaskContract.load("franka_sim_lift").to_dict()
    values["images"] = [{**values["images"][0], "crop": [8, 0, 48, 48], "height": 16, "width": 16}]
    path.write_text(yaml.safe_dump(values))


def foreign_dataset(path: Path) -> None:
    """A LeRobotDataset of another recorder, thirty frames a second."""
    names, rng = ["x", "y", "z", "gripper"], np.random.default_rng(0)
    episodes = []
    for length in (13, 16):
        action = rng.uniform(-0.01, 0.01, (length, 4)).astype(np.float32)
        action[:, 3] = np.arange(length) > 6
        episodes.append({"action": action, "observation.state": rng.normal(size=(length, 4)).astype(np.float32)})
    foreign(path, episodes, {"action": {"axes": names}, "observation.state": names}, fps=30)


def pushes(path: Path) -> None:
    """A row of dx, dy, dz for each step."""
    path.write_text("0,0,-1\n" * 3)


MAKERS: dict[str, Callable[[Path], None]] = {
    "data/train": store,
    "data/check": store,
    "data/pick": foreign_dataset,
    "pick.yaml": contract_of_pick,
    "push.csv": pushes,
    "bags": bags,
    "models": models,
    "models/sb3": policy,
    "runs/demo": run,
    "runs/seed0": run,
    "runs/seed1": run,
}
"""What makes each thing that pages take for granted."""


def prepare(folder: Path, *names: str) -> None:
    """Make these things of `MAKERS` below `folder`."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        MAKERS[name](path)
