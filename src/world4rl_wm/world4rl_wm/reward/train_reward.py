"""Training of the reward model on expert and policy roll-outs, and on dreams whose real outcome is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from world4rl_data.contract import TaskContract
from world4rl_wm.checkpoint_identity import weights_digest
from world4rl_wm.reward.batches import RewardBatches, RewardTraining
from world4rl_wm.reward.calibration import RewardCalibration, calibrate
from world4rl_wm.reward.data import LabelledFrames, RewardData
from world4rl_wm.reward.metrics import measure
from world4rl_wm.reward.model import RewardConfig, RewardModel
from world4rl_wm.reward.pictures import calibration_picture, most_wrong, write_png
from world4rl_wm.reward.resnet import ResNet18, load_pretrained
from world4rl_wm.training.devices import process_state
from world4rl_wm.training.monitor import TrainingMonitor
from world4rl_wm.training.state import STATE, TrainingState, default_generator, one_cycle

LOG_EVERY = 50
"""Steps between two lines of the metrics."""


def losses(model: RewardModel, batches: RewardBatches) -> dict[str, Tensor]:
    """Cross-entropies of a step: of the verdicts, and of progress as the share of a success that is reached."""
    frames, labels = batches.of_both_classes()
    logits = model.logits(frames.to(model.device))
    found = {"verdict": F.binary_cross_entropy_with_logits(logits, labels.to(model.device))}
    if model.progress_net is not None:
        frames, progress = batches.on_the_way()
        logits = model.progress_net(frames.to(model.device)).squeeze(-1)
        found["progress"] = F.binary_cross_entropy_with_logits(logits, progress.to(model.device))
    return found


def train_reward(
    data: LabelledFrames,
    model: RewardModel,
    config: RewardTraining = RewardTraining(),  # noqa: B008 (frozen)
    seed: int = 0,
    progress: bool = True,
    work: Path | None = None,
    begun: str | None = None,
) -> RewardModel:
    """Fit `model` by binary cross-entropy with both classes in fixed shares; returns it in evaluation mode.

    With a folder `work` the training saves its state there, with metrics.jsonl and TensorBoard's curves; the same call
    goes on where an interrupted one stopped, and ends with the same weights. `begun` names the weights it started from,
    None: random or pre-trained ones; a training that started from something else does not go on there.
    """
    torch.manual_seed(seed)
    batches = RewardBatches(data, config, seed)
    generators = {"verdict": batches.verdict, "progress": batches.progress, "layers": default_generator(model.device)}
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    state = TrainingState(model, optimizer, generators=generators)
    if work is None:
        _learn(model, state, batches, progress)
        return model.eval()
    work.mkdir(parents=True, exist_ok=True)
    identity = [asdict(config), asdict(model.config), seed, data.digest, *([] if begun is None else [begun])]
    fingerprint = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    state.restore(work / STATE, fingerprint)
    with closing(TrainingMonitor(work, state.step, "reward_model")) as monitor:
        _learn(model, state, batches, progress, monitor, lambda: state.save(work / STATE, fingerprint))
    return model.eval()


def _learn(
    model: RewardModel,
    state: TrainingState,
    batches: RewardBatches,
    progress: bool,
    monitor: TrainingMonitor | None = None,
    save: Callable[[], None] = lambda: None,
) -> None:
    """Take the steps that are left."""
    config = batches.config
    schedule = one_cycle(state.optimizer, config.learning_rate, config.steps, state.step)
    model.train()
    bar = tqdm(total=config.steps, initial=state.step, desc="reward model", disable=not progress, unit="step")
    while state.step < config.steps:
        parts = losses(model, batches)
        state.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        state.optimizer.step()
        schedule.step()
        state.step += 1
        bar.update()
        last = state.step == config.steps
        if state.step % LOG_EVERY == 0 or last:
            values = {f"{name}_loss": float(loss.detach()) for name, loss in parts.items()}
            bar.set_postfix({name: f"{value:.4f}" for name, value in values.items()})
            if monitor is not None:
                monitor.loss(state.step, sum(values.values()), schedule.get_last_lr()[0], **values)
        if state.step % config.save_every == 0 or last:
            save()
    bar.close()


def train_and_save(
    data: RewardData,
    contract: TaskContract,
    out: Path,
    network: RewardConfig | None = None,
    config: RewardTraining = RewardTraining(),  # noqa: B008 (frozen)
    calibration: RewardCalibration = RewardCalibration(),  # noqa: B008 (frozen)
    seed: int = 0,
    progress: bool = True,
    data_hashes: dict[str, str] | None = None,
    start_from: Path | None = None,
) -> Path:
    """Train a model, calibrate and measure it on episodes it has not learned from, write a checkpoint folder.

    It starts fresh, or from the checkpoint `start_from` of the same network. State, metrics and pictures go to the
    folder `<out>.training` beside it; the same call goes on there.

    Raises:
        CheckpointError: `config.pretrained` cannot be taken.
        ValueError: pre-trained weights for a network that is no ResNet-18.
    """
    torch.manual_seed(seed)
    model = RewardModel(network or RewardConfig(contract.image_channels), contract)
    if start_from is None:
        _start_from_pretrained(model, config.pretrained)
    else:
        model.load_state_dict(RewardModel.load(start_from, contract=contract).state_dict())
    model.to(process_state().device)
    work = out.with_name(out.name + ".training")
    begun = None if start_from is None else weights_digest(start_from)  # wherever the folder is now
    train_reward(data.learned, model, config, seed, progress, work, begun)
    calibrate(model, data.calibration, calibration)
    held_out = {name: measure(model, frames) for name, frames in data.held_out.items()}
    with closing(TrainingMonitor(work, config.steps, "reward_model")) as monitor:
        for name, frames in data.held_out.items():
            pictures = {
                "calibration": calibration_picture(held_out[name], name),
                "most_wrong": most_wrong(model, frames),
            }
            for title, picture in pictures.items():
                write_png(work / f"{title}_{name}.png", picture)
                monitor.picture(config.steps, f"{title}_{name}", picture)
    metrics = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "threshold": model.threshold,
        "held_out": held_out,
        "training": asdict(config),
        "calibration": asdict(calibration) | {"frames": 0 if data.calibration is None else len(data.calibration)},
    }
    return model.save(out, metrics=metrics, seed=seed, data_hashes=data_hashes)


def _start_from_pretrained(model: RewardModel, pretrained: str | None) -> None:
    if pretrained is None:
        return
    for network in filter(None, (model.net, model.progress_net)):
        if not isinstance(network, ResNet18):
            raise ValueError(
                "reward.training.pretrained is for reward.network.backbone=resnet18: leave one of the two out"
            )
        load_pretrained(network, Path(pretrained))
