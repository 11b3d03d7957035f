"""A run's dreamers: pairs of a world model and the reward model that reads its dreams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from world4rl.run_folder import Run, training_store

if TYPE_CHECKING:
    from world4rl.dreamed import Dreamer


def train_dreamer(run: Run, name: str, seed: int) -> None:
    """World model `name`, and the reward model that reads its dreams."""
    import torch

    from world4rl_wm.training.train_world_model import train_world_model

    torch.set_num_threads(1)
    store, preset = training_store(run, "demonstrations", "practice"), run.preset
    train_world_model(
        store,
        list(range(len(store))),
        preset.world_model_config(run.contract),
        run.checkpoint(f"world_model_{name}"),
        preset.world_model.training,
        seed,
        run.progress,
    )
    train_reader(run, name, seed)


def train_reader(run: Run, name: str, seed: int) -> None:
    """The reward model of world model `name`: it learns from real frames and, where most is to be learned, from real
    episodes dreamed again with what really came of them."""
    import torch

    from world4rl_wm.measures.replay import real_and_dreamed
    from world4rl_wm.model.world_model import WorldModel
    from world4rl_wm.reward.data import RewardData, labelled_frames, set_aside
    from world4rl_wm.reward.train_reward import train_and_save

    torch.set_num_threads(1)
    store, preset = training_store(run, "demonstrations", "practice"), run.preset
    model, held_out = WorldModel.load(run.checkpoint(f"world_model_{name}")), run.store("check")
    learned, calibrating = set_aside(list(range(len(store))), preset.reward.calibration.episodes, seed)
    data = RewardData(
        real_and_dreamed(store, learned, model, seed),
        {"real": labelled_frames(held_out, range(len(held_out)))},
        real_and_dreamed(store, calibrating, model, seed) if calibrating else None,
    )
    train_and_save(
        data,
        run.contract,
        run.checkpoint(f"reward_{name}"),
        preset.reward_config(run.contract),
        preset.reward.training,
        preset.reward.calibration,
        seed,
        run.progress,
        {"store": store.content_hash},
    )


def dreamer(run: Run, name: str) -> Dreamer:
    """World model and reward model `name`, loaded."""
    from world4rl.dreamed import Dreamer
    from world4rl_wm.model.world_model import WorldModel
    from world4rl_wm.reward.model import RewardModel

    return Dreamer(
        WorldModel.load(run.checkpoint(f"world_model_{name}")), RewardModel.load(run.checkpoint(f"reward_{name}"))
    )
