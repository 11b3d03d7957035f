"""`world4rl train`: world model, reward model, behaviour cloning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from world4rl.commands.common import Overrides, PresetOption, SeedOption, tell_other_preset
from world4rl.errors import CommandError
from world4rl_wm.training.processes import main_process

if TYPE_CHECKING:
    from world4rl.runs.record import Record
    from world4rl.settings import Preset
    from world4rl_data.store import EpisodeStore

HELD_OUT = 5  # every fifth episode measures the reward model


def world_model(
    store: Path,
    out: Path,
    start_from: Path | None = None,
    dry_run: bool = False,
    preset: PresetOption = "tiny",
    seed: SeedOption = 0,
    settings: Overrides = (),
) -> None:
    """Train the diffusion world model on all episodes of a store. Interrupted, it goes on from its last saved step.

    On several devices: `torchrun --nproc-per-node N -m world4rl train world-model ...`.

    Args:
        store: Training store.
        out: Checkpoint folder to write; settings, state and loss by step go to OUT.training.
        start_from: World-model checkpoint to start from; None starts from random weights.
        dry_run: Take a few steps, write nothing, and print parameters, computation, memory and the expected time.
    """
    from world4rl.runs.record import identified
    from world4rl_wm.training.train_world_model import train_world_model

    values, data = _load(store, preset, settings)
    if dry_run:
        from world4rl_wm.training.cost import training_cost

        config = values.world_model_config(data.contract)
        print(training_cost(data, range(len(data)), config, values.world_model.training))
        return
    record = _record(out, "train world-model", values.world_model, data, seed, start_from=identified(start_from))
    if not _done(record, out):
        config, training = values.world_model_config(data.contract), values.world_model.training
        train_world_model(data, range(len(data)), config, out, training, seed, start_from=start_from)
        _finish(record, out)


def reward(
    store: Path,
    out: Path,
    world_model: Path | None = None,
    preset: PresetOption = "tiny",
    seed: SeedOption = 0,
    settings: Overrides = (),
) -> None:
    """Train the reward model on the labelled episodes of a store; every fifth episode is held out to measure it.

    With a world model it also learns to read that model's dreams: the episodes are dreamed again with their actions,
    and each dreamed frame is labelled by what was really so. From real frames alone it may take dreamed successes for
    failures. With reward.learn_dreams=false the dreams only measure. Interrupted, it goes on from its last saved step.

    Args:
        store: Training store.
        out: Checkpoint folder to write; settings, state, metrics and pictures go to OUT.training.
        world_model: World-model checkpoint whose dreams it shall read; None learns from real frames alone.
    """
    from world4rl.runs.record import identified
    from world4rl_data.episode import Outcome
    from world4rl_wm.measures.replay import labelled_dreams, real_and_dreamed, replay
    from world4rl_wm.model.world_model import WorldModel
    from world4rl_wm.reward.data import OneKindError, RewardData, labelled_frames, set_aside, set_aside_by_outcome
    from world4rl_wm.reward.train_reward import train_and_save
    from world4rl_wm.training.devices import process_device

    values, data = _load(store, preset, settings)
    record = _record(out, "train reward", values.reward, data, seed, world_model=identified(world_model))
    if _done(record, out):
        return
    model = None if world_model is None else WorldModel.load(world_model, process_device(), data.contract)
    labelled = data.select(outcome=(Outcome.SUCCESS, Outcome.FAILURE))
    rest, held_out = set_aside(labelled, 1 / HELD_OUT, seed)
    learned, calibrating = set_aside_by_outcome(data, rest, values.reward.calibration.episodes, seed)
    measured = {}
    try:
        measured["real"] = labelled_frames(data, held_out)
        if model is not None:
            measured["dreamed"] = labelled_dreams(replay(model, data, held_out, seed))
    except OneKindError:
        print(
            f"the reward model is not measured: its {len(held_out)} held-out episodes lack frames of success, or others"
        )
    dreaming = model if values.reward.learn_dreams else None
    frames = RewardData(
        real_and_dreamed(data, learned, dreaming, seed),
        measured,
        real_and_dreamed(data, calibrating, dreaming, seed) if calibrating else None,
    )
    network, training = values.reward_config(data.contract), values.reward.training
    hashes = {"store": data.content_hash}
    train_and_save(frames, data.contract, out, network, training, values.reward.calibration, seed, data_hashes=hashes)
    _finish(record, out)


def bc(
    store: Path,
    out: Path,
    filtered: bool = False,
    episodes: int | None = None,
    preset: PresetOption = "tiny",
    seed: SeedOption = 0,
    settings: Overrides = (),
) -> None:
    """Train a policy by behaviour cloning: on the demonstrations that did not fail, or on every success (filtered).

    Filtered BC is what refinement has to beat, and what it starts from. With bc.training.held_out above 0 (filtered:
    bc.filtered_training.held_out) that share of the episodes is set aside, training stops where their actions no longer
    get more probable, and the best weights are kept.

    Args:
        store: Training store.
        out: Checkpoint folder to write; settings and metrics go to OUT.training.
        filtered: Learn from every successful episode, the policy's own included.
        episodes: Learn from this many episodes, the first ones; None takes all.
    """
    from world4rl_data.episode import Outcome
    from world4rl_policy.bc import train_and_save

    if episodes is not None and episodes < 1:
        raise CommandError("--episodes must be at least 1")
    values, data = _load(store, preset, settings)
    if filtered:
        chosen = data.select(outcome=Outcome.SUCCESS)
    else:
        chosen = data.select(source=("expert", "intervention"), outcome=(Outcome.SUCCESS, Outcome.UNLABELLED))
    chosen = chosen[:episodes]
    if not chosen:
        raise CommandError(f"{store} holds no {'success' if filtered else 'demonstration'} to learn from")
    record = _record(out, "train bc", values.bc, data, seed, filtered=filtered, episodes=episodes)
    if not _done(record, out):
        training = values.bc.filtered_training if filtered else values.bc.training
        network, name = values.policy_config(data.contract), "filtered BC" if filtered else "BC"
        train_and_save(data, chosen, out, network, training, seed, description=name, log=record.log)
        _finish(record, out)


def _load(store: Path, preset: str, overrides: tuple[str, ...]) -> tuple[Preset, EpisodeStore]:
    from world4rl.presets import load_preset
    from world4rl_data.store import EpisodeStore

    values, data = load_preset(preset, overrides), EpisodeStore.open(store)
    tell_other_preset(preset, data)
    if not len(data):
        raise CommandError(f"{store} holds no episodes: collect or record some first")
    return values, data


def _record(out: Path, command: str, section: Any, data: EpisodeStore, seed: int, **more: Any) -> Record:
    from dataclasses import asdict

    from world4rl.runs.record import Record

    settings = {"store": str(data.path), "content_hash": data.content_hash, **more, "preset": asdict(section)}
    placed = ("start_from", "world_model")
    return Record(out.with_name(out.name + ".training"), command, settings, seed, told=("store",), placed=placed)


def _done(record: Record, out: Path) -> bool:
    if record.finished and out.is_dir():
        print(f"{out} is there already, made by the same command")
        return True
    return False


def _finish(record: Record, out: Path) -> None:
    metrics = json.loads((out / "metrics.json").read_text())
    result = {key: value for key, value in metrics.items() if key not in ("training", "calibration")}
    record.metric(event="result", **result)
    record.finish()
    if main_process():
        told = {key: value for key, value in result.items() if key != "held_out"}
        for frames, found in result.get("held_out", {}).items():
            told |= {f"{frames} frames {name}": found[name] for name in ("j", "brier", "ece")}
        print(f"{out}: {', '.join(f'{key} {value}' for key, value in told.items())}")
        if "dreamed" in result.get("held_out", {}):
            print(
                "dreamed frames are of episodes that the world model may have learned from: fresh dreams are less true"
            )
