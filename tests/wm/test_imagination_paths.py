"""Imagined paths lie where the state model says, in the colours that were asked for; uncertainty says what it means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_models
import torch
from small_models import camera_image, picture, small_contract

from world4rl_data.contract import TaskContract
from world4rl_wm.checkpoint import CheckpointError
from world4rl_wm.checkpoint_identity import weights_digest
from world4rl_wm.imagination.dream_stream import DreamStep, Watch
from world4rl_wm.imagination.imagined_path import UNKNOWN, ImaginedPaths, PathColours, colour_of, position_columns
from world4rl_wm.imagination.loaded_models import LoadedModels
from world4rl_wm.imagination.request import ContextSource, ImagineRequest
from world4rl_wm.imagination.service import ImaginationService
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.uncertainty.calibration import MODELS, CalibrationConfig, UncertaintyCalibration
from world4rl_wm.uncertainty.kind import UncertaintyKind, UncertaintyMap
from world4rl_wm.uncertainty.quality import SignalQuality

CONTRACT = small_contract()
RED, YELLOW, GREEN = (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 0.0)


def request(samples: int, seed: int = 3) -> ImagineRequest:
    context = [camera_image(picture(i)) for i in range(2)]
    return ImagineRequest(3, ContextSource.GIVEN, context, actions=[0.25] * 9, samples=samples, seed=seed)


def other_model() -> WorldModel:
    model = small_models.world_model(CONTRACT)
    generator = torch.Generator().manual_seed(9)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def step(success: list[float], uncertainty: list[float], positions: list[list[float]] | None = None) -> DreamStep:
    frames = torch.zeros(len(success), 6, 16, 16, dtype=torch.uint8)
    proprio = None if positions is None else torch.tensor(positions)
    success_probability = torch.tensor(success)
    return DreamStep(1, frames, success_probability, torch.tensor(uncertainty), proprio, progress=success_probability)


def test_position_columns_are_found_by_their_fields() -> None:
    assert position_columns(CONTRACT) == (0, 1, 2)
    values = TaskContract.load("franka_real").to_dict()
    assert position_columns(TaskContract.from_dict(values)) == (0, 1, 2)
    values["proprioception"] = values["proprioception"][::-1]
    values["proprioception"][1]["fields"] = ["pose.position.z", "pose.position.y", "pose.position.x"]
    assert position_columns(TaskContract.from_dict(values)) == (3, 2, 1), "after the finger, in the order written"
    values["proprioception"] = values["proprioception"][:1]
    assert position_columns(TaskContract.from_dict(values)) is None


def test_colours_go_from_red_to_green_and_grey_means_unknown() -> None:
    assert [colour_of(v) for v in (-1.0, 0.0, 0.5, 1.0, 2.0)] == [RED, RED, YELLOW, GREEN, GREEN]
    assert colour_of(float("nan")) == UNKNOWN


@pytest.mark.parametrize(
    "by, success, uncertainty, colours",
    [
        ("success_probability", [0.0, 1.0], [0.2, 0.0], [RED, GREEN]),
        ("uncertainty", [0.0, 0.0], [0.1, 0.2], [YELLOW, RED]),
        ("uncertainty", [1.0, 1.0], [0.0, 0.0], [GREEN, GREEN]),  # 0: not estimated, so the other one is shown
        ("success_probability", [float("nan")] * 2, [0.1, 0.0], [YELLOW, UNKNOWN]),
    ],
)
def test_what_a_colour_tells(by: str, success: list, uncertainty: list, colours: list) -> None:
    shown = PathColours(by, full_uncertainty=0.2).colours(step(success, uncertainty))  # type: ignore[arg-type]
    np.testing.assert_allclose(shown, colours, atol=1e-6)


def test_paths_run_from_the_real_arm_through_the_predicted_positions() -> None:
    service = ImaginationService(LoadedModels(world_model=small_models.world_model(CONTRACT)))
    paths, seen = ImaginedPaths((0, 1, 2)), []

    def start(dream) -> None:  # type: ignore[no-untyped-def]
        seen.append(dream.proprio[:, -1])
        paths.start(dream)

    def add(step: DreamStep) -> bool:
        seen.append(step.proprio)
        paths.add(step)
        return True

    service.imagine(request(samples=2), watch=Watch(add, start))
    np.testing.assert_allclose(paths.points, torch.stack(seen, 1), rtol=1e-6)
    assert np.shape(paths.points) == (2, 4, 3) and np.shape(paths.point_colours) == (2, 4, 3)
    assert paths.points[0][3] != paths.points[1][3], "each sample goes its own way"


def test_positions_that_are_not_finite_are_left_out_and_missing_ones_make_no_path() -> None:
    paths = ImaginedPaths((0, 1, 2), points=[[], []], point_colours=[[], []])
    paths.add(step([0.0, 1.0], [0.0, 0.0], [[1.0, 2.0, 3.0], [1.0, float("nan"), 3.0]]))
    paths.add(step([0.0, 1.0], [0.0, 0.0]))
    assert paths.points == [[(1.0, 2.0, 3.0)], []] and paths.point_colours == [[RED], []]


# -- uncertainty -----------------------------------------------------------------------------------------------------


def test_uncertainty_is_not_estimated_until_a_second_model_is_asked() -> None:
    models = LoadedModels(world_model=small_models.world_model(CONTRACT))
    service = ImaginationService(models)
    for samples in (1, 4):
        alone = service.imagine(request(samples)).rollout
        assert not alone.uncertainty.any() and alone.uncertainty_kind is UncertaintyKind.NONE
    models.second_world_model = other_model()
    several = service.imagine(request(4)).rollout
    assert several.uncertainty_kind is UncertaintyKind.DISAGREEMENT
    assert torch.equal(several.frames, alone.frames), "the second model is only asked: the dream is the first one's"
    assert several.uncertainty.shape == (4, 3) and len(set(several.uncertainty[:, -1].tolist())) == 4
    models.second_world_model = small_models.world_model(CONTRACT)
    assert not service.imagine(request(1)).rollout.uncertainty.any(), "it agrees with itself, noise and all"


def test_calibrated_pair_answers_with_the_expected_error(tmp_path: Path) -> None:
    """Whichever of the two is loaded last; a world model that was not measured with the second takes it away."""
    first = small_models.world_model(CONTRACT).save(tmp_path / "first")
    second = other_model().save(tmp_path / "second")
    quality = SignalQuality(UncertaintyMap((0.0, 0.5), (0.25, 0.75)), 0.9, (0.8, 1.0), 0.9, 0.9, 0.3, 0.3)
    digests = weights_digest(first), (weights_digest(second),)
    UncertaintyCalibration(
        *digests, {MODELS: quality}, 0.1, 0.5, 5, 5, "store", "hash", False, CalibrationConfig()
    ).save(first)
    for order in ("load", "load_second"), ("load_second", "load"):
        models = LoadedModels()
        for method in order:
            _, note = getattr(models, method)(str(first if method == "load" else second))
        assert "uncertainty: expected mean absolute error" in note and "AUROC 0.90" in note
        rollout = ImaginationService(models).imagine(request(2)).rollout
        assert rollout.uncertainty_kind is UncertaintyKind.EXPECTED_ERROR and bool((rollout.uncertainty >= 0.25).all())
    _, note = models.load(str(small_models.world_model(CONTRACT).save(tmp_path / "again")))
    assert models.ensemble.kind is UncertaintyKind.DISAGREEMENT and "uncalibrated" in note


def test_second_model_must_fit_the_first_and_goes_when_the_first_changes(tmp_path: Path) -> None:
    folders = {
        "same": small_models.world_model(CONTRACT).save(tmp_path / "same"),
        "short": small_models.world_model(CONTRACT, history=3).save(tmp_path / "short"),
        "other": small_models.world_model(small_contract("other")).save(tmp_path / "other"),
    }
    models = LoadedModels()
    models.load(str(folders["same"]))
    with pytest.raises(CheckpointError, match="looks at 3 frames, the dreaming world model at 4"):
        models.load_second(str(folders["short"]))
    assert models.second_world_model is None
    models.load_second(str(folders["same"]))
    _, note = models.load(str(folders["short"]))
    assert (
        models.second_world_model is None
        and "the second world model looks at 4 frames, the dreaming world model at 3, and is put out" in note
    )
    models.load_second(str(folders["short"]))
    _, note = models.load(str(folders["other"]))
    assert models.second_world_model is None and "the second world model was made for contract 'small'" in note
