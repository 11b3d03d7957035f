"""What is dreamed for practice and for measuring, and who dreams along, on untrained models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dream_rig import policy, press_store
from plain_refinement import CONFIG, DREAM, JUDGE, refined

from world4rl.presets import load_preset
from world4rl.refinement.dreamed import dreamed_outcomes
from world4rl.refinement.refine import practice_env, with_horizon
from world4rl_wm.model.frames import StartStates


def test_a_dream_has_as_long_for_its_success_as_the_real_episodes_had(tmp_path: Path) -> None:
    """What real episodes show after a success is no time to reach one; a dreamed success may take time to last."""
    lasting = replace(CONFIG, imagination=replace(CONFIG.imagination, hits=3))
    late = with_horizon(lasting, press_store(tmp_path / "late", (9, 4), won=(0,), after=3))
    assert (late.imagination.horizon, late.imagination.max_steps, late.ppo.horizon) == (6, 8, 8)
    early = with_horizon(CONFIG, press_store(tmp_path / "early", (6, 4), won=(0,), after=3))
    assert (early.imagination.horizon, early.ppo.horizon) == (4, 4)


@pytest.mark.parametrize("history", [1, 3])
def test_a_dream_shows_the_policy_what_it_looks_back_on(tmp_path: Path, history: int) -> None:
    """In practice, to the judge and in the film, whatever the configuration's default."""
    assert CONFIG.imagination.observed_frames == 2
    assert refined(tmp_path, history, by="last").iteration == 2


def test_more_than_a_dream_remembers_cannot_be_shown(tmp_path: Path) -> None:
    store = press_store(tmp_path / "store")
    starts = StartStates.of(store, [0, 1])
    with pytest.raises(ValueError, match="observed_frames is 5, but of a dream the newest 4 are known"):
        dreamed_outcomes(policy(history=5), DREAM, starts, CONFIG.imagination)
    with pytest.raises(ValueError, match=r"bc.network.history is 5, but of a dream no more than the newest 4 frames"):
        load_preset("tiny", ["bc.network.history=5"])
    for history in (2, 4):
        preset = load_preset("tiny", [f"bc.network.history={history}"])
        assert preset.refine_config(store).imagination.observed_frames == history


def test_a_second_opinion_comes_from_the_judge_and_only_where_asked_for(tmp_path: Path) -> None:
    starts = StartStates.of(press_store(tmp_path / "store"), [0, 1])
    plain = practice_env(policy(), DREAM, JUDGE, starts, CONFIG)
    assert plain.reward_models == [DREAM.reward_model] and not plain.ensemble.models and plain.witness is None
    imitating = practice_env(policy(), DREAM, JUDGE, starts, replace(CONFIG, ppo=replace(CONFIG.ppo, imagined_bc=0.5)))
    assert imitating.reward_models == [DREAM.reward_model] and imitating.witness is JUDGE.reward_model
    verified = practice_env(policy(), DREAM, JUDGE, starts, replace(CONFIG, verified_success=True))
    assert verified.reward_models == [DREAM.reward_model, JUDGE.reward_model]
    for setting in ({"max_uncertainty": 0.1}, {"uncertainty_penalty": 1.0}):
        limited = practice_env(
            policy(), DREAM, JUDGE, starts, replace(CONFIG, imagination=replace(CONFIG.imagination, **setting))
        )
        assert limited.ensemble.models == (JUDGE.world_model,) and limited.world_models == [DREAM.world_model]


def test_measured_dreams_know_success_alone(tmp_path: Path) -> None:
    """What is paid for in practice must not change what is measured."""
    starts = StartStates.of(press_store(tmp_path / "store"), [0, 1])
    paid = replace(CONFIG.imagination, max_uncertainty=0.0, uncertainty_penalty=1.0, hits=1)
    for found, expected in zip(
        dreamed_outcomes(policy(), DREAM, starts, paid), dreamed_outcomes(policy(), DREAM, starts, CONFIG.imagination)
    ):
        assert found.tolist() == expected.tolist()


def test_the_belief_is_what_enough_frames_in_a_row_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sure frame alone is no success: of two in a row the less sure one counts, and of all such pairs the best."""
    starts, told = StartStates.of(press_store(tmp_path / "store"), [0, 1]), torch.tensor([0.2, 0.9, 0.3, 0.8, 0.7])
    read = iter(torch.stack([told, told.flip(0) / 2], 1))
    monkeypatch.setattr(DREAM.reward_model, "probability", lambda _: next(read))
    config = replace(CONFIG.imagination, hits=2, horizon=4)
    assert dreamed_outcomes(policy(), DREAM, starts, config)[1].tolist() == pytest.approx([0.7, 0.35])
