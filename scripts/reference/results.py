"""Every measured figure on file: the demo's seeds with intervals, and each benchmark's JSON as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.reference.tables import opening, table

POLICIES = {"bc": "BC", "filtered_bc": "filtered BC", "refined": "refined"}
_LONGEST_LIST = 4


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def demo_section(summaries: list[dict[str, Any]]) -> str:
    """Success [%] with its 95 % interval and paired differences [points], seed by seed."""
    rates = [
        (f"{s['seed']}", *(f"{_percent(s[f'{p}_success'])} [{_range(s['ci95'][p])}]" for p in POLICIES))
        for s in summaries
    ]
    pairs = sorted({pair for s in summaries for pair in s["paired"]})
    differences = [(f"{s['seed']}", *(_difference(s["paired"].get(pair)) for pair in pairs)) for s in summaries]
    names = [" minus ".join(POLICIES[name] for name in pair.split("_vs_")) for pair in pairs]
    lines = [
        "## world4rl demo",
        f"Task `{summaries[0]['task']}`, {summaries[0]['episodes']} held-out start states for each seed. The means "
        "over the seeds, with their intervals: [results](../results.md#the-three-seeds).",
        "Success [%] and its 95 % interval (Wilson):",
        table(("seed", *POLICIES.values()), rates),
        "Differences on the same start states [percentage points] and their 95 % intervals (bootstrap over episodes):",
        table(("seed", *names), differences),
    ]
    return "\n\n".join(lines)


def _range(interval: list[float]) -> str:
    return " to ".join(_percent(value) for value in interval)


def _difference(paired: dict[str, Any] | None) -> str:
    if paired is None:
        return "not measured"
    low, high = paired["ci95"]
    return f"{100 * paired['difference']:+.1f} [{100 * low:+.1f} to {100 * high:+.1f}]"


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted name and value of everything in a JSON file; of long lists of numbers the length and both ends."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flat(item, f"{prefix} / {key}" if prefix else key)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for number, item in enumerate(value, 1):
            yield from flat(item, f"{prefix} / {number}")
    elif isinstance(value, list) and len(value) > _LONGEST_LIST:
        yield prefix, f"{len(value)} values, {value[0]} ... {value[-1]}"
    elif value not in ("", [], None):
        yield prefix, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def results_page(root: Path) -> str:
    """The page of all files in benchmarks/results."""
    files = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in _files(root)}
    demos = {name: files.pop(name) for name in list(files) if name.startswith("demo-seed")}
    pieces = [opening("Results on file", "`benchmarks/results`")]
    pieces.append("How they were measured, and what they do not say: [how results are measured](../results.md).")
    if demos:
        pieces.append(demo_section(list(demos.values())))
    for name, content in files.items():
        rows = [(key, found) for key, found in flat(content)]
        pieces.append(f"## {name}\n\n{table(('figure', 'value'), rows)}")
    return "\n\n".join(pieces) + "\n"


def _files(root: Path) -> list[Path]:
    return sorted((root / "benchmarks/results").glob("*.json"))
