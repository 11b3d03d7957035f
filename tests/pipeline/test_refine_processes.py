"""`world4rl refine` started twice by torchrun practises as one process does, and one of the two writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from dream_rig import press_run, press_store
from micro_refinement import curve, torn_reward_model
from safetensors.torch import load_file

from world4rl.cli import main
from world4rl_wm.precision import native_bfloat16

SETTINGS = {
    "dream_bc.steps": 2,
    "ppo.iterations": 3,
    "ppo.epochs": 2,
    "ppo.minibatch_size": 5,
    "ppo.value_warm_up": 0,
    "ppo.bc_batch_size": 4,
    "ppo.imagined_bc": 0.5,
    "imagination.num_envs": 4,
    "imagination.key_frames": 0.5,
    "selection.every": 2,
    "selection.episodes": 4,
    "selection.margin": -2.0,
    "replay_check.limits.min_episodes": 0,
    "replay_check.limits.refine_from": -2.0,
    "replay_check.limits.cautious_from": -2.0,
    "replay_check.limits.precision_from": 0.0,
}


def words(run: Path, out: Path) -> list[str]:
    checkpoints = {"policy": "filtered_bc", "world-model": "world_model_a", "judge-world-model": "world_model_b"}
    checkpoints |= {"reward": "reward_a", "judge-reward": "reward_b"}
    options = {name: run / "checkpoints" / folder for name, folder in checkpoints.items()}
    options |= {"store": run / "stores" / "practice", "check": run / "stores" / "check", "out": out}
    given = [word for name, path in options.items() for word in (f"--{name}", str(path))]
    return ["refine", *given, "--device", "cpu", "--set", *(f"{key}={value}" for key, value in SETTINGS.items())]


def test_two_processes_refine_as_one(tmp_path: Path) -> None:
    run = press_run(tmp_path / "run", store=False)
    torn_reward_model().save(run / "checkpoints" / "reward_a")
    judge = torn_reward_model().requires_grad_(False)
    next(judge.parameters()).add_(1e-4)  # other weights, the same verdicts
    judge.save(run / "checkpoints" / "reward_b")
    press_store(run / "stores" / "practice", (6, 7), won=(0, 1))
    press_store(run / "stores" / "check", (3, 2, 4), won=(0,))  # three starts are not to be dealt out to two
    assert main(words(run, tmp_path / "alone")) == 0
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "world4rl"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*program, *words(run, tmp_path / "two")], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("iteration 3 kept") == 1, "both talk"
    alone, two = (curve(tmp_path / f"{name}.training") for name in ("alone", "two"))
    assert [row["iteration"] for row in two] == [0, 1, 2, 3] and two[-1]["imagined_imitated"] > 0
    most = 2e-2 if native_bfloat16("cpu") else 1e-3  # dreams of another number at a time differ in the last digit
    for mine, other in zip(alone, two, strict=True):
        assert mine.keys() == other.keys()
        for key in mine.keys() - {"explained_variance"}:
            assert abs(mine[key] - other[key]) <= most * max(1, abs(mine[key])), (mine["iteration"], key)
    found, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("two", "alone"))
    start = load_file(run / "checkpoints" / "filtered_bc" / "model.safetensors")
    for name in expected.keys() - {"log_std"}:
        moved = (expected[name] - start[name]).abs().mean()
        assert float(moved) > 0
        assert float((found[name] - expected[name]).abs().mean()) < 0.1 * float(moved), name
    assert torch.equal(found["log_std"], expected["log_std"])
