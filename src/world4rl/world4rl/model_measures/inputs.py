"""Which models and episodes are measured: a run folder or a single checkpoint, and stores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from world4rl.errors import CommandError, existing
from world4rl.runs.load_run import CONFIG, ROW, load_run
from world4rl.runs.record import COMMAND
from world4rl_data.store import EpisodeStore
from world4rl_wm.checkpoint import PROVENANCE
from world4rl_wm.checkpoint_identity import known_by, learned_episodes
from world4rl_wm.imagination.env import ImaginationConfig


@dataclass(frozen=True)
class Inputs:
    """`hits`: dreamed frames in a row that make a success; `seed`: of the run; `learned`: see `learned_digests`."""

    world_model: Path
    reward: Path | None
    stores: tuple[Path, ...]
    out: Path
    hits: int
    seed: int
    learned: set[str] | None


@dataclass(frozen=True)
class Group:
    """Episodes of one store, task and source. `seen`: the world model has learned from them; None: not known."""

    store: EpisodeStore
    task: str
    source: str
    seen: bool | None
    episodes: list[int]

    @property
    def name(self) -> str:
        """For titles; two groups may share it."""
        seen = ", seen in training" if self.seen else ""
        return f"{self.task}, {self.source} episodes of {self.store.path.name}{seen}"


def find_inputs(model: Path, reward: Path | None, stores: Sequence[Path], out: Path | None, seed: int | None) -> Inputs:
    """What MODEL, a run folder or a world-model checkpoint, brings along for what was not given.

    Raises:
        CommandError: a folder is missing or is no such thing.
    """
    existing(model, "run or checkpoint")
    run = model if (model / "checkpoints").is_dir() else None
    hits, of_run = ImaginationConfig().hits, 0
    if run is not None:
        model = existing(run / "checkpoints" / "world_model_a", "world model")
        if reward is None and (run / "checkpoints" / "reward_a").is_dir():
            reward = run / "checkpoints" / "reward_a"
        if not stores and (run / "stores" / "check").is_dir():
            stores = (run / "stores" / "check",)
        if (run / CONFIG).is_file() or (run / ROW).is_file():
            loaded = load_run(run)
            hits, of_run = loaded.preset.imagination.hits, loaded.seed
        out = out or run / "measures"
    if not (model / "model.safetensors").is_file():
        raise CommandError(f"{model} is neither a run nor a checkpoint: give runs/NAME, or what `world4rl train` wrote")
    for path in stores:
        existing(path, "store")
    if reward is not None:
        existing(reward, "reward model")
    out = out or model.with_name(f"{model.name}.measures")
    learned = learned_digests(model, run)
    return Inputs(model, reward, tuple(stores), out, hits, of_run if seed is None else seed, learned)


def learned_digests(model: Path, run: Path | None) -> set[str] | None:
    """What the episodes that a world model was trained on are known by; None where that is not to be found.

    Of a checkpoint that does not tell them, their store is looked for among the run's and where the record of its
    training says, by the hash in the checkpoint.
    """
    known = learned_episodes(model)
    if known is not None:
        return set(known)
    provenance = model / PROVENANCE
    wanted = json.loads(provenance.read_text()).get("data", {}).get("store") if provenance.is_file() else None
    places = sorted((run / "stores").iterdir()) if run is not None and (run / "stores").is_dir() else []
    record = model.with_name(f"{model.name}.training") / COMMAND
    if record.is_file():
        places.append(Path(yaml.safe_load(record.read_text())["settings"]["store"]))
    for place in places:
        if (place / "index.json").is_file():
            store = EpisodeStore.open(place)
            if store.content_hash == wanted:
                return {known_by(info) for info in store.infos}
    return None


def groups_of(store: EpisodeStore, learned: set[str] | None, most: int) -> list[Group]:
    """The store's episodes by task, source and whether they were learned from; of each kind at most `most`, evenly."""
    found: dict[tuple[str, str, bool | None], list[int]] = {}
    for row, info in enumerate(store.infos):
        if info.length:
            seen = None if learned is None else known_by(info) in learned
            found.setdefault((info.task, info.source, seen), []).append(row)
    groups = []
    for (task, source, seen), rows in sorted(found.items(), key=str):
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))
        groups.append(Group(store, task, source, seen, [rows[i] for i in chosen]))
    return groups
