"""The real `lerobot` library opens what we export, and we import what it records.

Needs a Python that has it, named by WORLD4RL_LEROBOT_PYTHON: `pip install lerobot` in an environment of its own, for it
pins other versions of libraries than ours.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from store_made import SIM, made_store

from world4rl_data.contract import TaskContract
from world4rl_data.episode import Outcome
from world4rl_data.lerobot.export import export_store
from world4rl_data.lerobot.import_store import import_dataset
from world4rl_data.lerobot.mapping import Mapping
from world4rl_data.store import EpisodeStore

PYTHON = os.environ.get("WORLD4RL_LEROBOT_PYTHON", "")
pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="WORLD4RL_LEROBOT_PYTHON is not set: name a Python that has lerobot"),
    pytest.mark.slow,
]
READ = """
import json, sys
import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.utils import dataset_to_policy_features
data = LeRobotDataset("a/b", root=sys.argv[1], delta_timestamps={"observation.images.front": [-0.1, 0.0]})
items = [data[i] for i in range(len(data))]
keys = ("action", "observation.state", "world4rl.stamp_ns", "next.success", "episode_index")
np.savez(sys.argv[2], front=np.stack([i["observation.images.front"][1].numpy() for i in items]),
         **{k: np.stack([i[k].numpy() for i in items]) for k in keys})
features = {k: [f.type.value, list(f.shape)] for k, f in dataset_to_policy_features(data.meta.features).items()}
mean = data.meta.stats["observation.state"]["mean"].tolist()
print(json.dumps({"tasks": [i["task"] for i in items], "features": features, "mean": mean, "fps": data.fps}))
"""
WRITE = """
import sys
import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
TOP = "observation.images.top"
cell = lambda names: {"dtype": "float32", "shape": (len(names),), "names": names}
features = {"action": cell(["x", "y", "z", "grip"]), "observation.state": cell(["x", "y", "z", "grip"]),
            TOP: {"dtype": "video", "shape": (96, 96, 3), "names": ["height", "width", "channels"]}}
data = LeRobotDataset.create("a/b", 10, features, root=sys.argv[1], use_videos=True)
for episode in range(3):
    for t in range(6 + episode):
        values = np.array([0.003, -0.006, 0.01 * episode, t % 2], np.float32)
        image = np.full((96, 96, 3), 40 + 20 * t + episode, np.uint8)
        data.add_frame({"action": values, "observation.state": values * 2, TOP: image, "task": "go"})
    data.save_episode()
data.finalize()
"""


def _run(code: str, *words: Path) -> str:
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run([PYTHON, "-c", code, *map(str, words)], env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1] if done.stdout else ""


def test_lerobot_opens_what_we_export(tmp_path):
    store = made_store(tmp_path / "store")
    export_store(tmp_path / "store", tmp_path / "set", workers=1, progress=False)
    told = json.loads(_run(READ, tmp_path / "set", tmp_path / "read.npz"))
    read = np.load(tmp_path / "read.npz")
    np.testing.assert_array_equal(read["observation.state"], store.array("proprio"))
    np.testing.assert_array_equal(read["world4rl.stamp_ns"], store.array("stamps"))
    for row, info in enumerate(store.infos):
        frames = np.flatnonzero(read["episode_index"] == row)
        np.testing.assert_array_equal(read["action"][frames[:-1]], store.actions(row))
        assert {told["tasks"][i] for i in frames} == {info.task}
        assert read["next.success"][frames].any() == (info.outcome == Outcome.SUCCESS)
    front = read["front"].transpose(0, 2, 3, 1) * 255
    assert np.abs(front - store.array("images_front")).mean((1, 2, 3)).max() < 6
    assert told["features"]["action"] == ["ACTION", [7]] and told["fps"] == 10
    assert set(told["features"]) == {"action", "observation.state"} | {
        f"observation.images.{s.name}" for s in SIM.images
    }
    np.testing.assert_allclose(told["mean"], store.array("proprio").astype(float).mean(0), rtol=1e-6)


def test_we_import_what_lerobot_records(tmp_path):
    _run(WRITE, tmp_path / "set")
    lift = TaskContract.load("franka_sim_lift").to_dict()
    contract = TaskContract.from_dict({**lift, "images": lift["images"][:1]})
    names = ("x", "y", "z", "grip")
    told = Mapping({}, names, names, "delta", gripper_open=0, gripper_closed=1, outcome="failure")
    report = import_dataset(tmp_path / "set", tmp_path / "back", contract, told, workers=1, progress=False)
    store = EpisodeStore.open(tmp_path / "back")
    assert (report.added, [i.length for i in store.infos], store.infos[0].task) == (3, [5, 6, 7], "go")
    for row in range(3):
        np.testing.assert_allclose(store.actions(row)[:, :3], np.tile([0.1, -0.2, row / 3], (5 + row, 1)), rtol=1e-5)
        means = store.images(row, "front").mean((1, 2, 3))
        np.testing.assert_allclose(means, 40 + 20 * np.arange(6 + row) + row, atol=3)
