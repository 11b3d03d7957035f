"""Fréchet distances of known Gaussians, clips for FVD, and weights that are missing, damaged or there."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from measured_models import WorldOf, world_store
from small_models import small_contract
from torch import Tensor

from world4rl_wm.measures import perceptual, weights
from world4rl_wm.measures.dreams import DreamBatch, Starts, dream_batches
from world4rl_wm.measures.perceptual import load_i3d
from world4rl_wm.measures.set_distances import CLIP_STEPS, FrechetDistance, SetDistance, clips, pictures
from world4rl_wm.measures.weights import NotComputed


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's cache in an empty folder, on a machine without a network."""

    def refuse(*_: object) -> None:
        raise AssertionError("nothing may be fetched unasked")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def gaussian(mean: list[float], std: list[float], seed: int) -> Tensor:
    """Samples with exactly that mean and those standard deviations, uncorrelated."""
    values = np.random.default_rng(seed).normal(size=(500, len(mean)))
    values -= values.mean(0)
    values = values @ np.linalg.inv(np.linalg.cholesky(np.cov(values.T))).T
    return torch.from_numpy(values * std + mean)


def test_frechet_distance_of_known_gaussians() -> None:
    """Uncorrelated: squared distance of the means plus squared differences of the standard deviations."""
    distance = FrechetDistance()
    real, dreamed = gaussian([0, 1, 2], [1, 2, 3], 0), gaussian([3, 1, -2], [2, 2, 1], 1)
    for part in (slice(None, 200), slice(200, None)):  # in two batches
        distance.update(real[part], dreamed[part])
    assert distance.compute() == pytest.approx((9 + 0 + 16) + (1 + 0 + 4), rel=1e-4)


def test_frechet_distance_of_the_same_set_is_zero_and_of_one_sample_unknown() -> None:
    distance, same = FrechetDistance(), gaussian([0, 1], [1, 2], 0)
    with pytest.raises(NotComputed, match="fewer than two samples"):
        distance.compute()
    distance.update(same, same)
    assert distance.compute() == pytest.approx(0, abs=1e-5)


def made_batch(steps: int) -> DreamBatch:
    """Two dreams of two cameras; pixels say dream, step and camera. The second dream is a step shorter."""
    level = 100 * torch.arange(2)[:, None, None] + torch.arange(1, steps + 1)[:, None] * 2 + torch.tensor([0, 1])
    frames = level.repeat_interleave(3, 2)[..., None, None].expand(-1, -1, -1, 4, 4).to(torch.uint8)
    last = (frames[:, 0] - 2).contiguous()
    inside = torch.arange(steps) < torch.tensor([[steps], [steps - 1]])
    return DreamBatch(torch.arange(2), frames, frames, last, inside)


def test_a_clip_is_the_real_frame_and_what_was_dreamed_after_it_camera_by_camera() -> None:
    batch = made_batch(CLIP_STEPS)
    found = clips(batch.dreamed, batch)
    assert found.shape == (2, CLIP_STEPS + 1, 3, 4, 4), "the shorter dream is no clip"
    assert found[0, :, 0, 0, 0].tolist() == [2 * t for t in range(CLIP_STEPS + 1)]
    assert found[1, :, 0, 0, 0].tolist() == [2 * t + 1 for t in range(CLIP_STEPS + 1)]
    batch = made_batch(CLIP_STEPS - 1)
    assert len(clips(batch.dreamed, batch)) == 0


def test_pictures_are_all_that_can_be_compared() -> None:
    batch = made_batch(3)
    assert pictures(batch.real, batch)[:, 0, 0, 0].tolist() == [2, 3, 4, 5, 6, 7, 102, 103, 104, 105]


def test_true_dreams_have_no_distance_and_copies_have_one(tmp_path: Path) -> None:
    """Features are mean and spread of a clip over time: enough to tell a film from a still."""
    contract = small_contract()
    rng = np.random.default_rng(0)
    actions = [(0.5 * rng.choice([-1, 1], CLIP_STEPS)).cumsum().clip(-1, 1) * 0.2 for _ in range(6)]
    store = world_store(tmp_path / "store", contract, [np.diff(a, prepend=0).tolist() for a in actions])

    def features(films: Tensor) -> Tensor:
        brightness = films.float().mean((2, 3, 4))
        return torch.stack([brightness.mean(1), brightness.std(1)], 1)

    distance = SetDistance(features, clips)
    starts = Starts.of(store, range(6), 4, every=99)
    for batch in dream_batches(WorldOf(contract), starts, 50, batch=4):
        distance.update(starts, batch)
    assert distance.model.dreamed == 12, "six dreams, two cameras"
    assert distance.model.compute() == pytest.approx(0, abs=1e-3) and distance.copy.compute() > 1


@pytest.mark.parametrize("name", ["lpips", "inception", "i3d"])
def test_missing_weights_are_said_with_their_place_and_source(name: str, checkpoints: Path) -> None:
    with pytest.raises(NotComputed, match=f"missing at {checkpoints}.*get them by: curl .*https://"):
        getattr(perceptual, f"load_{name}")()


def test_missing_packages_are_said_by_their_pip_name(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    weights.FID.path.write_bytes(b"")
    with pytest.raises(NotComputed, match=r"pip install -c constraints\.txt torch-fidelity"):
        perceptual.load_inception()


def test_a_package_that_does_not_fit_is_said(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision for another torch raises a RuntimeError when it is imported."""

    def fail(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("importlib.import_module", fail)
    weights.LPIPS.path.write_bytes(b"")
    with pytest.raises(NotComputed, match=r"torchvision cannot be imported .*install its build for torch"):
        perceptual.load_lpips()


def test_damaged_weights_are_said(checkpoints: Path) -> None:
    (checkpoints / weights.FVD.file).write_bytes(b"half a download")
    with pytest.raises(NotComputed, match=f"{weights.FVD.path} cannot be read .*remove it"):
        load_i3d()


def test_what_the_networks_need_can_be_installed() -> None:
    """The packages that a message tells to install are the extra's, and `-c constraints.txt` pins them."""
    root = Path(__file__).parents[2]
    setup, pinned = (root / "src/world4rl_wm/setup.py").read_text(), (root / "constraints.txt").read_text()
    for name in {name.replace("_", "-") for of in (weights.LPIPS, weights.FID, weights.FVD) for name in of.packages}:
        assert f'"{name}"' in setup.partition("extras_require")[2] and f"\n{name}==" in pinned


class SmallI3D(torch.nn.Module):
    """Is called as the TorchScript file of I3D is: clips ``(N, 3, T, H, W)`` and three switches."""

    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
        assert rescale and resize and return_features
        return x.mean([3, 4]).flatten(1)


def test_video_features_come_from_the_file_in_the_cache(checkpoints: Path) -> None:
    torch.jit.script(SmallI3D()).save(str(checkpoints / weights.FVD.file))
    films = torch.arange(2 * 4 * 3).reshape(2, 4, 3, 1, 1).expand(-1, -1, -1, 8, 8).to(torch.uint8)
    found = load_i3d()(films)
    assert found[0].tolist() == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11], "channels before time"
