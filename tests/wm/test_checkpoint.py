"""Checkpoints: what goes in comes out, damage is named, and an interrupted save leaves the old one in place."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
import torch
import yaml
from small_models import reward_model, small_contract, world_model

from world4rl_data.contract import ContractMismatch, TaskContract
from world4rl_data.partial_folder import FULL
from world4rl_wm import checkpoint
from world4rl_wm.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.model import RewardModel


def save(path: Path, value: float = 1.0, contract: TaskContract | None = None) -> Path:
    weights = {"layer": torch.full((4, 3), value), "steps": torch.tensor(7)}
    return save_checkpoint(path, "toy", weights, {"width": 3}, contract or small_contract(), {"loss": value}, seed=5)


def value(path: Path) -> float:
    return float(load_checkpoint(path, "toy").weights["layer"][0, 0])


def test_round_trip(tmp_path: Path) -> None:
    contract = small_contract()
    found = load_checkpoint(save(tmp_path / "toy", 0.25), "toy", contract)
    assert torch.equal(found.weights["layer"], torch.full((4, 3), 0.25))
    assert found.weights["steps"].item() == 7
    assert found.config == {"width": 3} and found.metrics == {"loss": 0.25} and found.contract == contract
    assert '"seed": 5' in (tmp_path / "toy" / "provenance.json").read_text()


def test_models_come_back_as_they_were(tmp_path: Path) -> None:
    """A layer that the state dict forgets would show here."""
    contract = small_contract()
    model = world_model(contract)
    model.state_model.fit(torch.randn(9, 2, 3) + 2, torch.randn(9, 4, 3), torch.randn(9, 3))
    again = WorldModel.load(model.save(tmp_path / "wm"), contract=contract)
    assert again.config == model.config and not again.training
    context, actions = torch.rand(2, 4, 6, 16, 16), torch.rand(2, 4, contract.action_dim)
    frames = [m.predict(context, actions, torch.Generator().manual_seed(0)) for m in (model, again)]
    torch.testing.assert_close(frames[0], frames[1], atol=1e-6, rtol=0)


def test_saving_again_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = save(tmp_path / "toy", 1.0)
    save(path, 2.0)
    assert value(path) == 2.0
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


def test_wrong_kind_names_both(tmp_path: Path) -> None:
    path = save(tmp_path / "toy")
    with pytest.raises(CheckpointError, match="holds a toy checkpoint, but a policy is needed"):
        load_checkpoint(path, "policy")


@pytest.mark.parametrize("name", ["model.safetensors", "config.yaml", "contract.yaml"])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / "toy")
    (path / name).unlink()
    with pytest.raises(CheckpointError, match=f"no checkpoint: {name} missing"):
        load_checkpoint(path, "toy")


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere is no checkpoint"):
        load_checkpoint(tmp_path / "nowhere", "toy")


def test_an_interrupted_training_is_named(tmp_path: Path) -> None:
    """Not the checkpoint alone is missing: the error must not ask for another folder."""
    (tmp_path / "toy.training").mkdir()
    with pytest.raises(CheckpointError, match=r"toy\.training\) is not finished: give the command that trains it"):
        load_checkpoint(tmp_path / "toy", "toy")


def test_what_an_interrupted_save_left_is_named(tmp_path: Path) -> None:
    """SIGKILL between the two renames: the checkpoint is away, the one before it lies beside its place."""
    save(tmp_path / "toy").rename(tmp_path / "toy.old-123")
    with pytest.raises(CheckpointError, match=r"rename .*toy\.old-123 to toy"):
        load_checkpoint(tmp_path / "toy", "toy")


def test_settings_of_another_version_are_a_checkpoint_error(tmp_path: Path) -> None:
    path = reward_model(small_contract()).save(tmp_path / "reward")
    config = yaml.safe_load((path / "config.yaml").read_text())
    (path / "config.yaml").write_text(yaml.safe_dump({**config, "not_known_here": 1}))
    with pytest.raises(CheckpointError, match=r"config\.yaml .* do not make a .*not_known_here"):
        RewardModel.load(path)


@pytest.mark.parametrize("kept", [0, 4, 40, -1])
def test_truncated_weights_are_refused(tmp_path: Path, kept: int) -> None:
    """A copy cut short, in the header or in the last tensor."""
    path = save(tmp_path / "toy")
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="toy cannot be read"):
        load_checkpoint(path, "toy")


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "kind: [toy\n"])
def test_damaged_config_is_refused(tmp_path: Path, text: str) -> None:
    path = save(tmp_path / "toy")
    (path / "config.yaml").write_text(text)
    with pytest.raises(CheckpointError, match="toy cannot be read"):
        load_checkpoint(path, "toy")


def test_another_contract_names_the_field(tmp_path: Path) -> None:
    values = small_contract().to_dict()
    values["control_rate_hz"] = 20.0
    path = save(tmp_path / "toy", contract=TaskContract.from_dict(values))
    with pytest.raises(ContractMismatch, match=r"checkpoint .*toy .*control_rate_hz: 10.0 here, 20.0 there"):
        load_checkpoint(path, "toy", small_contract())


@pytest.mark.parametrize(
    ("name", "text"), [("contract.yaml", "- a\n"), ("contract.yaml", "kind: [toy\n"), ("metrics.json", '{"loss": ')]
)
def test_a_damaged_contract_or_record_is_a_checkpoint_error(tmp_path: Path, name: str, text: str) -> None:
    """Of whatever file the copy was cut short, the mend is the same."""
    path = save(tmp_path / "toy")
    (path / name).write_text(text)
    with pytest.raises(CheckpointError, match=r"(?s)toy cannot be read .*: copy or train it again"):
        load_checkpoint(path, "toy", small_contract())


def test_weights_that_do_not_fit_the_config_are_refused(tmp_path: Path) -> None:
    path = reward_model(small_contract()).save(tmp_path / "reward")
    config = yaml.safe_load((path / "config.yaml").read_text())
    (path / "config.yaml").write_text(yaml.safe_dump(config | {"width": 16}))
    with pytest.raises(CheckpointError, match=r"(?s)do not make a reward_model .*size mismatch"):
        RewardModel.load(path)


def test_an_interrupted_save_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "toy", 1.0)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "provenance", interrupt)  # the last file to be written
    with pytest.raises(KeyboardInterrupt):
        save(path, 2.0)
    assert value(path) == 1.0
    assert list(tmp_path.iterdir()) == [path], "what a full disk stopped must not take up its room"


def test_a_killed_save_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends without a chance to clean up; the next save succeeds."""
    path = save(tmp_path / "toy", 1.0)
    child = os.fork()
    if child == 0:
        try:
            monkeypatch.setattr(checkpoint, "provenance", lambda *_: os._exit(9))
            save(path, 2.0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert value(path) == 1.0
    save(path, 3.0)
    assert value(path) == 3.0


def test_a_failed_exchange_brings_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "toy", 1.0)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if ".building-" in self.name:
            raise OSError("disk trouble")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk trouble"):
        save(path, 2.0)
    assert value(path) == 1.0


def test_weights_that_do_not_fit_are_told_by_the_systems_number(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match=r"toy.*model\.safetensors") as full:
            save(tmp_path / "toy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert full.value.errno in FULL and not (tmp_path / "toy").exists()
