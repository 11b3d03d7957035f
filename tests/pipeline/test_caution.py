"""Where the replay check asks for caution, steps are smaller, the BC term is stronger, and the record says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import micro_refinement as rig
import pytest
import torch

from world4rl.refinement.checkpoint_choice import Refinement
from world4rl.refinement.refine import RefineConfig, save_refinement

PPO = replace(rig.CONFIG.ppo, iterations=2, policy_learning_rate=1e-3, bc_coefficient=0.1)
ASKED = replace(rig.CONFIG, ppo=PPO, selection=replace(rig.CONFIG.selection, by="last"))
BY_HAND = replace(ASKED, ppo=replace(PPO, policy_learning_rate=5e-4, bc_coefficient=0.2))


def refined(folder: Path, config: RefineConfig) -> Refinement:
    folder.mkdir()
    rig.micro_store(folder)
    return rig.micro_refinement(folder, config)


def recorded(result: Refinement, folder: Path) -> dict[str, float]:
    save_refinement(result, folder / "refined", 3)
    return json.loads((folder / "refined" / "metrics.json").read_text())["config"]["ppo"]


def test_half_the_learning_rate_and_twice_the_bc_term(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The very policy that these settings, given by hand, come to."""
    plain, by_hand = refined(tmp_path / "plain", ASKED), refined(tmp_path / "by_hand", BY_HAND)
    monkeypatch.setattr(rig, "CHECK", replace(rig.CHECK, verdict="refine_cautiously"))
    cautious = refined(tmp_path / "cautious", ASKED)
    weights, expected, other = (r.policy.state_dict() for r in (cautious, by_hand, plain))
    assert cautious.iteration == 2 and all(torch.equal(value, expected[name]) for name, value in weights.items())
    assert any(not torch.equal(value, other[name]) for name, value in weights.items())
    told, without = recorded(cautious, tmp_path / "cautious"), recorded(plain, tmp_path / "plain")
    assert (told["policy_learning_rate"], told["bc_coefficient"]) == (5e-4, 0.2)
    assert (without["policy_learning_rate"], without["bc_coefficient"]) == (1e-3, 0.1)
