"""A run's dreamers: pairs of a world model and the reward model that reads its dreams."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from world4rl.runs.run_folder import Run, training_store

if TYPE_CHECKING:
    from world4rl.refinement.dreamed import Dreamer
    from world4rl_data.store import EpisodeStore
    from world4rl_wm.reward.batches import RewardTraining
    from world4rl_wm.reward.data import LabelledFrames

DREAMERS = {"a": 1000, "b": 2001}
"""Names of a run's two dreamers, and where their seeds begin: the run's own seed is added."""


def side_by_side(name: str) -> None:
    """This process trains dreamer `name`, another one the other: one CPU thread each, and a GPU each where there are
    two."""
    import torch

    from world4rl_wm.training.devices import take_gpu

    torch.set_num_threads(1)
    take_gpu(list(DREAMERS).index(name))


def train_dreamer(run: Run, name: str, seed: int) -> None:
    """World model `name`, and the reward model that reads its dreams."""
    from world4rl_wm.training.train_world_model import train_world_model

    side_by_side(name)
    store, preset = training_store(run, "demonstrations", "practice"), run.preset
    _calibrating(run, name, store)  # too few episodes are told before hours of training
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
    """The reward model of world model `name`."""
    side_by_side(name)
    _read(run, name, seed, training_store(run, "demonstrations", "practice"), run.preset.reward.training)


def update_dreamer(run: Run, name: str, seed: int, store: Path, before: Path) -> None:
    """World model and reward model `name` of a later round: those among the checkpoints `before` learn further, from
    the episodes in `store`."""
    from world4rl_data.store import EpisodeStore
    from world4rl_wm.training.train_world_model import train_world_model

    side_by_side(name)
    enlarged = EpisodeStore.open(store)
    _calibrating(run, name, enlarged)
    train_world_model(
        enlarged,
        list(range(len(enlarged))),
        run.preset.world_model_config(run.contract),
        run.checkpoint(f"world_model_{name}"),
        run.preset.later_world_model_training(),
        seed,
        run.progress,
        before / f"world_model_{name}",
    )
    training = replace(run.preset.reward.training, steps=run.preset.loop.reward_steps)
    _read(run, name, seed, enlarged, training, before / f"reward_{name}")


def _read(
    run: Run, name: str, seed: int, store: EpisodeStore, training: RewardTraining, before: Path | None = None
) -> None:
    """It learns from real frames and, where most is to be learned, from real episodes dreamed again with what really
    came of them, unless the settings leave these out."""
    from world4rl_wm.measures.replay import real_and_dreamed
    from world4rl_wm.model.world_model import WorldModel
    from world4rl_wm.reward.data import RewardData
    from world4rl_wm.reward.train_reward import train_and_save
    from world4rl_wm.training.devices import process_device

    preset, held_out = run.preset, held_out_frames(run)
    dreams = run.checkpoint(f"world_model_{name}")
    model = WorldModel.load(dreams, process_device()) if preset.reward.learn_dreams else None
    learned, calibrating = _calibrating(run, name, store)
    data = RewardData(
        real_and_dreamed(store, learned, model, seed),
        {} if held_out is None else {"real": held_out},
        real_and_dreamed(store, calibrating, model, seed) if calibrating else None,
    )
    train_and_save(
        data,
        run.contract,
        run.checkpoint(f"reward_{name}"),
        preset.reward_config(run.contract),
        training,
        preset.reward.calibration,
        seed,
        run.progress,
        {"store": store.content_hash},
        before,
    )


def _calibrating(run: Run, name: str, store: EpisodeStore) -> tuple[list[int], list[int]]:
    """Which episodes the reward model learns from, and which calibrate it.

    That hangs on the dreamer alone: later rounds append theirs and go on with its weights, which must not have learned
    from them in any round.

    Raises:
        ValueError: too few episodes of an outcome for both.
    """
    from world4rl_wm.reward.data import set_aside_by_outcome

    share, first = run.preset.reward.calibration.episodes, DREAMERS[name] + run.seed
    return set_aside_by_outcome(store, range(len(store)), share, first)


def held_out_frames(run: Run) -> LabelledFrames | None:
    """Frames of the fresh episodes, which no world model or reward model has seen; None where none of them or all show
    success. Then a reward model is not measured, and the replay check is undecided."""
    from world4rl_wm.reward.data import OneKindError, labelled_frames

    store = run.store("check")
    try:
        return labelled_frames(store, range(len(store)))
    except OneKindError:
        return None


def require_dreamers(run: Run) -> None:
    """Refuse a run that cannot dream, such as a benchmark's row whose replay check could not be decided: it has no
    reward models, or no world models either.

    Raises:
        ValueError: a world model or a reward model is missing.
    """
    needed = [f"{kind}_{name}" for name in DREAMERS for kind in ("world_model", "reward")]
    missing = [name for name in needed if not run.checkpoint(name).is_dir()]
    if missing:
        raise ValueError(
            f"{run.path} has no dream to go on with, {', '.join(missing)} are missing: its fresh episodes had too few "
            "of one outcome. Begin anew with more (replay_check.max_episodes), or with a better BC "
            "(collect.demonstrations)"
        )


def dreamer(run: Run, name: str) -> Dreamer:
    """World model and reward model `name`, loaded where this process computes: on a GPU where there is one."""
    from world4rl.refinement.dreamed import Dreamer
    from world4rl_wm.model.world_model import WorldModel
    from world4rl_wm.reward.model import RewardModel
    from world4rl_wm.training.devices import process_device

    device = process_device()
    return Dreamer(
        WorldModel.load(run.checkpoint(f"world_model_{name}"), device),
        RewardModel.load(run.checkpoint(f"reward_{name}"), device),
    )
