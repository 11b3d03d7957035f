"""A run of the loop: its folder, its settings, and the episodes that it has gathered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from world4rl.episodes.collect import Behaviour, collect
from world4rl.runs.seed_ranges import SeedRanges
from world4rl.settings import Preset
from world4rl.episodes.simulation import contract_for
from world4rl_data.contract import TaskContract
from world4rl_data.durable import replace_file
from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore, StoreError


@dataclass(frozen=True)
class ResultFolder:
    """A folder of checkpoints and of JSON files that are whole or not there."""

    path: Path

    def checkpoint(self, name: str) -> Path:
        return self.path / "checkpoints" / name

    @property
    def start_checkpoint(self) -> Path:
        """The policy that refinement begins with; a run of before there was BC on dreams began with filtered BC."""
        start = self.checkpoint("start")
        return start if start.is_dir() else self.checkpoint("filtered_bc")

    def write(self, name: str, values: Any) -> None:
        """Write a JSON file of the folder, whole or not at all."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(values, indent=2))

    def read(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.path / name).read_text()))


@dataclass(frozen=True)
class Run(ResultFolder):
    """One run of the loop: a folder, a task, a seed and a preset. `contract_name`: None takes the task's own."""

    task: str
    seed: int
    preset_name: str
    preset: Preset
    progress: bool = True
    contract_name: str | None = None

    @cached_property
    def contract(self) -> TaskContract:
        return contract_for(self.task, self.contract_name)

    @property
    def seeds(self) -> SeedRanges:
        return SeedRanges(self.seed)

    def store(self, name: str) -> EpisodeStore:
        """An existing store of the run, or a new empty one."""
        path = self.path / "stores" / name
        if (path / "index.json").is_file():
            return EpisodeStore.open(path)
        return EpisodeStore.create(path, self.contract)


def successes(store: EpisodeStore) -> list[int]:
    """Rows of the successful episodes."""
    return store.select(outcome=Outcome.SUCCESS)


def collect_into(run: Run, store_name: str, behaviour: Behaviour, seeds: range, description: str) -> None:
    """Collect the episodes of `seeds` that the store does not hold yet."""
    store = run.store(store_name)
    have = {(i.seed, i.policy_id) for i in store.infos}
    policy = "" if behaviour.checkpoint is None else behaviour.checkpoint.name
    missing = [s for s in seeds if (s, policy) not in have]
    if missing:
        workers = run.preset.collect.workers
        episodes = collect(run.task, run.contract, behaviour, missing, workers, run.progress, description)
        with store, closing(episodes):
            for episode in episodes:
                store.append(episode)


def training_store(run: Run, *names: str) -> EpisodeStore:
    """One store with the episodes of several: a join is written once and then opened."""
    return joined_store(run.path / "stores" / "+".join(names), [run.store(name) for name in names])


def joined_store(path: Path, parts: Sequence[EpisodeStore]) -> EpisodeStore:
    """The store at `path` with the episodes of all `parts`, in their order, each once; what it lacks is added.

    Raises:
        StoreError: it was joined of other episodes than the parts hold now, or two of them share their id.
    """
    there = (path / "index.json").is_file()
    joined = EpisodeStore.open(path) if there else EpisodeStore.create(path, parts[0].contract)
    wanted = {(i.episode_id, i.digest): (part, row) for part in parts for row, i in enumerate(part.infos)}
    have = [(i.episode_id, i.digest) for i in joined.infos]
    if have != list(wanted)[: len(have)]:
        raise StoreError(
            f"{path} was joined of other episodes than {', '.join(str(part.path) for part in parts)} hold now: remove "
            "it, and what was made of it"
        )
    if len(have) < len(wanted):
        with joined:
            for part, row in list(wanted.values())[len(have) :]:
                joined.append(part.episode(row))
    return joined
