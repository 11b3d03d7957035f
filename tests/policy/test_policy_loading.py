"""Checkpoint folders that are not ours are read by the packages that say they can: an installed one, made here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_policy import small_contract, small_policy

from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.policy_loading import load_runner, policy_of
from world4rl_policy.policy_runner import RunnerConfig
from world4rl_wm import protocols
from world4rl_wm.checkpoint import CheckpointError
from world4rl_wm.imagination.loaded_models import LoadedModels

LOADER = '''
"""A policy that always does the same: its folder holds the contract and one number."""
import torch
from pathlib import Path
from world4rl_data.contract import TaskContract


class Same:
    history = 1

    def __init__(self, folder):
        self.contract = TaskContract.load(folder / "contract.yaml")
        self.action = float((folder / "number.txt").read_text())

    def act(self, frames, deterministic=True):
        return torch.full((len(frames), self.contract.action_dim), self.action)


def load(path, device):
    if not (Path(path) / "number.txt").is_file():
        raise ValueError("no number.txt")
    return Same(Path(path))
'''


@pytest.fixture()
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with an entry point, as pip would have installed it."""
    site = tmp_path / "site"
    info = site / "same_policy-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "same_policy.py").write_text(LOADER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: same-policy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[world4rl.policies]\nsame = same_policy:load\n")
    monkeypatch.syspath_prepend(str(site))


def folder_of_another_kind(path: Path) -> Path:
    path.mkdir()
    small_contract().save(path / "contract.yaml")
    (path / "number.txt").write_text("0.25")
    return path


@pytest.mark.usefixtures("other_package")
def test_another_package_s_policy_acts_in_the_node_s_runner(tmp_path: Path) -> None:
    folder = folder_of_another_kind(tmp_path / "same")
    runner = load_runner(str(folder), "cpu", small_contract(), RunnerConfig())
    assert runner.name == "same"
    assert policy_of(str(folder), "cpu").act(torch.zeros(2, 1, 6, 16, 16)).unique().tolist() == [0.25]


@pytest.mark.usefixtures("other_package")
def test_another_package_s_policy_acts_in_imagination(tmp_path: Path) -> None:
    """As in the policy node: its folder has no config of ours, and is none of our models for that."""
    models = LoadedModels(contract=small_contract())
    contract, _ = models.load(str(folder_of_another_kind(tmp_path / "same")))
    assert contract.hash == small_contract().hash
    assert models.policy is not None and models.policy.act(torch.zeros(1, 1, 6, 16, 16)).unique().tolist() == [0.25]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CheckpointError, match=r"config\.yaml.*same: no number"):
        models.load(str(empty))


def test_node_and_imagination_take_our_folders_for_ours_whatever_another_package_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose name comes before ours, and that reads any folder."""
    site = tmp_path / "site"
    info = site / "any_policy-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "any_policy.py").write_text("def load(path, device):\n    return 'mine'\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: any-policy\nVersion: 1.0\n")
    entries = "[world4rl.policies]\nany = any_policy:load\nour = world4rl_policy.deploy:load_policy\n"
    (info / "entry_points.txt").write_text(entries)
    monkeypatch.syspath_prepend(str(site))
    folder = small_policy(small_contract()).save(tmp_path / "ours")
    for load in (policy_of, protocols.load_policy):
        assert isinstance(load(str(folder), "cpu"), GaussianPolicy)
        assert load(str(tmp_path), "cpu") == "mine"


@pytest.mark.usefixtures("other_package")
def test_ours_stay_ours(tmp_path: Path) -> None:
    folder = small_policy(small_contract()).save(tmp_path / "ours")
    assert isinstance(policy_of(str(folder), "cpu"), GaussianPolicy)


@pytest.mark.usefixtures("other_package")
def test_what_nobody_can_read_is_refused_with_everyone_s_reason(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="same: no number"):
        policy_of(str(tmp_path), "cpu")


def test_without_other_packages_the_reason_is_ours_alone(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as ours:
        GaussianPolicy.load(tmp_path)
    with pytest.raises(CheckpointError) as reason:
        policy_of(str(tmp_path), "cpu")
    assert str(reason.value) == str(ours.value)
