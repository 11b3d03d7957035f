"""The policy node's benchmark: what it makes is what the node loads."""

# ruff: noqa: E402 (the benchmark is found after the path is set)
from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros
sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "benchmarks")]

import policy_latency

from world4rl_policy.trust_limit import TrustLimit
from world4rl_wm.model.world_model import WorldModel


def test_a_trust_limit_is_that_of_the_world_model_beside_it(tmp_path: Path) -> None:
    parameters = policy_latency.make_models(tmp_path, trust=True)
    checkpoint = Path(parameters["world_model_checkpoint"])
    assert TrustLimit.load(checkpoint, WorldModel.load(checkpoint)).limit == 1e6
