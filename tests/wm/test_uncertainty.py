"""Uncertainty: who dreams along, what disagreement is, and that what it means is measured on episodes held out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_models import small_contract, small_store, world_model

from world4rl_wm.checkpoint import CheckpointError
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.model.frames import StartStates, to_float, to_uint8
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.uncertainty import calibration as module
from world4rl_wm.uncertainty.calibration import (
    MODELS,
    NOISE,
    UNCERTAINTY,
    CalibrationConfig,
    UncertaintyCalibration,
    UncertaintyError,
    calibrate,
)
from world4rl_wm.uncertainty.disagreement import disagreement
from world4rl_wm.uncertainty.ensemble import Ensemble
from world4rl_wm.uncertainty.ensemble_loading import ensemble_of, load_others
from world4rl_wm.uncertainty.kind import UncertaintyKind, UncertaintyMap, isotonic
from world4rl_wm.uncertainty.quality import auroc, measure, same_step_auroc
from world4rl_wm.uncertainty.replay import ReplayedErrors, replayed_errors

CONTRACT = small_contract()
ACTIONS = torch.linspace(-1, 1, 9).reshape(3, 1, 3).expand(3, 2, 3)


def other_model(seed: int = 9) -> WorldModel:
    model = world_model(CONTRACT)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def dream(model: WorldModel, seed: int = 4) -> Dream:
    frames = torch.rand(2, 4, 6, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Dream(model, frames, seed=seed)


def apart(ensemble: Ensemble, seed: int = 4) -> torch.Tensor:
    """Uncertainty ``(3 steps, 2)`` of a dream of the small model."""
    running = dream(world_model(CONTRACT), seed)
    beside = ensemble.along(running)
    return torch.stack([beside.step(action, running.step(action)) for action in ACTIONS])


# -- disagreement ----------------------------------------------------------------------------------------------------


def test_disagreement_is_the_standard_deviation_in_pixel_ranges() -> None:
    black, white = -torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    assert disagreement(black, white).tolist() == [0.5, 0.5]
    grey = torch.cat([black[:1], torch.zeros(1, 3, 4, 4)])
    assert disagreement(black, grey).tolist() == [0.0, 0.25]
    assert disagreement(black, white, torch.zeros_like(black)).tolist() == pytest.approx([(2 / 3) ** 0.5 / 2] * 2)


def test_others_dream_their_own_dream_from_the_same_start_noise_and_actions() -> None:
    first, second = dream(world_model(CONTRACT)), dream(other_model())
    expected = [disagreement(first.step(action), second.step(action)) for action in ACTIONS]
    torch.testing.assert_close(apart(Ensemble((other_model(),))), torch.stack(expected))
    assert not apart(Ensemble((world_model(CONTRACT),))).any(), "a model agrees with itself"


def test_noise_dreams_differ_by_noise_alone_and_repeat_with_the_seed() -> None:
    noise = Ensemble(noise_dreams=2)
    assert bool((apart(noise) > 0).all()) and torch.equal(apart(noise), apart(noise))
    assert not torch.equal(apart(noise), apart(noise, seed=5))


def test_kind_says_how_far_the_number_can_be_trusted() -> None:
    told = UncertaintyMap((0.0, 0.5), (0.1, 0.4))
    other = other_model()
    assert Ensemble().kind is UncertaintyKind.NONE and not apart(Ensemble()).any()
    assert Ensemble((other,)).kind is UncertaintyKind.DISAGREEMENT
    calibrated = Ensemble((other,), calibration=told)
    assert calibrated.kind is UncertaintyKind.EXPECTED_ERROR
    torch.testing.assert_close(apart(calibrated), 0.1 + 0.6 * apart(Ensemble((other,))))


# -- the map ---------------------------------------------------------------------------------------------------------


def test_isotonic_regression_pools_what_falls() -> None:
    assert isotonic(np.array([1.0, 3.0, 2.0, 2.0, 5.0])).tolist() == pytest.approx([1, 7 / 3, 7 / 3, 7 / 3, 5])
    assert isotonic(np.array([3.0, 2.0, 1.0])).tolist() == pytest.approx([2, 2, 2])
    rng = np.random.default_rng(0)
    values = rng.normal(size=12)
    fitted, trend = isotonic(values), np.sort(rng.normal(size=(200, 12)), axis=1)
    assert (np.diff(fitted) >= 0).all()
    assert ((values - fitted) ** 2).sum() <= ((values - trend) ** 2).sum(1).min(), "no rising sequence is nearer"


def test_map_never_falls_and_grows_beyond_what_it_saw() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 0.2, 400)
    fitted = UncertaintyMap.fit(x, 2 * x + rng.normal(0, 0.02, 400), 20)
    out = fitted(torch.linspace(-0.1, 0.4, 50))
    assert bool((out.diff() >= 0).all()) and out[0] == out[1], "constant below"
    last = fitted.disagreement[-1]
    assert float(fitted(torch.tensor(1.5 * last))) == pytest.approx(1.5 * fitted.error[-1])
    assert float(fitted(torch.tensor(99.0))) == 1, "no more than the pixel range"
    assert float(fitted(torch.tensor(0.1))) == pytest.approx(0.2, abs=0.02)
    assert UncertaintyMap.fit([0.0, 0.0, 0.0], [0.1, 0.2, 0.3], 2).error == pytest.approx((0.1,), abs=0.06)


@pytest.mark.parametrize("x, y", [((), ()), ((0.1, 0.1), (0, 1)), ((0, 1), (1, 0)), ((0, 1), (1,)), ((0,), (np.nan,))])
def test_maps_that_are_none_are_refused(x: tuple, y: tuple) -> None:
    with pytest.raises(ValueError, match="both rising"):
        UncertaintyMap(x, y)


# -- quality ---------------------------------------------------------------------------------------------------------


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    wrong = np.array([True, True, False, False])
    assert auroc(np.array([3, 4, 1, 2]), wrong) == 1 and auroc(np.array([1, 2, 3, 4]), wrong) == 0
    assert auroc(np.array([1, 4, 2, 3]), wrong) == 0.5 and auroc(np.ones(4), wrong) == 0.5
    assert np.isnan(auroc(np.arange(4), np.ones(4, bool)))


def test_that_late_frames_are_worse_is_no_merit_within_a_step() -> None:
    """A signal that only counts steps looks good pooled; the comparison of same steps tells."""
    rng = np.random.default_rng(2)
    step = np.broadcast_to(np.arange(10.0), (200, 10))
    wrong = rng.random((200, 10)) < step / 10
    inside = np.ones_like(wrong)
    assert auroc(step[inside], wrong[inside]) > 0.75 and same_step_auroc(step, wrong, inside) == 0.5


def test_quality_counts_only_frames_inside_and_needs_both_kinds() -> None:
    error = np.array([[0.1, 0.9, 0.9], [0.9, 0.1, 0.1]])
    score = {"s": np.array([[0.2, 0.8, 0.0], [0.7, 0.1, 9.0]])}
    inside = np.array([[True, True, False], [True, True, False]])
    found = measure(ReplayedErrors(error, score, inside), "s", UncertaintyMap((0, 1), (0, 1)), 0.5, 0)
    assert found.auroc == found.auroc_same_step == 1 and found.usable
    assert found.expected_error == pytest.approx(0.45) and found.real_error == pytest.approx(0.5)
    with pytest.raises(ValueError, match="0 of 4 held-out frames are wrong"):
        measure(ReplayedErrors(error, score, inside), "s", UncertaintyMap((0, 1), (0, 1)), 0.95, 0)


def test_replayed_errors_are_those_of_the_dream(tmp_path: Path) -> None:
    """By hand, step by step; in batches the same but for the noise, and nothing beyond an episode's end."""
    store, model, other = small_store(tmp_path / "store", CONTRACT, (5, 3)), world_model(CONTRACT), other_model()
    found = replayed_errors(model, {MODELS: Ensemble((other,))}, store, [0, 1], seed=3)
    running = [Dream.from_start(m, StartStates.of(store, [0, 1]), 3) for m in (model, other)]
    for step in range(3):
        action = torch.stack([torch.from_numpy(np.array(store.actions(e)[step])) for e in (0, 1)])
        frames = [d.step(action) for d in running]
        real = torch.stack([torch.from_numpy(np.array(store.frames(e)[step + 1])) for e in (0, 1)])
        error = (to_float(to_uint8(frames[0])) - to_float(real)).abs().mean((1, 2, 3)) / 2
        np.testing.assert_allclose(found.error[:, step], error, rtol=1e-5)
        np.testing.assert_allclose(found.disagreement[MODELS][:, step], disagreement(*frames), rtol=1e-4)
    assert found.inside.tolist() == [[True] * 5, [True] * 3 + [False] * 2]
    assert replayed_errors(model, {}, store, [0, 1], batch=1).error.shape == (2, 5)


# -- calibration -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    return {"first": world_model(CONTRACT).save(tmp_path / "first"), "other": other_model().save(tmp_path / "other")}


def calibrated(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise_tells: bool
) -> UncertaintyCalibration:
    """A calibration in which the models tell the error exactly, and noise does or does not."""
    store = small_store(tmp_path / "store", CONTRACT, (1,) * 20)

    def replayed(model, signals, store, episodes, seed, watch) -> ReplayedErrors:  # type: ignore[no-untyped-def]
        error: NDArray = np.random.default_rng(0).uniform(0, 0.2, (len(episodes), 6))
        noise = error if noise_tells else np.random.default_rng(1).uniform(0, 0.2, error.shape)
        return ReplayedErrors(error, {MODELS: error / 2, NOISE: noise}, np.ones_like(error, bool))

    monkeypatch.setattr(module, "replayed_errors", replayed)
    others = load_others(world_model(CONTRACT), [folders["other"]])
    config = CalibrationConfig(held_out=0.25, noise_dreams=2)
    found, held_out = calibrate(world_model(CONTRACT), folders["first"], others, store, range(20), config)
    assert (found.fitted_episodes, found.held_out_episodes, len(held_out.error)) == (15, 5, 5)
    found.save(folders["first"])
    return found


def test_calibration_is_kept_beside_the_weights_and_read_again(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = calibrated(folders, tmp_path, monkeypatch, noise_tells=False)
    assert found.signals[MODELS].auroc == 1 and found.signals[NOISE].auroc < 0.7
    assert found.signals[MODELS].expected_error == pytest.approx(found.signals[MODELS].real_error, abs=0.01)
    assert UncertaintyCalibration.load(folders["first"]) == found
    other_model(1).save(folders["first"])
    with pytest.raises(UncertaintyError, match=r"has no uncertainty\.json: run `world4rl calibrate-uncertainty`"):
        UncertaintyCalibration.load(folders["first"])  # a new training takes the old calibration away
    found.save(folders["first"])
    with pytest.raises(UncertaintyError, match="made for other weights"):
        UncertaintyCalibration.load(folders["first"])


@pytest.mark.parametrize("damage", ["{", "[]", '{"weights": 1}'])
def test_damaged_calibration_is_named(folders: dict[str, Path], damage: str) -> None:
    (folders["first"] / UNCERTAINTY).write_text(damage)
    with pytest.raises(UncertaintyError, match="is damaged"):
        UncertaintyCalibration.load(folders["first"])


def test_calibrated_where_measured_with_these_very_models(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = load_others(world_model(CONTRACT), [folders["other"]])
    ensemble, told = ensemble_of(folders["first"], others)
    assert ensemble.kind is UncertaintyKind.DISAGREEMENT and "has no uncertainty.json" in told
    calibrated(folders, tmp_path, monkeypatch, noise_tells=False)
    ensemble, told = ensemble_of(folders["first"], others)
    assert ensemble.kind is UncertaintyKind.EXPECTED_ERROR and "AUROC 1.00 [1.00, 1.00]" in told
    third = load_others(world_model(CONTRACT), [other_model(1).save(tmp_path / "third")])
    ensemble, told = ensemble_of(folders["first"], [*others, *third])
    assert ensemble.kind is UncertaintyKind.DISAGREEMENT and "made with other models" in told


def test_noise_counts_only_where_it_tells_the_error(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ensemble_of(folders["first"])[0] == Ensemble()
    calibrated(folders, tmp_path, monkeypatch, noise_tells=False)
    ensemble, told = ensemble_of(folders["first"])
    assert ensemble == Ensemble() and "its noise does not tell its errors: AUROC 0." in told
    calibrated(folders, tmp_path / "again", monkeypatch, noise_tells=True)
    ensemble, told = ensemble_of(folders["first"])
    assert ensemble.noise_dreams == 2 and ensemble.kind is UncertaintyKind.EXPECTED_ERROR and "noise alone" in told


def test_calibration_on_training_data_is_said(folders: dict[str, Path], tmp_path: Path) -> None:
    """The whole thing, undoctored: dreams of a small store, of which one of the two models has learned."""
    store = small_store(tmp_path / "store", CONTRACT, (6, 4, 5, 6))
    provenance = folders["other"] / "provenance.json"
    provenance.write_text(json.dumps(json.loads(provenance.read_text()) | {"data": {"store": store.content_hash}}))
    model = world_model(CONTRACT)
    others = load_others(model, [folders["other"]])
    config, seen = CalibrationConfig(noise_dreams=1, bins=3), list[int]()
    found, _ = calibrate(model, folders["first"], others, store, range(4), config, seen.append)
    assert found.trained_on_store and set(found.signals) == {MODELS, NOISE} and seen == [4]
    assert 0 < found.signals[MODELS].real_error < 1 and 0 < found.wrong_from < 1


def test_models_that_do_not_fit_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    model = world_model(CONTRACT)
    with pytest.raises(CheckpointError, match="two are the same"):
        load_others(model, [folders["other"], folders["other"]])
    short = world_model(CONTRACT, history=3).save(tmp_path / "short")
    with pytest.raises(CheckpointError, match="looks at 3 frames, the dreaming world model at 4"):
        load_others(model, [short])
    with pytest.raises(UncertaintyError, match="0 episodes chosen, at least 2"):
        store = small_store(tmp_path / "store", CONTRACT)
        calibrate(model, folders["first"], load_others(model, [folders["other"]]), store, [])
