"""What each part of the refinement is worth, in a run's report, where `benchmarks/ablations.py` has tried it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ABLATIONS = "ablations.json"
"""In the run's folder: the benchmark's rows of this run."""


def ablation_rows(run: Path) -> list[dict[str, Any]]:
    """For each variant tried: `name`, `success` with `ci95`, whether the start policy was `kept`, and `difference` from
    filtered BC with its interval, paired on the same start states; empty where none was tried."""
    path = run / ABLATIONS
    if not path.is_file():
        return []
    rows = []
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        pair = row["paired"][f"{row['policy']}_vs_filtered_bc"]
        told = {"difference": pair["difference"], "difference_ci95": pair["ci95"], "kept": row["kept_start_policy"]}
        rows.append({"name": row["policy"], "success": row["success"], "ci95": row["ci95"], **told})
    return rows
