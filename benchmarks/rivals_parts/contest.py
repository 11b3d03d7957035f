"""A contest: rivals trained on the same data for the same seconds of CPU, one after the other, and measured alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rivals_parts.rival import Rival
from rivals_parts.scores import EVERY, Dreamed, open_loop, outcomes
from rivals_parts.world_models import TrainedWorldModel, state_model
from torch import Tensor

from world4rl.runs.machine import machine
from world4rl.settings import Preset
from world4rl_data.durable import replace_file
from world4rl_data.store import EpisodeStore
from world4rl_wm.checkpoint import provenance
from world4rl_wm.measures.replay_check import rate_text
from world4rl_wm.model.frames import FrameWindows
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig


@dataclass
class Contest:
    """What all rivals share: settings, episodes to learn from, fresh ones to be measured on, and `seconds` of CPU."""

    preset: Preset
    learned: EpisodeStore
    fresh: EpisodeStore
    seconds: float
    windows: FrameWindows = field(init=False)

    def __post_init__(self) -> None:
        named = [info.task for info in self.learned.infos]
        self._config = config = self.preset.world_model_config(self.learned.contract).told(named)
        self._state_models: dict[int, tuple[dict[str, Tensor], float]] = {}
        self.windows = FrameWindows(self.learned, range(len(named)), config.denoiser.history, config.tasks)

    def world_model(
        self,
        seed: int,
        kind: type[WorldModel] = WorldModel,
        learning_rate: float | None = None,
        shape: Callable[[WorldModelConfig], WorldModelConfig] = lambda config: config,
        **denoiser: Any,
    ) -> TrainedWorldModel:
        """A world model of the preset, with another `shape` or `denoiser` where that is said."""
        training = self.preset.world_model.training
        if seed not in self._state_models:
            shared = state_model(self._config, self.learned.contract, self.windows, training.state, seed)
            self._state_models[seed] = shared
        config = shape(replace(self._config, denoiser=replace(self._config.denoiser, **denoiser)))
        training = replace(training, learning_rate=learning_rate or training.learning_rate)
        torch.manual_seed(seed)
        model = kind(config, self.learned.contract)
        return TrainedWorldModel(model, self.windows, training, self._state_models[seed], self.seconds, seed)

    def measure(self, rival: Rival, seed: int) -> dict[str, Any]:
        dreamed = Dreamed.of(rival, self.fresh, self.windows.history, seed, EVERY)
        learned = Dreamed.of(rival, self.learned, self.windows.history, seed)
        return {
            "trained": asdict(rival.trained),
            "frames_per_cpu_s": round(dreamed.frames_per_cpu_s, 1),
            "errors": open_loop(dreamed),
            "outcomes": outcomes(dreamed, learned, self.preset, seed),
        }


Maker = Callable[[Contest, int], Rival]
"""Trains a rival with a seed."""


def run(name: str, contest: Contest, makers: Mapping[str, Maker], seeds: Sequence[int], out: Path) -> dict[str, Any]:
    """Train and measure what `out` does not hold yet, seed by seed; `out` is written after each."""
    hashes = {"learned": contest.learned.content_hash, "fresh": contest.fresh.content_hash}
    training = {"world_model": asdict(contest.preset.world_model), "reward": asdict(contest.preset.reward)}
    setting = {"cpu_s": contest.seconds, "data": hashes, **json.loads(json.dumps(training))}
    result: dict[str, Any] = {"benchmark": name, "setting": setting, "runs": []}
    if out.is_file():
        before = json.loads(out.read_text())
        if before["setting"] != setting:
            raise SystemExit(f"{out} holds results of other settings or data: give another --out, or remove it")
        result["runs"] = before["runs"]
    done = {(row["rival"], row["seed"]) for row in result["runs"]}
    for seed in seeds:
        for rival, make in makers.items():
            if (rival, seed) not in done:
                row = {"rival": rival, "seed": seed, **contest.measure(make(contest, seed), seed), "machine": machine()}
                result["runs"].append(row)
                replace_file(out, json.dumps(result | {"provenance": provenance(None, hashes)}, indent=1) + "\n")
                check = row["outcomes"]["replay_check"]
                print(f"{rival}, seed {seed}: J {rate_text(check['j'])}", flush=True)
    return result
