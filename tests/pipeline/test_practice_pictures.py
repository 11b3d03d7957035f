"""What a refinement shows of the practice: curves and films."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from dream_rig import CONTRACT, policy, press_store
from plain_refinement import CONFIG, DREAM, refined

from world4rl.refinement.dreamed import Dreamer
from world4rl.refinement.practice_film import practice_film
from world4rl_wm.model.frames import StartStates
from world4rl_wm.reward.model import RewardModel


def test_tensorboard_shows_the_practice(tmp_path: Path) -> None:
    """Curves of every iteration, and a film of the start policy and of each that the judge looks at."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    refined(tmp_path)
    board = EventAccumulator(str(tmp_path / "refine" / "tensorboard")).Reload()
    assert [point.step for point in board.Scalars("refinement/imagined_success")] == [1, 2]
    assert [point.step for point in board.Scalars("refinement/judged_success")] == [0, 1, 2]
    films = board.Images("refinement/practice")
    assert [film.step for film in films] == [0, 1, 2]
    size, streams = CONTRACT.images[0].height, len(CONTRACT.images)
    assert (films[0].width, films[0].height) == (streams * size, 2 * (size + 2))  # dreams x (pixels + bar)


def test_the_film_of_the_practice_stands_still_and_turns_green_with_success(tmp_path: Path) -> None:
    starts = StartStates.of(press_store(tmp_path / "store"), [0, 1])
    sure = RewardModel(replace(DREAM.reward_model.config, threshold=-1.0), CONTRACT).eval()  # everything is success
    for judge, ended in ((sure, True), (DREAM.reward_model, False)):
        film = practice_film(policy(), Dreamer(DREAM.world_model, judge), starts, CONFIG.imagination)
        bar = film[:, -1, 0]  # below the last dream
        assert len(film) == 3 and (bar[:, 1] > bar[:, 0]).tolist() == [False, ended, ended]
        assert np.array_equal(film[1], film[2]) == ended
        assert not np.array_equal(film[0], film[1])
