"""Training of the reward model on expert and policy roll-outs, and on dreams whose real outcome is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from world4rl_data.contract import TaskContract
from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore
from world4rl_wm.frames import to_float
from world4rl_wm.metrics_log import MetricsLog
from world4rl_wm.reward import RewardConfig, RewardModel


@dataclass(frozen=True)
class RewardTraining:
    """Each batch holds `positives` successful frames and `negatives` others; frames are shifted, noised and blurred."""

    steps: int = 800
    positives: int = 32
    negatives: int = 96
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    shift: int = 1
    noise: float = 0.05


@dataclass(frozen=True)
class LabelledFrames:
    """uint8 frames ``(N, C, H, W)`` and whether each shows success, ``(N,)`` bool."""

    frames: Tensor
    success: Tensor

    def __add__(self, other: LabelledFrames) -> LabelledFrames:
        return LabelledFrames(torch.cat([self.frames, other.frames]), torch.cat([self.success, other.success]))


def labelled_frames(store: EpisodeStore, episodes: Sequence[int]) -> LabelledFrames:
    """Every frame of the episodes, labelled by outcome and first successful frame.

    Raises:
        ValueError: when there is no successful frame, or no other.
    """
    frames, labels = [], []
    for episode in episodes:
        info = store.infos[episode]
        pixels = torch.from_numpy(store.frames(episode).copy())
        success = torch.zeros(len(pixels), dtype=torch.bool)
        if info.outcome == Outcome.SUCCESS and info.success_index is not None:
            success[info.success_index :] = True
        elif info.outcome not in (Outcome.SUCCESS, Outcome.FAILURE):
            continue
        frames.append(pixels)
        labels.append(success)
    if not frames or not bool(torch.cat(labels).any()) or bool(torch.cat(labels).all()):
        raise ValueError("the reward model needs labelled episodes with successful and with other frames: label some")
    return LabelledFrames(torch.cat(frames), torch.cat(labels))


def augment(frames: Tensor, config: RewardTraining, generator: torch.Generator) -> Tensor:
    """Random shift, noise and blur: a dream is shifted, noisy and blurred against the truth."""
    pad = config.shift
    size = frames.shape[-1]
    padded = F.pad(frames, (pad,) * 4, mode="replicate")
    dx, dy = (int(torch.randint(2 * pad + 1, (), generator=generator)) for _ in range(2))
    frames = padded[..., dy : dy + size, dx : dx + size]
    blurred = F.avg_pool2d(F.pad(frames, (1,) * 4, mode="replicate"), 3, stride=1)
    mix = torch.rand(len(frames), 1, 1, 1, generator=generator) * 0.7
    frames = frames * (1 - mix) + blurred * mix
    level = torch.rand(len(frames), 1, 1, 1, generator=generator) * config.noise
    return frames + level * torch.randn(frames.shape, generator=generator)


def train_reward(
    data: LabelledFrames,
    model: RewardModel,
    config: RewardTraining = RewardTraining(),
    seed: int = 0,
    progress: bool = True,
    description: str = "reward model",
    log: MetricsLog | None = None,
) -> RewardModel:
    """Fit `model` by binary cross-entropy with both classes in fixed shares; returns it in evaluation mode.

    `log` gets the loss every 50 steps.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    positive, negative = data.success.nonzero().squeeze(1), (~data.success).nonzero().squeeze(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps, pct_start=max(0.1, 2 / config.steps)
    )
    labels = torch.cat([torch.ones(config.positives), torch.zeros(config.negatives)])
    model.train()
    for step in tqdm(range(1, config.steps + 1), desc=description, disable=not progress, unit="step"):
        rows = torch.cat(
            [
                positive[torch.randint(len(positive), (config.positives,), generator=generator)],
                negative[torch.randint(len(negative), (config.negatives,), generator=generator)],
            ]
        )
        frames = augment(to_float(data.frames[rows]), config, generator)
        loss = F.binary_cross_entropy_with_logits(model.logits(frames), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if log is not None and step % 50 == 0:
            log.write(step=step, loss=float(loss.detach()))
    return model.eval()


@torch.no_grad()
def confusion(model: RewardModel, data: LabelledFrames, batch: int = 512) -> dict[str, int]:
    """Counts of frames by truth and verdict at the model's threshold."""
    verdict = torch.cat([model.probability(to_float(part)) > model.threshold for part in data.frames.split(batch)])
    truth = data.success
    return {
        "true_positive": int((verdict & truth).sum()),
        "false_positive": int((verdict & ~truth).sum()),
        "true_negative": int((~verdict & ~truth).sum()),
        "false_negative": int((~verdict & truth).sum()),
    }


def train_and_save(
    learned: LabelledFrames,
    held_out: LabelledFrames,
    contract: TaskContract,
    out: Path,
    network: RewardConfig | None = None,
    config: RewardTraining = RewardTraining(),
    seed: int = 0,
    progress: bool = True,
    data_hashes: dict[str, str] | None = None,
    log: MetricsLog | None = None,
) -> Path:
    """Train a fresh model on `learned`, measure on `held_out`, write a checkpoint folder."""
    torch.manual_seed(seed)
    model = RewardModel(network or RewardConfig(contract.image_channels), contract)
    train_reward(learned, model, config, seed, progress, log=log)
    metrics = {"held_out_confusion": confusion(model, held_out), "training": asdict(config)}
    return model.save(out, metrics=metrics, seed=seed, data_hashes=data_hashes)
