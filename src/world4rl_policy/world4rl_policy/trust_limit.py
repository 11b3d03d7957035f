"""The limit of surprise above which a policy is not trusted; kept beside the world model that it belongs to."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from world4rl_data.durable import replace_file
from world4rl_policy.surprise import parts_of
from world4rl_wm.checkpoint_identity import weights_digest
from world4rl_wm.model.world_model import WorldModel

TRUST = "trust.json"


class TrustError(RuntimeError):
    """There is no usable limit; the message says how to get one."""


@dataclass(frozen=True)
class TrustLimit:
    """Scales of the parts, the limit of the score, for how many steps; and on what it rests.

    The score of a step is its largest surprise in units of each part's scale.
    """

    scales: dict[str, float]
    limit: float
    steps: int
    weights: str  # digest of the world model that it holds for
    calibration_episodes: int
    held_out_episodes: int
    false_alarms: int  # of the held-out episodes
    false_alarm_ci95: tuple[float, float]
    store: str = ""
    store_hash: str = ""
    trained_on_store: bool = False
    calibration: dict[str, Any] | None = None

    def save(self, checkpoint: Path) -> Path:
        """Write `trust.json` into the world model's folder, as a whole or not at all."""
        return replace_file(checkpoint / TRUST, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, checkpoint: Path, model: WorldModel) -> TrustLimit:
        """Read a world model's `trust.json`.

        Raises:
            TrustError: there is none, it is damaged, or it was made for other weights.
        """
        path, mend = checkpoint / TRUST, "run `world4rl calibrate-trust` for this world model"
        if not path.is_file():
            raise TrustError(f"{checkpoint} has no {TRUST}: {mend}")
        try:
            values = json.loads(path.read_text())
            limit = cls(**{f.name: values[f.name] for f in fields(cls)})
            numbers = [limit.limit, limit.steps, *limit.scales.values()]
            good = all(math.isfinite(n) and n > 0 for n in numbers) and set(limit.scales) == set(
                parts_of(model.contract)
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrustError(f"{path} is damaged ({type(error).__name__}: {error}): {mend}") from error
        if not good:
            raise TrustError(f"{path} does not fit its world model ({limit.scales}, limit {limit.limit}): {mend}")
        if limit.weights != weights_digest(checkpoint):
            raise TrustError(f"{path} was made for other weights: {mend}")
        return limit
