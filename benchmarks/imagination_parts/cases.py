"""What `imagination.py` measures: dreams and training steps of a preset, of its alternatives and of DIAMOND's shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from diamond_shape import diamond_shape

from world4rl.settings import Preset
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource, Episode, Outcome
from world4rl_data.store import EpisodeStore
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.model.frames import FrameWindows
from world4rl_wm.model.plain_layers import plain_layers
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.precision import native_bfloat16
from world4rl_wm.training.cost import denoiser_gflops
from world4rl_wm.training.step import TrainingStep, WorldModelTraining

BATCHES, STEPS, TRAINING_BATCH, MATRIX = (1, 16, 64, 256), (1, 3, 5), 32, 1024
Context = Callable[[], AbstractContextManager[object]]


@dataclass
class Case:
    """Something that is measured: `work` handles `amount` frames or samples; `gflops` is the direct way's, of each."""

    name: str
    amount: int
    gflops: float
    work: Callable[[], object]
    context: Context = nullcontext


@contextmanager
def bfloat16(device: torch.device) -> Iterator[None]:
    with torch.autocast(device.type, dtype=torch.bfloat16):
        yield


@contextmanager
def float32(device: torch.device) -> Iterator[None]:
    with mock.patch("world4rl_wm.precision.native_bfloat16", lambda device_type: False):
        yield


def number_formats(device: torch.device) -> tuple[str, str]:
    """The one that the networks compute in on this device, and the other."""
    return ("bfloat16", "float32") if native_bfloat16(device.type) else ("float32", "bfloat16")


def random_store(folder: Path, contract: TaskContract, episodes: int = 8, steps: int = 15) -> EpisodeStore:
    """Episodes of noise."""
    random = np.random.default_rng(0)
    with EpisodeStore.create(folder, contract) as store:
        for number in range(episodes):
            images = {
                s.name: random.integers(0, 256, (steps + 1, s.height, s.width, 3), np.uint8) for s in contract.images
            }
            episode = Episode(
                images=images,
                proprio=random.normal(size=(steps + 1, contract.proprio_dim)).astype(np.float32),
                actions=random.uniform(-1, 1, (steps, contract.action_dim)).astype(np.float32),
                action_sources=np.full(steps, ActionSource.RANDOM, np.uint8),
                stamps=np.arange(steps + 1, dtype=np.int64) * 100_000_000 + 1,
                task="noise",
                source="random",
                outcome=Outcome.FAILURE,
                success_index=None,
                contract_hash=contract.hash,
                episode_id=f"{number}",
            )
            store.append(episode)
    return store


def dreaming(
    name: str, config: WorldModelConfig, contract: TaskContract, device: torch.device, batch: int, **options: Any
) -> Case:
    """One step of `batch` dreams."""
    model = WorldModel(config, contract).to(device).eval().requires_grad_(False)
    if options.pop("contiguous", False):
        model.to(memory_format=torch.contiguous_format)
    if options.pop("compile", False):
        model.denoiser.compile()
    d = config.denoiser
    frames = torch.rand(batch, d.history, d.image_channels, d.image_size, d.image_size, device=device) * 2 - 1
    dream, action = Dream(model, frames, seed=0), torch.zeros(batch, d.action_dim, device=device)
    gflops = denoiser_gflops(model.denoiser) * config.edm.steps
    return Case(name, batch, gflops, lambda: dream.step(action), **options)


def training(
    name: str, config: WorldModelConfig, settings: WorldModelTraining, store: EpisodeStore, **options: Any
) -> Case:
    """One optimisation step, without roll-outs of its own."""
    model = WorldModel(config, store.contract)
    if model.state_model is not None:
        model.state_model.requires_grad_(False)
    if options.pop("contiguous", False):
        model.to(memory_format=torch.contiguous_format)
    compiled = options.pop("compile", False)
    settings = replace(settings, batch_size=TRAINING_BATCH, compile=compiled)
    step = TrainingStep(model, FrameWindows(store, range(len(store)), config.denoiser.history), settings, seed=0)
    step.prepare()
    forward_and_backward = 3 * denoiser_gflops(model.denoiser)
    return Case(name, TRAINING_BATCH, forward_and_backward, lambda: step.take(0), **options)


def matrix_product(number_format: str, device: torch.device) -> Case:
    """The processor's own pace."""
    a, b = torch.rand(2, MATRIX, MATRIX, device=device, dtype=getattr(torch, number_format))
    return Case(f"matrix product, {number_format}", 1, 2 * MATRIX**3 / 1e9, lambda: a @ b)


def make_cases(preset: Preset, store: EpisodeStore, device: torch.device, compiled: bool) -> list[Case]:
    """All that is measured; the first is a matrix product in the number format of those that follow."""
    contract = store.contract
    config, settings = preset.world_model_config(contract), preset.world_model.training
    diamond = diamond_shape(config)
    usual, other = number_formats(device)
    found = [matrix_product(usual, device), matrix_product(other, device)]
    for steps in STEPS:
        setting = replace(config, edm=replace(config.edm, steps=steps))
        found += [dreaming(f"dream, steps {steps}, batch {n}", setting, contract, device, n) for n in BATCHES]
    found += [dreaming(f"dream, DIAMOND's shape, batch {n}", diamond, contract, device, n) for n in (1, 16, 64)]
    found.append(training("train", config, settings, store))
    found.append(training("train, DIAMOND's shape", diamond, settings, store))

    other_format = {"context": lambda: (bfloat16 if other == "bfloat16" else float32)(device)}
    alternatives: dict[str, dict[str, Any]] = {
        "torch's own layers": {"context": plain_layers},
        "not channels_last": {"context": plain_layers, "contiguous": True},
    }
    if compiled:
        alternatives["torch.compile"] = {"compile": True}
    for name, how in alternatives.items():
        found.append(dreaming(f"dream, {name}, steps 1, batch 64", config, contract, device, 64, **how))
        found.append(training(f"train, {name}", config, settings, store, **how))
    found.append(dreaming(f"dream, {other}, steps 1, batch 64", config, contract, device, 64, **other_format))
    if other == "bfloat16":  # accelerate keeps to the format that it began with
        found.append(training(f"train, {other}", config, settings, store, **other_format))
    return found
