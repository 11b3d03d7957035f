"""`episode.json`: what a bag's messages do not say - who, what, how it ended, under which contract."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .durable import replace_file
from .episode import Outcome

FORMAT = "world4rl-episode-1"
FILE_NAME = "episode.json"


class BagError(RuntimeError):
    """A bag that cannot be read or does not hold an episode; the message says what to do."""


@dataclass
class EpisodeRecord:
    """Stamps are in ns on the recorder's ROS clock; `contract` is the whole task contract as plain values."""

    episode_id: str
    task: str
    contract_hash: str
    contract: dict[str, Any]
    outcome: Outcome = Outcome.UNLABELLED
    start_ns: int = 0
    stop_ns: int = 0
    success_stamp_ns: int | None = None  # when success was seen; `stop_ns` where nothing but the stop tells
    operator_id: str = ""
    note: str = ""
    stop_note: str = ""
    messages: dict[str, int] = field(default_factory=dict)  # topic -> messages in the bag
    recovered: str = ""  # what `world4rl dataset recover` saved and lost; empty for a bag that its recorder closed
    dropped: dict[str, int] = field(default_factory=dict)  # topic -> messages lost on the way to the bag

    @property
    def ended(self) -> bool:
        """Whether the episode was stopped and has its label."""
        return self.stop_ns > 0

    @property
    def seed(self) -> int | None:
        """Start state's seed, where the note gives one: `seed=7` or `{"seed": 7}`."""
        match = re.search(r"\bseed\b[\"']?\s*[=:]\s*(-?\d+)", self.note)
        return int(match[1]) if match else None

    def reported_success_ns(self, asked_ns: int) -> int:
        """When success was seen: as the stop note says (`success_stamp_ns=<number>`), else the stop's own stamp."""
        match = re.search(r"\bsuccess_stamp_ns=(\d+)", self.stop_note)
        return int(match[1]) if match else asked_ns

    def to_dict(self) -> dict[str, Any]:
        """What `episode.json` holds, as plain values."""
        return {"format": FORMAT, **asdict(self), "outcome": int(self.outcome), "outcome_name": self.outcome.name}

    @classmethod
    def from_text(cls, text: str, where: str) -> EpisodeRecord:
        """From the JSON of `to_dict`. Raises BagError naming `where` it came from."""
        try:
            data = json.loads(text)
            if data.pop("format") != FORMAT:
                raise ValueError(f"format is not {FORMAT}")
            data.pop("outcome_name")
            return cls(**{**data, "outcome": Outcome(data["outcome"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BagError(f"{where} is damaged ({error}); restore it from a copy or leave the episode out") from error

    def save(self, folder: Path) -> None:
        replace_file(folder / FILE_NAME, json.dumps(self.to_dict(), indent=1))

    @classmethod
    def load(cls, folder: Path) -> EpisodeRecord:
        path = folder / FILE_NAME
        if not path.is_file():
            raise BagError(
                f"{folder} has no {FILE_NAME}: not an episode of the World4RL recorder, or not closed properly"
            )
        return cls.from_text(path.read_text(errors="replace"), str(path))
