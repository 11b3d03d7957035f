"""Which weights a checkpoint folder holds, and what they have learned from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from torch import nn

from world4rl_wm.checkpoint import PROVENANCE, WEIGHTS


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


def learned_from(checkpoint: Path, content_hash: str) -> bool:
    """Whether a checkpoint was trained on the store of this content hash, as far as its provenance tells."""
    path = checkpoint / PROVENANCE
    data = json.loads(path.read_text()).get("data", {}) if path.is_file() else {}
    return content_hash in data.values()
