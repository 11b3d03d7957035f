"""Datasets of other recorders: what they lack is said at once, and a mapping makes them the contract's."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from lerobot_made import CAMERA, foreign
from store_made import moving

from world4rl.cli import main
from world4rl_data.contract import TaskContract
from world4rl_data.episode import Outcome
from world4rl_data.lerobot.dataset import LeRobotDataset
from world4rl_data.lerobot.import_store import import_dataset
from world4rl_data.lerobot.layout import LeRobotError
from world4rl_data.lerobot.mapping import Mapping
from world4rl_data.store import EpisodeStore

PLAIN = TaskContract.load("franka_sim_lift").to_dict()
PLAIN["images"] = [{**PLAIN["images"][0], "crop": [8, 0, 48, 48], "height": 16, "width": 16}]
LIFT = TaskContract.from_dict(PLAIN)  # dx dy dz gripper, scales 0.03 m; position and finger; 10 Hz; one stream
STATE = ["finger", "x", "y", "z", "torque"]
ACTION = ["grip", "x", "y", "z"]
NAMES = {"action": {"axes": ACTION}, "observation.state": STATE}
TOLD = Mapping(
    state=("x", "y", "z", "finger"),
    action=("x", "y", "z", "grip"),
    action_kind="delta",
    gripper_open=0.0,
    gripper_closed=1.0,
    outcome="success",
)


def _episodes(count: int = 2, length: int = 7, success: bool = False):
    rng = np.random.default_rng(0)
    made = []
    for n in range(count):
        action = rng.uniform(-0.03, 0.03, (length + n, 4)).astype(np.float32)
        action[:, 0] = np.arange(length + n) % 2
        one = {"action": action, "observation.state": rng.normal(size=(length + n, 5)).astype(np.float32)}
        if success:
            one["next.success"] = np.arange(length + n) >= (3 if n == 0 else 99)
        made.append(one)
    return made


def _imported(tmp_path, dataset, told, contract=LIFT):
    import_dataset(dataset, tmp_path / "store", contract, told, workers=1, progress=False)
    return EpisodeStore.open(tmp_path / "store")


@pytest.mark.parametrize("kind", ["video", "image"])
def test_deltas_states_and_pictures_are_mapped(tmp_path, kind):
    episodes = _episodes()
    store = _imported(tmp_path, foreign(tmp_path / "set", episodes, NAMES, kind=kind), TOLD)
    raw = episodes[1]
    assert [i.length for i in store.infos] == [6, 7] and store.infos[0].task == "pick"
    np.testing.assert_allclose(store.actions(1)[:, :3], raw["action"][:-1, 1:] / 0.03, rtol=1e-5)
    np.testing.assert_array_equal(store.actions(1)[:, 3], 1 - 2 * raw["action"][:-1, 0])
    np.testing.assert_array_equal(store.proprio(1), raw["observation.state"][:, [1, 2, 3, 0]])
    assert (np.diff(store.episode(1).stamps) == 100_000_000).all() and store.infos[1].source == "expert"
    crop = moving(15, 48, 64, 1)[7:, :, 8:56].reshape(8, 16, 3, 16, 3, 3).mean((2, 4))
    assert np.abs(store.images(1, "front") - crop).mean() < (0.51 if kind == "image" else 4)
    assert (store.infos[1].outcome, store.infos[1].success_index) == (Outcome.SUCCESS, 7)


def test_targets_become_steps_and_the_first_frame_is_left_out(tmp_path):
    episodes = _episodes(1)
    target = np.cumsum(episodes[0]["action"][:, 1:], 0)
    episodes[0]["action"][:, 1:] = target
    store = _imported(tmp_path, foreign(tmp_path / "set", episodes, NAMES), replace(TOLD, action_kind="target"))
    assert store.infos[0].length == 5
    np.testing.assert_allclose(store.actions(0)[:, :3], np.diff(target, axis=0)[:-1] / 0.03, atol=1e-5)
    np.testing.assert_array_equal(store.proprio(0), episodes[0]["observation.state"][1:, [1, 2, 3, 0]])


def test_stride_adds_motions_and_keeps_the_last_command_of_the_hand(tmp_path):
    episodes = _episodes(1, length=8)
    episodes[0]["action"][:, 1:] /= 2
    dataset = foreign(tmp_path / "set", episodes, NAMES, fps=20)
    with pytest.raises(LeRobotError, match=r"20 frames per second.*10 Hz: give --stride 2"):
        _imported(tmp_path, dataset, TOLD)
    store = _imported(tmp_path, dataset, replace(TOLD, stride=2))
    raw = episodes[0]["action"]
    np.testing.assert_allclose(store.actions(0)[:, :3], (raw[0:6:2, 1:] + raw[1:6:2, 1:]) / 0.03, rtol=1e-5)
    np.testing.assert_array_equal(store.actions(0)[:, 3], 1 - 2 * raw[1:6:2, 0])
    assert store.frames(0).shape == (4, 3, 16, 16)


def test_success_comes_from_the_dataset_where_it_says(tmp_path):
    store = _imported(tmp_path, foreign(tmp_path / "set", _episodes(success=True), NAMES), replace(TOLD, outcome=None))
    found = [(i.outcome, i.success_index) for i in store.infos]
    assert found == [(Outcome.SUCCESS, 4), (Outcome.FAILURE, None)]


def test_all_that_is_missing_is_said_at_once(tmp_path):
    dataset = foreign(tmp_path / "set", _episodes(), NAMES, fps=15)
    contract = TaskContract.load("franka_sim_lift")
    with pytest.raises(LeRobotError) as told:
        import_dataset(dataset, tmp_path / "store", contract)
    text = str(told.value)
    for part in (
        f"stream 'front': give --image front=KEY, one of ['{CAMERA}']",
        "stream 'wrist'",
        "give --state and 4 names or indices",
        "observation.state has ['finger', 'x', 'y', 'z', 'torque']",
        "give --action and 4 names",
        "give --action-kind delta",
        "success labels (next.success is not there): give --outcome success",
        "15 frames per second with --stride 1, the contract's control rate is 10 Hz: make a contract",
    ):
        assert part in text, part
    with pytest.raises(LeRobotError, match=r"not written by World4RL: --contract .*torque"):
        import_dataset(dataset, tmp_path / "store")
    with pytest.raises(LeRobotError, match="give --gripper-open and --gripper-closed"):
        import_dataset(dataset, tmp_path / "store", LIFT, replace(TOLD, gripper_open=None, gripper_closed=None))
    assert not (tmp_path / "store").exists() and not (tmp_path / "store.partial").exists()


def test_actions_beyond_the_scale_are_refused_or_cut(tmp_path):
    episodes = _episodes()
    episodes[1]["action"][2, 2] = 0.06
    dataset = foreign(tmp_path / "set", episodes, NAMES)
    report = import_dataset(dataset, tmp_path / "store", LIFT, TOLD, workers=1, progress=False)
    assert report.added == 1 and report.skipped[0][0] == 1
    assert "action 'dy' reaches 2 times" in str(report) and "scale of at least 0.06" in str(report)
    import_dataset(dataset, tmp_path / "cut", LIFT, replace(TOLD, clip=True), workers=1, progress=False)
    assert EpisodeStore.open(tmp_path / "cut").actions(1)[2, 1] == 1


def test_damage_is_named(tmp_path):
    dataset = foreign(tmp_path / "set", _episodes(), NAMES)
    info = json.loads((dataset / "meta/info.json").read_text())
    (dataset / "meta/info.json").write_text(json.dumps({**info, "codebase_version": "v2.1"}))
    with pytest.raises(LeRobotError, match=r"format v2\.1.*convert"):
        LeRobotDataset(dataset)
    (dataset / "meta/info.json").write_text(json.dumps(info))
    data = dataset / "data/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(data).slice(0, 9), data)
    report = import_dataset(dataset, tmp_path / "store", LIFT, TOLD, workers=1, progress=False)
    assert report.added == 1 and "has 9 rows, its episodes need 15" in str(report)
    next(dataset.rglob("*.mp4")).unlink()
    with pytest.raises(LeRobotError, match=r"no episode .* is fit; .*file-000.mp4 is missing"):
        import_dataset(dataset, tmp_path / "none", LIFT, TOLD, workers=1, progress=False)
    assert not (tmp_path / "none").exists()
    with pytest.raises(LeRobotError, match=r"info\.json is missing"):
        LeRobotDataset(tmp_path)


def test_commands(tmp_path, capsys):
    dataset = foreign(tmp_path / "set", _episodes(), NAMES)
    LIFT.save(tmp_path / "lift.yaml")
    words = ["dataset", "import-lerobot", str(dataset), "--out", str(tmp_path / "store")]
    assert main([*words, "--contract", str(tmp_path / "lift.yaml")]) == 2
    assert "--action-kind" in capsys.readouterr().err
    mapping = "--state x y z finger --action x y z grip --action-kind delta --gripper-open 0 --gripper-closed 1"
    more = ["--image", f"front={CAMERA}", "--outcome", "unlabelled", "--workers", "1"]
    assert main([*words, "--contract", str(tmp_path / "lift.yaml"), *mapping.split(), *more]) == 0
    assert "2 episodes imported, 0 left out" in capsys.readouterr().out
    out = ["--out", str(tmp_path / "again"), "--workers", "1"]
    assert main(["dataset", "export-lerobot", str(tmp_path / "store"), *out]) == 0
    assert "2 episodes, 15 frames, 1 tasks" in capsys.readouterr().out
    assert main(["dataset", "export-lerobot", str(tmp_path / "store"), *out]) == 2
    assert "not overwritten" in capsys.readouterr().err
    assert main(["dataset", "export-lerobot", str(tmp_path / "store"), *out, "--outcome", "success"]) == 2
    assert "has no such episodes" in capsys.readouterr().err
