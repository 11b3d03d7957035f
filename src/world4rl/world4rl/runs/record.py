"""What a command leaves beside its output: settings, seed, versions and metrics; and whether it was done before."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from world4rl.errors import CommandError
from world4rl_data.durable import replace_file
from world4rl_wm.training.metrics_log import MetricsLog
from world4rl_wm.training.processes import main_process
from world4rl_wm.unfinished import unfinished

COMMAND, METRICS, HISTORY = "command.yaml", "metrics.jsonl", "commands.jsonl"


class Record:
    """The record of a command that makes one result, in a folder beside it.

    ``command.yaml`` holds command, settings, seed and provenance; ``metrics.jsonl`` what was measured.
    """

    def __init__(
        self,
        folder: Path,
        command: str,
        settings: Mapping[str, Any],
        seed: int | None,
        anew: bool = False,
        told: Collection[str] = (),
        placed: Collection[str] = (),
    ):
        """Open the record, or go on with that of the same command; `anew`: whatever its settings, begin it again.

        Args:
            told: names of settings that may change from call to call: the record tells the newest.
            placed: names of checkpoints among them, as `identified`: they may lie elsewhere now, with the same weights.

        Raises:
            CommandError: the folder holds work of another command or other settings.
        """
        self.folder = folder
        asked = {"command": command, "seed": seed, "settings": json.loads(json.dumps(dict(settings), default=str))}
        path = folder / COMMAND
        if path.is_file():
            self._values = yaml.safe_load(path.read_text())
            there = {k: self._values.get(k) for k in asked}
            changed = differences(_decisive(there, told, placed), _decisive(asked, told, placed))
            again = anew and self._values.get("command") == command
            if changed and not again and self._holds_work():
                raise CommandError(
                    f"{folder} holds work of other settings ({'; '.join(changed[:4])}): "
                    "give another --out, or remove it to start over"
                )
            if not changed and not again:
                if there != asked:
                    self._values |= asked
                    self._write()
                return
        from world4rl_wm.checkpoint import provenance

        folder.mkdir(parents=True, exist_ok=True)
        if anew:
            (folder / METRICS).unlink(missing_ok=True)
        self._values = asked | {"finished": False, "provenance": provenance(seed, {})}
        self._write()

    def _holds_work(self) -> bool:
        """Whether there is more than the record of a command that failed at once."""
        return self.finished or any(p.name != COMMAND and p.stat().st_size for p in self.folder.iterdir())

    @property
    def finished(self) -> bool:
        return bool(self._values.get("finished"))

    @property
    def log(self) -> MetricsLog:
        """metrics.jsonl, begun anew: for work that starts from the beginning when it is run again."""
        return MetricsLog(self.folder / METRICS, step=-1)

    def metric(self, **row: Any) -> None:
        """Add a row to metrics.jsonl."""
        if not main_process():
            return
        with (self.folder / METRICS).open("a") as file:
            file.write(json.dumps(row, default=str) + "\n")

    def finish(self) -> None:
        """Note that the result is complete: the same command again has nothing to do."""
        self._values["finished"] = True
        self._write()

    def _write(self) -> None:
        if not main_process():
            return
        replace_file(self.folder / COMMAND, yaml.safe_dump(self._values, sort_keys=False))


def _decisive(values: Mapping[str, Any], told: Collection[str], placed: Collection[str]) -> dict[str, Any]:
    """A record's values without what may change from call to call."""
    settings = {k: v for k, v in (values["settings"] or {}).items() if k not in told}
    weights = {k: settings[k].rsplit(" ", 1)[-1] for k in placed if isinstance(settings.get(k), str)}
    return {**values, "settings": settings | weights}


def note(folder: Path, command: str, settings: Mapping[str, Any], seed: int | None, results: Mapping[str, Any]) -> None:
    """Add a line to ``commands.jsonl`` of a folder that grows by several commands, such as a store."""
    from world4rl_wm.checkpoint import provenance

    row = {"command": command, "seed": seed, "settings": dict(settings), "results": dict(results)}
    with (folder / HISTORY).open("a") as file:
        file.write(json.dumps(row | {"provenance": provenance(seed, {})}, default=str) + "\n")


def noted(folder: Path) -> list[dict[str, Any]]:
    """The lines of ``commands.jsonl``, oldest first."""
    path = folder / HISTORY
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """``preset.ppo.clip: 0.2 there, 0.1 asked`` for every value that differs."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = list(old) + [k for k in new if k not in old]
        return [line for k in keys for line in differences(old.get(k), new.get(k), f"{where}.{k}".strip("."))]
    return [] if old == new else [f"{where}: {old} there, {new} asked"]


def checkpoint_digest(path: Path) -> str:
    """16 hex digits that change with a checkpoint's weights."""
    from world4rl_wm.checkpoint import WEIGHTS
    from world4rl_wm.checkpoint_identity import weights_digest

    if not (path / WEIGHTS).is_file():
        raise CommandError(unfinished(path) or f"{path} is no checkpoint: give the folder that `world4rl train` wrote")
    return weights_digest(path)


def identified(path: Path | None) -> str:
    """As `place_and_weights`; where there is no checkpoint, so it is told."""
    from world4rl_wm.checkpoint_identity import place_and_weights

    return str(path) if path is None else place_and_weights(path, checkpoint_digest(path))
