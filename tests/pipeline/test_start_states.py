"""Start states without episodes are those that episodes of the same seeds begin at, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from world4rl.episodes.collect import Behaviour
from world4rl.presets import load_preset
from world4rl.runs.run_folder import Run, collect_into
from world4rl.runs.start_states import start_states
from world4rl_wm.model.frames import StartStates


def test_they_are_where_episodes_begin(tmp_path: Path) -> None:
    run = Run(tmp_path, "press_button", 3, "tiny", load_preset("tiny", ["collect.workers=1"]), progress=False)
    collect_into(run, "some", Behaviour("random"), run.seeds.take("select", 2), "")
    episodes, alone = StartStates.of(run.store("some"), range(2)), start_states(run, run.seeds.take("select", 2))
    assert alone.digest == episodes.digest
    assert not np.array_equal(alone.frames[0], alone.frames[1])
