"""Whether what is done on a GPU comes to the same as on the CPU, but for rounding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_cpu import plain_cpu
from pretend_gpu import pretend_gpu
from safetensors.torch import load_file

from world4rl_wm.training.metrics_log import read_metrics

SECONDS = {"time", "dream_s", "learn_s", "judge_s"}


def on_both(run: Callable[[Path], Any], folder: Path) -> None:
    """`run`, in a folder of its own each time, gives the same on both."""
    found = []
    for place in (plain_cpu, pretend_gpu):
        with place() as device:
            found.append(run(folder / device.type))
    assert_same(*found)


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Numbers, by name or in rows."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            assert_same(one[name], other[name], f"{where}/{name}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}/{number}")
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-4, nan_ok=True), f"{where}: {one}, {other}"
    else:
        assert one == other, f"{where}: {one}, {other}"


def assert_learned_alike(one: Path, other: Path) -> None:
    """All weights of two checkpoints but a few: a bias before normalisation has no gradient but rounding."""
    ours, theirs = (load_file(path / "model.safetensors") for path in (one, other))
    assert ours.keys() == theirs.keys()
    near = torch.cat([(ours[name] - theirs[name]).abs().flatten() < 1e-5 for name in ours])
    assert float(near.float().mean()) > 0.98


def curve(metrics: Path) -> list[dict[str, Any]]:
    """The rows of a training's metrics.jsonl, but for its seconds."""
    return [{name: value for name, value in row.items() if name not in SECONDS} for row in read_metrics(metrics)]
