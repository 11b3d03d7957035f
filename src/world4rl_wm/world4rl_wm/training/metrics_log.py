"""Metrics as JSON lines: one object per line, readable while the run goes on."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from world4rl_data.durable import replace_file


class MetricsLog:
    """Append-only log; rows beyond `step` are dropped first, so that a resumed run does not repeat itself.

    `counted` is the column that counts the steps.
    """

    def __init__(self, path: Path, step: int = 0, counted: str = "step"):
        self.path = path
        self._rows = [row for row in read_metrics(path) if row.get(counted, 0) <= step]
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, "".join(json.dumps(row) + "\n" for row in self._rows))

    def write(self, **row: Any) -> dict[str, Any]:
        row["time"] = round(time.time(), 3)
        self._rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        return row

    def last(self, key: str) -> float:
        """The newest value of `key`, NaN when there is none."""
        return next((row[key] for row in reversed(self._rows) if key in row), math.nan)

    def total(self, key: str) -> float:
        """The sum of all values of `key`."""
        return float(sum(row[key] for row in self._rows if key in row))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole rows of a log; a line cut by a crash is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows
