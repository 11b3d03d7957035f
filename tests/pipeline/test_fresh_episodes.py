"""The stage of fresh episodes ends where it would have ended, however often it was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dream_rig import press_store

from world4rl import pipeline
from world4rl.pipeline import check_episodes
from world4rl.presets import load_preset
from world4rl.runs import run_folder
from world4rl.runs.run_folder import Run
from world4rl_data.episode import Episode

BATCH = 4
ENOUGH = ["replay_check.successes=3", "replay_check.failures=3", "replay_check.max_episodes=12"]


@pytest.mark.parametrize("interrupted_after", [None, 3, 6])
def test_an_interrupted_stage_ends_with_as_many_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted_after: int | None
) -> None:
    """Six episodes are enough of both outcomes, but batches are whole: two of them, with or without an interrupt."""
    made = press_store(tmp_path / "made", (2, 2), won=(0,))
    run = Run(tmp_path / "run", "press_button", 3, "tiny", load_preset("tiny", ENOUGH), progress=False)
    left = interrupted_after

    def collect(_: object, __: object, ___: object, seeds: list[int], *____: Any) -> Iterator[Episode]:
        nonlocal left
        for seed in seeds:
            if left == 0:
                left = None
                raise KeyboardInterrupt
            left = None if left is None else left - 1
            yield replace(made.episode(seed % 2), seed=seed, episode_id=f"fresh-{seed}", policy_id="scout")

    monkeypatch.setattr(run_folder, "collect", collect)
    monkeypatch.setattr(pipeline, "CHECK_BATCH", BATCH)
    if interrupted_after is not None:
        with pytest.raises(KeyboardInterrupt):
            check_episodes(run)
        assert len(run.store("check")) == interrupted_after
    check_episodes(run)
    assert [info.seed for info in run.store("check").infos] == list(run.seeds.take("replay_check", 2 * BATCH))
