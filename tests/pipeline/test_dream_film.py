"""Films and plots: what is drawn is what was computed, at any size of frames, without a display."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from dream_rig import press_run

from world4rl.cli import main
from world4rl.presentation.drawing import ERROR_RANGE, SAMPLES, error_map
from world4rl.presentation.dream_film import DreamFilm
from world4rl.presentation.plot import Curve, plot
from world4rl_wm.uncertainty.kind import UncertaintyKind


def film(size: int = 32, samples: int = 2, steps: int = 4, known: int = 5, compared: bool = True) -> DreamFilm:
    real = np.full((known, 6, size, size), 100, np.uint8)
    imagined = np.full((samples, steps + 1, 6, size, size), 100, np.uint8)
    imagined[-1, 2:] = 151  # the last dream is wrong by a fifth of the range from step 2 on
    numbers = np.linspace(0, 1, steps + 1)[None].repeat(samples, 0)
    kind = UncertaintyKind.DISAGREEMENT
    return DreamFilm("a title", real, imagined, numbers, numbers[0, :known], numbers / 10, kind, compared)


def colours(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


def test_error_is_measured_where_reality_is_known() -> None:
    np.testing.assert_allclose(film().error, [[0, 0, 0, 0, 0], [0, 0, 0.2, 0.2, 0.2]])
    assert np.isnan(film(known=3).error[:, 3:]).all() and not np.isnan(film(known=3).error[:, :3]).any()
    assert np.isnan(film(compared=False).error).all(), "a policy's dream goes another way: it cannot be wrong"


def test_error_map_is_black_where_equal_and_brighter_where_worse() -> None:
    one = np.full((6, 4, 4), 100, np.uint8)
    other = one.copy()
    other[3:, 0, 0] += round(ERROR_RANGE * 255 / 2)
    other[3:, 1, 1] += round(ERROR_RANGE * 255)
    shown = error_map(one, other).astype(int)
    assert shown.shape == one.shape and shown[:3].max() < 10, "the first stream is equal"
    sums = shown[3:].sum(0)
    assert sums[2, 2] < 10 < sums[0, 0] < sums[1, 1]


@pytest.mark.parametrize("size", [7, 32, 300])
def test_pictures_of_any_size_are_even_and_wide_enough_to_read(size: int) -> None:
    pictures = list(film(size).pictures())
    assert len(pictures) == 5 and len({p.shape for p in pictures}) == 1
    height, width, _ = pictures[0].shape
    assert height % 2 == width % 2 == 0 and width >= 800


def test_panels_stand_in_their_places() -> None:
    """real | imagined | error of each dream in a row of its own; the second dream is wrong in the end."""
    pictures = list(film(samples=2).pictures(scale=5))
    rows = [44 + 80, 44 + 160 + 10 + 80]
    real, imagined, error = ([p[rows] for p in (pictures[0][:, x], pictures[-1][:, x])] for x in (160, 490, 820))
    assert (real[0] == 100).all() and (real[1] == 100).all()
    assert (imagined[0] == 100).all() and (imagined[1][0] == 100).all() and (imagined[1][1] == 151).all()
    assert error[0].max() < 10 and error[1][0].max() < 10 and error[1][1].max() > 100


def test_curves_grow_with_the_film() -> None:
    counts = [(p[-190:, :400] == SAMPLES[0]).all(-1).sum() for p in film(samples=1).pictures()]
    assert all(a < b for a, b in pairwise(counts))


def test_plot_draws_finite_points_and_cuts_at_its_edges() -> None:
    red = (255, 0, 0)
    empty = plot(300, 200, "t", [Curve("", [(1, math.nan)], red)], 10, 1)
    assert red not in colours(empty)
    for point in ((5, 99.0), (5, -99.0), (99, 0.5)):
        assert red in colours(plot(300, 200, "t", [Curve("", [point], red, dots=True)], 10, 1))
    low, high = (
        np.argwhere((plot(300, 200, "t", [Curve("", [(5, y)], red)], 10, 1) == red).all(-1))[:, 0].mean()
        for y in (0.1, 0.9)
    )
    assert low > high, "up is more"


def test_odd_films_are_refused(tmp_path: Path) -> None:
    good = film()
    with pytest.raises(ValueError, match="real frames must be uint8"):
        DreamFilm(**vars(good) | {"real": good.real.astype(float)})
    with pytest.raises(ValueError, match="imagined frames"):
        DreamFilm(**vars(good) | {"imagined": good.imagined[..., :5]})
    with pytest.raises(ValueError, match="one value per imagined frame"):
        DreamFilm(**vars(good) | {"success": good.success[:, :2]})
    with pytest.raises(ValueError, match="fps must be above 0"):
        good.write(tmp_path / "a.mp4", 0)
    assert not list(tmp_path.iterdir())


def test_a_run_folder_gives_store_and_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Calibrated first, the film's uncertainty is an expected error; several dreams differ by their noise."""
    run = press_run(tmp_path / "run")
    assert main(["calibrate-uncertainty", "--run", str(run), "--noise-dreams", "1", "--bins", "3"]) == 0
    text = capsys.readouterr().out
    assert "models: AUROC" in text and "noise: AUROC" in text and "the step's number alone: AUROC" in text
    assert (run / "checkpoints" / "world_model_a" / "uncertainty.png").stat().st_size > 1000
    assert json.loads((run / "stores" / "check" / "commands.jsonl").read_text())["command"] == "calibrate-uncertainty"
    assert main(["imagine", "--run", str(run), "--episode", "3", "--samples", "2", "--device", "cpu"]) == 0
    assert "uncertainty: expected mean absolute error" in capsys.readouterr().out
    path = run / "clips" / "dream-3.mp4"
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 7 + 6
    rows = [json.loads(line) for line in (path.with_suffix(".run") / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 6 and all(len(row["success_probability"]) == len(row["uncertainty"]) == 2 for row in rows)
    assert rows[-1]["picture_error"][0] != rows[-1]["picture_error"][1]
    assert all(0 < value < 1 for row in rows for value in row["uncertainty"] + row["picture_error"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["imagine"], "give --store, or --run with the folder of a finished `world4rl demo` or row of `world4rl bench"),
        (["imagine", "--run", "/nowhere"], "run /nowhere does not exist"),
        (["imagine", "--samples", "0"], "--samples and --scale must be at least 1"),
        (["calibrate-uncertainty", "--store", "/nowhere", "--world-model", "/"], "store /nowhere does not exist"),
        (["calibrate-uncertainty", "--held-out", "1"], "held_out and wrong_quantile must lie between 0 and 1"),
        (["play", "--actions", "a.npy", "--joy", "/joy"], "give one of --actions, --joystick and --joy"),
    ],
)
def test_what_is_missing_is_named(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err
