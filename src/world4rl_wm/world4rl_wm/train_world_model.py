"""Training of the world model: EDM loss on noisy history, then on the model's own short roll-outs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from world4rl_data.store import EpisodeStore
from world4rl_wm.frames import FrameWindows, Window
from world4rl_wm.metrics_log import MetricsLog
from world4rl_wm.precision import autocast
from world4rl_wm.state_model import StateTraining, train_state_model
from world4rl_wm.training_state import TrainingState
from world4rl_wm.world_model import WorldModel, WorldModelConfig


@dataclass(frozen=True)
class WorldModelTraining:
    """Optimisation of the world model.

    `context_noise` is the largest standard deviation of the noise on the history. In the last `rollout_share` of the
    steps the history's newest frames are the model's own predictions, 0 to `rollout_steps` deep, so that it meets the
    errors that it will make when it dreams. `moving_weight` stresses pixels that change.
    """

    steps: int = 2500
    batch_size: int = 32
    learning_rate: float = 5e-4
    warm_up: int = 100
    weight_decay: float = 1e-2
    ema_decay: float = 0.99
    context_noise: float = 0.05
    moving_weight: float = 4.0
    rollout_share: float = 0.25
    rollout_steps: int = 3
    save_every: int = 250
    state: StateTraining = field(default_factory=StateTraining)


def learning_rate_factor(step: int, config: WorldModelTraining) -> float:
    """Linear warm-up, then a cosine down to a tenth."""
    if step < config.warm_up:
        return (step + 1) / config.warm_up
    progress = (step - config.warm_up) / max(1, config.steps - config.warm_up)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * min(progress, 1.0)))


def own_history(model: WorldModel, windows: FrameWindows, current: Tensor, depth: int) -> Tensor:
    """The past ``(B, T, C, H, W)`` that the model has dreamed for itself `depth` steps after `current`."""
    start = windows.window(current)
    shown, proprio = start.context, start.proprio
    model.eval()
    for ahead in range(depth):
        frame, following = model.step(shown, windows.actions[windows.past(current + ahead)], proprio)
        shown = torch.cat([shown[:, 1:], frame.unsqueeze(1)], dim=1)
        proprio = proprio if following is None else following
    model.train()
    return shown


def training_batch(
    model: WorldModel, windows: FrameWindows, config: WorldModelTraining, step: int, generator: torch.Generator
) -> tuple[Tensor, Window]:
    """Draw one batch: the past that is shown, and the true window."""
    depth = 0
    if step >= config.steps * (1 - config.rollout_share):
        depth = int(torch.randint(0, config.rollout_steps + 1, (), generator=generator))
    eligible = windows.current[windows.remaining > depth]
    if not len(eligible):
        raise ValueError(f"no episode is longer than {depth} steps: lower rollout_steps")
    current = eligible[torch.randint(len(eligible), (config.batch_size,), generator=generator)]
    window = windows.window(current + depth)
    shown = own_history(model, windows, current, depth) if depth else window.context
    level = torch.rand(len(current), 1, 1, 1, 1, generator=generator) * config.context_noise
    return shown + level * torch.randn(shown.shape, generator=generator), window


def train_world_model(
    store: EpisodeStore,
    episodes: Sequence[int],
    model_config: WorldModelConfig,
    out: Path,
    config: WorldModelTraining = WorldModelTraining(),
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
    """
    torch.manual_seed(seed)
    windows = FrameWindows(store, episodes, model_config.denoiser.history)
    model = WorldModel(model_config, store.contract)
    if start_from is not None:
        model.load_state_dict(WorldModel.load(start_from, contract=store.contract).state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    state = TrainingState(model, optimizer, torch.Generator().manual_seed(seed))
    work = out.with_name(out.name + ".training")
    work.mkdir(parents=True, exist_ok=True)
    identity = [asdict(config), model_config.to_dict(), seed, list(episodes), store.content_hash, str(start_from)]
    fingerprint = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    resumed = state.restore(work / "state.safetensors", fingerprint)
    if model.state_model is not None:
        if not resumed:
            train_state_model(model.state_model, windows, config.state, seed, progress)
        model.state_model.requires_grad_(False)
    log = MetricsLog(work / "metrics.jsonl", state.step)
    model.train()
    bar = tqdm(total=config.steps, initial=state.step, desc="world model", disable=not progress, unit="step")
    while state.step < config.steps:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * learning_rate_factor(state.step, config)
        shown, window = training_batch(model, windows, config, state.step, state.generator)
        with autocast(model.device):
            loss = model.loss(shown, window, config.moving_weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state.step += 1
        state.update_average(config.ema_decay)
        bar.update()
        if state.step % 50 == 0:
            bar.set_postfix(loss=f"{log.write(step=state.step, loss=float(loss.detach()))['loss']:.4f}")
        if state.step % config.save_every == 0:
            state.save(work / "state.safetensors", fingerprint)
    bar.close()
    metrics = {
        "steps": state.step,
        "parameters": sum(p.numel() for p in model.parameters()),
        "final_loss": float(log.last("loss")),
    }
    return model.save(out, state.average, metrics=metrics, seed=seed, data_hashes={"store": store.content_hash})
