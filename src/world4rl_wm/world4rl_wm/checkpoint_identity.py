"""Which weights a checkpoint folder holds, and what they have learned from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from torch import nn

from world4rl_data.store import EpisodeInfo, EpisodeStore
from world4rl_wm.checkpoint import EPISODES, PROVENANCE, WEIGHTS


def weights_digest(checkpoint: Path) -> str:
    """16 hex digits that change with a checkpoint's weights."""
    return hashlib.sha256((checkpoint / WEIGHTS).read_bytes()).hexdigest()[:16]


def place_and_weights(checkpoint: Path, digest: str = "") -> str:
    """A checkpoint by its place and its weights, for a record: what is trained anew there is something else.

    `digest`: of its weights, where that is known already.
    """
    return f"{checkpoint} {digest or weights_digest(checkpoint)}"


def module_digest(module: nn.Module) -> str:
    """As `weights_digest`, of a model in memory, with its `config`."""
    digest = hashlib.sha256(json.dumps(asdict(module.config)).encode())
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def known_by(info: EpisodeInfo) -> str:
    """16 hex digits of an episode's data, by which checkpoints remember it, in whatever store it lies."""
    return info.digest[:16]


def learned_episodes(checkpoint: Path) -> frozenset[str] | None:
    """What the episodes that a checkpoint was trained on are known by; None: it does not tell, as older ones do not."""
    path = checkpoint / EPISODES
    return frozenset(json.loads(path.read_text())) if path.is_file() else None


def learned_from(checkpoint: Path, store: EpisodeStore, episodes: Sequence[int]) -> int:
    """How many of the store's `episodes` a checkpoint was trained on, as far as it tells.

    One that does not tell its episodes tells the content of its store, and has learned from all of that very one.
    """
    known = learned_episodes(checkpoint)
    if known is not None:
        return sum(known_by(store.infos[episode]) in known for episode in episodes)
    path = checkpoint / PROVENANCE
    data = json.loads(path.read_text()).get("data", {}) if path.is_file() else {}
    return len(episodes) if store.content_hash in data.values() else 0
