"""A whole simulated graph under a namespace of its own, with tiny untrained models, for the tests of this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from world4rl_bringup.graph import graph
from world4rl_bringup.options import GraphOptions
from world4rl_bringup.paths import import_path
from world4rl_bringup.running_graph import RunningGraph
from world4rl_bringup.spec import NodeSpec
from world4rl_data.contract import TaskContract

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "wm"))
import small_models  # noqa: E402

NAMESPACE = "lab"


@dataclass(frozen=True)
class Lab:
    """What a test needs to know of the running graph."""

    running: RunningGraph
    contract: TaskContract
    bags: Path
    store: Path
    checkpoints: dict[str, Path]


def lab_contract() -> TaskContract:
    """Two cameras of 16 x 16 pixels; actions go through /lab, because contract topics are absolute."""
    values = small_models.small_contract("lab").to_dict()
    values["max_episode_s"] = 300.0  # the gate ends longer ones, and a busy machine is slow
    values |= {"action_topic": f"/{NAMESPACE}/action", "executed_action_topic": f"/{NAMESPACE}/executed_action"}
    return TaskContract.from_dict(values)


def node_environment(folder: Path) -> dict[str, str]:
    """The nodes' environment. Where world4rl_policy runs from source, its setup.py writes the entry point policies are
    found by into `folder`."""
    env = {**os.environ, "PYTHONPATH": import_path(os.environ)}
    if not entry_points(group="world4rl.policies"):
        command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder)]
        subprocess.run(command, cwd=ROOT / "src" / "world4rl_policy", check=True)
        env["PYTHONPATH"] = os.pathsep.join([str(folder), env["PYTHONPATH"]])
    return env


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """sim_arm, gate, recorder, policy, imagination and explorer, all up."""
    contract = lab_contract()
    contract.save(folder / "lab.yaml")
    made = small_models.save_all(folder, contract)
    small_models.small_store(folder / "store", contract)
    options = GraphOptions(
        namespace=NAMESPACE,
        contract=str(folder / "lab.yaml"),
        task="push_cube",
        bags_dir=str(folder / "bags"),
        policy_checkpoint=str(made["policy"]),
        world_model_checkpoint=str(made["world_model"]),
        reward_checkpoint=str(made["reward"]),
    )
    explorer = NodeSpec(
        "world4rl_control",
        "explorer",
        "explorer",
        options.ros_namespace,
        {"contract": options.contract, "seed": 1, "use_sim_time": True},
    )
    metadata = folder / "metadata"
    metadata.mkdir()
    specs, env = [*graph("sim_arm", options), explorer], node_environment(metadata)
    with RunningGraph(specs, folder / "log", env, start_timeout_s=280.0) as running:
        yield Lab(running, contract, folder / "bags", folder / "store", made)
