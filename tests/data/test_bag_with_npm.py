"""Foxglove reads bags with npm's @mcap/core: does it read ours, closed by the recorder or recovered?

Needs node and a folder with the packages, named by WORLD4RL_NODE_PACKAGES:
`npm install --prefix FOLDER @mcap/core @mcap/nodejs fzstd`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from data_fakes import messages, write_bag

from world4rl_data.contract import TaskContract
from world4rl_data.recover import recover_bag

PACKAGES = os.environ.get("WORLD4RL_NODE_PACKAGES", "")
PRESS = TaskContract.load("franka_sim_push")
SCRIPT = Path(__file__).with_name("read_with_npm.js")


@pytest.mark.skipif(
    not PACKAGES or shutil.which("node") is None, reason="WORLD4RL_NODE_PACKAGES is not set, or no node"
)
@pytest.mark.parametrize("recovered", [False, True])
def test_npm_reads_what_was_written(tmp_path, recovered):
    path = write_bag(tmp_path / "e", PRESS, list(messages(PRESS, steps=20)))
    if recovered:
        file = next(path.glob("*.mcap"))
        file.write_bytes(file.read_bytes()[:-100])
        recover_bag(path)
    file = next(path.glob("*.mcap"))
    done = subprocess.run(["node", SCRIPT, PACKAGES, file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["profile"] == "ros2" and "world4rl_interfaces/msg/Action" in found["schemas"]
    assert found["messages"] == {**dict.fromkeys(PRESS.observation_topics, 21), PRESS.executed_action_topic: 20}
