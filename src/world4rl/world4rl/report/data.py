"""Reads a run folder for the report. What is not there stays None or empty: nothing is made up."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from world4rl.presentation.clips import Clip, read_clips
from world4rl_wm.training.metrics_log import read_metrics

POLICIES = {
    "bc": "Behaviour cloning",
    "filtered_bc": "Filtered BC",
    "refined": "Refined in imagination",
}


class RunError(RuntimeError):
    """A folder that is no run, or one with an unreadable file."""


@dataclass(frozen=True)
class Rate:
    """A success rate in [0, 1] with its 95 % interval, over `episodes` (None where unknown)."""

    key: str
    name: str
    success: float
    interval: tuple[float, float] | None
    episodes: int | None


@dataclass(frozen=True)
class RunData:
    """Everything that a run folder holds for the report; `uncertainty_picture` is a data URI."""

    path: Path
    summary: dict[str, Any]
    rates: list[Rate]
    stages: dict[str, float]
    world_model_loss: dict[str, list[tuple[float, float]]]
    refinement: list[dict[str, Any]]
    replay_check: dict[str, Any]
    measures: dict[str, Any]
    loop: dict[str, Any]
    uncertainty: dict[str, Any]
    uncertainty_picture: str
    clips: list[Clip]
    clips_left_out: list[str]
    config: str


def read_run(run: Path | str) -> RunData:
    """Read a run folder, finished or not.

    Raises:
        RunError: no such folder, a folder without any result, or a damaged file.
    """
    run = Path(run)
    if not run.is_dir():
        raise RunError(f"{run} is no folder: give a run folder such as runs/demo")
    summary = _json(run / "summary.json")
    clips, left_out = read_clips(run)
    data = RunData(
        path=run,
        summary=summary,
        rates=_rates(run, summary),
        stages=_stages(run, summary),
        world_model_loss=_losses(run),
        refinement=read_metrics(run / "refine" / "metrics.jsonl"),
        replay_check=summary.get("replay_check") or _json(run / "replay_check.json"),
        measures=_json(run / "measures" / "measures.json"),
        loop=_json(run / "loop.json"),
        uncertainty=summary.get("uncertainty") or _json(run / "uncertainty.json"),
        uncertainty_picture=_picture(run / "uncertainty.png"),
        clips=clips,
        clips_left_out=left_out,
        config=_text(run / "config.yaml"),
    )
    if not (data.summary or data.rates or data.stages or data.world_model_loss or data.clips or data.config):
        raise RunError(f"{run} holds no run: run `world4rl demo --run {run}` first")
    return data


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is damaged ({error}): remove it and run the same command again") from error
    if not isinstance(values, dict):
        raise RunError(f"{path} must hold an object, not {type(values).__name__}")
    return values


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    text = path.read_text()
    try:
        yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RunError(f"{path} is damaged ({error})") from error
    return text


def _rates(run: Path, summary: dict[str, Any]) -> list[Rate]:
    """From the summary where there is one, else from the evaluations that are done."""
    rates = []
    intervals = summary.get("ci95") or {}
    for key, name in POLICIES.items():
        success = summary.get(f"{key}_success")
        if success is not None:
            rates.append(Rate(key, name, float(success), _pair(intervals.get(key)), summary.get("episodes")))
        else:
            rates += _evaluated(run / "evaluation" / f"{key}.json", key, name)
    graph = summary.get("graph") or {}
    name = "On the ROS graph"
    if graph.get("success") is not None:
        rates.append(Rate("graph", name, float(graph["success"]), _pair(graph.get("ci95")), graph.get("episodes")))
    else:
        rates += _evaluated(run / "evaluation" / "graph.json", "graph", name)
    return rates


def _evaluated(path: Path, key: str, name: str) -> list[Rate]:
    success = _json(path).get("success") or []
    if not success:
        return []
    from world4rl_policy.statistics import wilson_interval

    interval = wilson_interval(sum(map(bool, success)), len(success))
    return [Rate(key, name, sum(map(bool, success)) / len(success), interval, len(success))]


def _pair(values: Any) -> tuple[float, float] | None:
    return (float(values[0]), float(values[1])) if values is not None else None


def _stages(run: Path, summary: dict[str, Any]) -> dict[str, float]:
    """Seconds of the finished stages, in order."""
    entries = _json(run / "stages.json")
    stages = {name: float(entry["wall_s"]) for name, entry in entries.items() if entry.get("done", True)}
    return stages or {name: float(s) for name, s in (summary.get("wall_s") or {}).items()}


def _losses(run: Path) -> dict[str, list[tuple[float, float]]]:
    losses = {}
    for path in sorted(run.glob("checkpoints/world_model*.training/metrics.jsonl")):
        points = [(float(r["step"]), float(r["loss"])) for r in read_metrics(path) if "loss" in r and "step" in r]
        if points:
            losses[path.parent.name.removesuffix(".training").replace("_", " ")] = points
    return losses


def _picture(path: Path) -> str:
    """A PNG as a data URI, empty where there is none."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode() if path.is_file() else ""
