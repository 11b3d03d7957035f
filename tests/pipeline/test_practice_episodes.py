"""The BC policy's episodes are dealt out over the noise levels, all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from world4rl import pipeline
from world4rl.episodes.collect import Behaviour
from world4rl.presets import load_preset
from world4rl.runs.run_folder import Run


@pytest.mark.parametrize(
    ("episodes", "dealt"), [(210, [70, 70, 70]), (200, [67, 67, 66]), (2, [1, 1, 0]), (0, [0, 0, 0])]
)
def test_no_episode_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, episodes: int, dealt: list[int]) -> None:
    parts: list[range] = []

    def collect_into(_: Run, __: str, behaviour: Behaviour, seeds: range, ___: str) -> None:
        if behaviour.checkpoint is not None:
            parts.append(seeds)

    monkeypatch.setattr(pipeline, "collect_into", collect_into)
    preset = load_preset("tiny", [f"collect.policy_episodes={episodes}"])
    run = Run(tmp_path, "press_button", 3, "tiny", preset, progress=False)
    pipeline.practice(run)
    assert [len(part) for part in parts] == dealt
    assert [seed for part in parts for seed in part] == list(run.seeds.take("train", episodes))
