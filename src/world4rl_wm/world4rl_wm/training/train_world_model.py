"""Training of the world model: EDM loss on noisy history, then on the model's own short roll-outs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from world4rl_data.store import EpisodeStore
from world4rl_wm.checkpoint import CheckpointError
from world4rl_wm.checkpoint_identity import known_by, learned_episodes, weights_digest
from world4rl_wm.model.frames import FrameWindows
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.training.film import TrainingFilm
from world4rl_wm.training.monitor import TrainingMonitor
from world4rl_wm.training.state import STATE, TrainingState
from world4rl_wm.training.step import TrainingStep, WorldModelTraining
from world4rl_wm.training.train_state_model import train_state_model

LOG_EVERY = 50
"""Steps between two lines of the metrics."""


def train_world_model(
    store: EpisodeStore,
    episodes: Sequence[int],
    model_config: WorldModelConfig,
    out: Path,
    config: WorldModelTraining = WorldModelTraining(),  # noqa: B008 (frozen)
    seed: int = 0,
    progress: bool = True,
    start_from: Path | None = None,
) -> Path:
    """Train and save a world model; the same call goes on where an interrupted one stopped.

    Args:
        store: training store; all `episodes` of it are used.
        out: checkpoint folder to write; `out/../<name>.training` holds the state to resume from and the metrics.
        start_from: a world-model checkpoint to start from (a second round), else random weights.

    Returns:
        The checkpoint folder.

    Raises:
        CheckpointError: the model to start from has another network, or scales what it predicts otherwise.
    """
    torch.manual_seed(seed)
    start = None if start_from is None else WorldModel.load(start_from, contract=store.contract)
    if start is not None:
        _require_same_network(start.config, model_config, start_from)
    model_config = model_config.told(start.config.tasks if start else (store.infos[e].task for e in episodes))
    windows = FrameWindows(store, episodes, model_config.denoiser.history, model_config.tasks)
    model = WorldModel(model_config, store.contract)
    if start is not None:
        model.load_state_dict(start.state_dict())
    training = TrainingStep(model, windows, config, seed)
    accelerator, main = training.accelerator, training.accelerator.is_main_process
    state = TrainingState(model, training.optimizer)
    work = out.with_name(out.name + ".training")
    work.mkdir(parents=True, exist_ok=True)
    begun = str(start_from) if start_from is None else weights_digest(start_from)  # wherever the folder is now
    identity = [asdict(config), model_config.to_dict(), seed, list(episodes), store.content_hash, begun]
    fingerprint = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    resumed = state.restore(work / STATE, fingerprint)
    if model.state_model is not None:
        if not resumed:
            part = work / "state_model"
            train_state_model(model.state_model, windows, config.state, seed, progress and main, part, fingerprint)
        model.state_model.requires_grad_(False)
    accelerator.wait_for_everyone()  # all have read the state before anybody writes one
    monitor = TrainingMonitor(work, state.step) if main else None
    training.prepare()
    film = TrainingFilm(store, episodes, model.history)
    _learn(training, state, monitor, film, work / STATE, fingerprint, progress and main)
    if monitor is not None:
        monitor.close()
        metrics = {
            "steps": state.step,
            "parameters": sum(p.numel() for p in model.parameters()),
            "final_loss": float(monitor.log.last("loss")),
        }
        learned = {known_by(store.infos[episode]) for episode in episodes}
        if start_from is not None:
            learned |= learned_episodes(start_from) or set()
        hashes = {"store": store.content_hash}
        model.save(out, state.average, metrics=metrics, seed=seed, data_hashes=hashes, episodes=learned)
    accelerator.wait_for_everyone()
    return out


def _require_same_network(start: WorldModelConfig, config: WorldModelConfig, path: Path | None) -> None:
    """The same network, and the same scales of what it is shown and predicts: its weights mean nothing by others."""
    there, asked = (
        asdict(c.denoiser) | {"change_scale": c.change_scale, "edm.sigma_data": c.edm.sigma_data}
        for c in (start, config)
    )
    differing = [f"{name}: {there[name]} there, {value} asked" for name, value in asked.items() if there[name] != value]
    if differing:
        raise CheckpointError(
            f"{path} has another network ({'; '.join(differing)}): start from it with its own settings of "
            "world_model.denoiser, world_model.change_scale and world_model.edm.sigma_data, or from random weights"
        )


def _learn(
    training: TrainingStep,
    state: TrainingState,
    monitor: TrainingMonitor | None,
    film: TrainingFilm,
    path: Path,
    fingerprint: str,
    progress: bool,
) -> None:
    """Take the steps that are left. The process that has a monitor also saves the state at `path`."""
    config = training.config
    bar = tqdm(total=config.steps, initial=state.step, desc="world model", disable=not progress, unit="step")
    while state.step < config.steps:
        loss = training.take(state.step)
        state.step += 1
        state.update_average(config.ema_decay)
        bar.update()
        if state.step % LOG_EVERY == 0 or state.step == config.steps:
            value = float(training.accelerator.reduce(loss, "mean"))
            if monitor is not None:
                monitor.loss(state.step, value, training.learning_rate)
            bar.set_postfix(loss=f"{value:.4f}")
        if state.step % config.save_every == 0 and monitor is not None:
            state.save(path, fingerprint)
            monitor.pictures(state.step, training.model, training.windows)
            monitor.film(state.step, "true_dreamed_difference", film.frames(training.model), film.rate_hz)
    bar.close()
