"""A contest's result as a table: means over the seeds, with intervals for what decides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from world4rl.runs.outcomes import decode_outcomes
from world4rl_policy.statistics import crossed_interval

HEAD = (
    "rival",
    "seeds",
    "parameters",
    "steps",
    "CPU s",
    "PSNR 1 / 5 / 15 [dB]",
    "moving 1 / 5 / 15",
    "TPR",
    "FPR",
    "J [95 %]",
    "failures told as such [95 %]",
    "frames / CPU s",
)


def table(result: dict[str, Any]) -> str:
    """Markdown, a row per rival."""
    rivals = dict.fromkeys(row["rival"] for row in result["runs"])
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(_cells(name, result["runs"])) + " |" for name in rivals]
    return "\n".join(lines)


def _cells(name: str, runs: list[dict[str, Any]]) -> list[str]:
    rows = [row for row in runs if row["rival"] == name]

    def mean(*path: str) -> float:
        return float(np.mean([_at(row, path) for row in rows]))

    errors = {m: _at(rows[0], ("errors", m)) for m in ("psnr", "moving")}
    psnr, moving = ([mean("errors", m, h, "mean") for h in errors[m]] for m in errors)
    return [
        name,
        str(len(rows)),
        f"{mean('trained', 'parameters') / 1e6:.2f} M",
        f"{mean('trained', 'steps'):.0f}",
        f"{mean('trained', 'cpu_s'):.0f}",
        " / ".join(f"{value:.1f}" for value in psnr),
        " / ".join(f"{value:.3f}" for value in moving),
        f"{mean('outcomes', 'replay_check', 'tpr'):.2f}",
        f"{mean('outcomes', 'replay_check', 'fpr'):.2f}",
        _interval([_j(row) for row in rows]),
        _interval([1 - dreamed[~real] for real, dreamed in map(_outcomes, rows)]),
        f"{mean('frames_per_cpu_s'):.0f}",
    ]


def _at(row: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = row
    for key in path:
        value = value[key]
    return value


def _outcomes(row: dict[str, Any]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    real, dreamed = (decode_outcomes(row["outcomes"][name]) for name in ("real", "dreamed"))
    return real.astype(bool), dreamed


def _j(row: dict[str, Any]) -> NDArray[np.float64]:
    """Per episode, such that the mean over the episodes is J = TPR - FPR, for resampled ones too (to first order): how
    many of those really succeed does not move it."""
    real, dreamed = _outcomes(row)
    tpr, fpr = dreamed[real].mean(), dreamed[~real].mean()
    weight = np.where(real, 1 / real.mean(), -1 / (~real).mean())
    return tpr - fpr + weight * (dreamed - np.where(real, tpr, fpr))


def _interval(values: list[NDArray[np.float64]]) -> str:
    mean, low, high = crossed_interval(values)
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"
