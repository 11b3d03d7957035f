"""Who chooses which checkpoint is kept, on untrained models."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
import torch
from dream_rig import policy, press_store
from micro_refinement import CHECK
from plain_refinement import CONFIG, DREAM, JUDGE, refined

from world4rl.refinement import dreamed
from world4rl.refinement.checkpoint_choice import (
    CheckpointChoice,
    PracticeStart,
    Selection,
    Success,
    kept_checkpoint,
    kept_checkpoints,
)
from world4rl.refinement.dreamed import dreamed_success
from world4rl.refinement.rehearsal import Rehearsal
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.ppo_config import PpoConfig
from world4rl_wm.model.frames import StartStates


@pytest.mark.parametrize(
    ("by", "margin", "iteration", "reason"),
    [
        ("judge", 2.0, 0, "no checkpoint was better than the start policy in the judge's dreams"),
        ("dream", 2.0, 0, "no checkpoint was better than the start policy in the dream's dreams"),
        ("last", 2.0, 2, "the last one"),
        ("judge", -2.0, 2, "best in the judge's dreams"),
        ("dream", -2.0, 2, "best in the dream's dreams"),
    ],
)
def test_who_chooses(tmp_path: Path, by: str, margin: float, iteration: int, reason: str) -> None:
    """Success is a share: 2 more than the start policy's nobody reaches, 2 less everybody; of equals the latest."""
    result = refined(tmp_path, by=by, margin=margin)
    assert (result.iteration, result.reason) == (iteration, reason)
    assert list(kept_checkpoints(tmp_path / "refine")) == [1, 2], "whatever was chosen, what the judge saw is kept"


def test_what_is_judged_and_kept_is_the_moving_average(tmp_path: Path) -> None:
    """While values warm up it is the start policy; a few iterations later it has gone less far than the newest one."""
    store, start = press_store(tmp_path / "store", (3, 4), won=(0, 1)), policy()
    starts = StartStates.of(store, [0, 1])
    config = replace(CONFIG, selection=replace(CONFIG.selection, by="last"))
    moved = {}
    for decay in (0.0, 0.9):
        ppo = replace(CONFIG.ppo, iterations=3, value_warm_up=1, ema_decay=decay)
        rehearsal = Rehearsal(DREAM, JUDGE, starts, starts, (store, [0, 1]), replace(config, ppo=ppo), 0, False)
        result = rehearsal.refine(rehearsal.seen(start, start), CHECK, tmp_path / str(decay))
        kept = GaussianPolicy.load(kept_checkpoint(tmp_path / str(decay), 3))
        assert torch.equal(result.policy.mean.weight, kept.mean.weight)
        moved[decay] = float((kept.mean.weight - start.mean.weight).detach().norm()), result.start_kl
    assert 0 < moved[0.9][0] < 0.3 * moved[0.0][0]
    assert 0 < moved[0.9][1] < 0.1 * moved[0.0][1]


@pytest.mark.parametrize(("by", "iteration"), [("judge", 3), ("dream", 3), ("last", 4)])
def test_an_average_that_is_hardly_more_than_the_start_policy_is_not_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, iteration: int
) -> None:
    """It remembers two iterations, and values warm up in the first; whoever is asked likes each one less than the one
    before."""
    asked: list[GaussianPolicy] = []

    def dreamed_success(one: GaussianPolicy, *_: object) -> float:
        asked.append(one)
        return 1.0 - 0.01 * len(asked)

    monkeypatch.setattr("world4rl.refinement.rehearsal.dreamed_success", dreamed_success)
    store, start = press_store(tmp_path / "store", (3, 4), won=(0, 1)), policy()
    starts = StartStates.of(store, [0, 1])
    ppo = replace(CONFIG.ppo, iterations=4, value_warm_up=1, ema_decay=0.5)
    config = replace(CONFIG, ppo=ppo, selection=Selection(by, every=1, episodes=2, margin=-2.0))
    rehearsal = Rehearsal(DREAM, JUDGE, starts, starts, (store, [0, 1]), config, 0, False)
    result = rehearsal.refine(rehearsal.seen(start, start), CHECK, tmp_path / "refine")
    assert result.iteration == iteration
    assert list(kept_checkpoints(tmp_path / "refine")) == [1, 2, 3, 4], "what the judge saw is kept all the same"


def test_where_there_are_fewer_iterations_than_the_average_remembers_the_last_one_counts() -> None:
    assert PpoConfig(iterations=64, value_warm_up=6, ema_decay=0.95).settled_after == 26
    assert PpoConfig(iterations=20, value_warm_up=6, ema_decay=0.95).settled_after == 20
    assert PpoConfig(value_warm_up=0, ema_decay=0.0).settled_after == 1, "without an average each one counts"


def chosen_from(
    selection: Selection, judged: float, judges: Success, out: Path, imagined: Success = lambda _: 0.5
) -> CheckpointChoice:
    """A choice that begins with the policy that was there, of which the judge has seen so much."""
    return CheckpointChoice(selection, PracticeStart(policy(), policy(), judged, judged), imagined, judges, out, 0)


def test_what_is_kept_is_told_as_it_was_dreamed_itself(tmp_path: Path) -> None:
    """Nothing beats the start policy: where the policy of before is another one, its own figures are told."""
    start = policy()

    def imagined(asked: GaussianPolicy) -> float:
        return 0.4 if torch.equal(asked.mean.weight, start.mean.weight) else 0.1

    for before, judged_before, told in ((policy(), 0.5, (0.4, 0.5, 0.0)), (policy(seed=9), 0.2, (0.1, 0.2, None))):
        begun = PracticeStart(start, before, 0.5, judged_before)
        choice = CheckpointChoice(Selection(), begun, imagined, lambda _: 0.5, tmp_path, 0)
        choice.begin()
        result = choice.result("kept")
        found = result.to_dict()
        assert result.policy is before and (found["iteration"], found["reason"]) == (0, "kept")
        assert (found["imagined_start"], found["judged_start"]) == (0.4, 0.5)
        assert (found["imagined_before"], found["judged_before"], found["start_kl"]) == told
        assert (found["imagined_refined"], found["judged_refined"]) == told[:2]
        again = CheckpointChoice(Selection(), begun, imagined, lambda _: 0.5, tmp_path, 0)
        again.load_state_dict(json.loads(json.dumps(choice.state_dict())))
        assert again.result("kept").to_dict() == found and again.result().policy is before


@pytest.mark.parametrize("by", ["judge", "dream"])
@pytest.mark.parametrize("better", ["start", "before"])
def test_both_the_start_and_what_was_before_must_be_beaten(
    tmp_path: Path, by: Literal["judge", "dream"], better: str
) -> None:
    """A checkpoint that is better than the one and worse than the other would lose what was there."""
    figures, told = {"start": 0.5, "before": 0.5} | {better: 0.8}, iter([0.7, 0.81, 0.82])
    start, before = policy(), policy(seed=9)

    def chooses(asked: GaussianPolicy) -> float:
        return figures["start"] if asked is start else figures["before"] if asked is before else next(told)

    success: dict[str, Success] = {"dream": lambda _: 0.5, "judge": lambda _: 0.5} | {by: chooses}
    begun = PracticeStart(start, before, success["judge"](start), success["judge"](before))
    choice = CheckpointChoice(Selection(by, margin=0.02), begun, success["dream"], success["judge"], tmp_path, 0)
    choice.begin()
    for iteration, kept in ((1, 0), (2, 0), (3, 3)):
        choice.look(policy(), iteration, 0.0)
        assert choice.best.iteration == kept, iteration


def test_the_last_iteration_is_looked_at_whatever_the_interval(tmp_path: Path) -> None:
    result = refined(tmp_path, by="last", every=16)
    assert (result.iteration, result.reason) == (2, "the last one")
    assert list(kept_checkpoints(tmp_path / "refine")) == [2]


def test_exactly_the_margin_is_enough_and_less_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3 of 150 dreams are the margin of 0.02, wherever the start policy is: no rounding stands in between."""
    same = policy()

    def outcomes(*_: object) -> tuple[torch.Tensor, None]:
        return torch.arange(150) < next(solved), None

    def success(_: object) -> float:
        return dreamed_success(same, DREAM, None, CONFIG.imagination)  # type: ignore[arg-type]

    monkeypatch.setattr(dreamed, "dreamed_outcomes", outcomes)
    monkeypatch.setattr(GaussianPolicy, "save", lambda *_, **__: None)
    for start in range(0, 147, 7):
        solved = iter([start, start, start + 2, start + 3, start + 3])
        begun = PracticeStart(same, same, success(same), 0.0)
        choice = CheckpointChoice(Selection(margin=0.02), begun, success, success, tmp_path, 0)
        choice.begin()
        choice.look(same, 1, 0.0)
        assert choice.best.iteration == 0, start
        choice.look(same, 2, 0.0)
        assert choice.best.iteration == 2, start


def test_the_best_is_kept_as_it_was_when_it_was_seen(tmp_path: Path) -> None:
    """A later one replaces it only where it is better, and the policy that practises on does not take it along."""
    told, practising = iter([0.6, 0.8, 0.7]), policy()
    choice = chosen_from(Selection(), 0.5, lambda _: next(told), tmp_path)
    choice.begin()
    for iteration in (1, 2, 3):
        with torch.no_grad():
            practising.mean.bias.fill_(float(iteration))
        choice.look(practising, iteration, 0.0)
    assert (choice.best.iteration, choice.best.judged_refined) == (2, 0.8)
    kept = GaussianPolicy.load(kept_checkpoint(tmp_path, 2)).state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in choice.result().policy.state_dict().items())
    assert bool((kept["mean.bias"] == 2).all())


@pytest.mark.parametrize(("start", "seen", "chosen"), [(0.99, 1.0, True), (0.99, 0.995, False), (1.0, 1.0, False)])
def test_a_judge_that_is_nearly_content_can_still_be_convinced(
    tmp_path: Path, start: float, seen: float, chosen: bool
) -> None:
    """Less than the margin is left to gain: then every dream must be solved, and more of them than before."""
    choice = chosen_from(Selection(margin=0.02), start, lambda _: seen, tmp_path)
    choice.begin()
    choice.look(policy(), 1, 0.0)
    assert (choice.best.iteration == 1) == chosen


@pytest.mark.parametrize("by", ["judge", "dream"])
def test_a_policy_is_dreamed_once_by_each(tmp_path: Path, by: Literal["judge", "dream"]) -> None:
    asked: list[str] = []

    def success(who: str, _: GaussianPolicy) -> float:
        asked.append(who)
        return len(asked) / 10

    imagined, judged = (partial(success, who) for who in ("dream", "judge"))
    choice = chosen_from(Selection(by=by), 0.15, judged, tmp_path, imagined)
    choice.begin()
    choice.look(policy(), 1, 0.0)
    assert asked == ["dream", "judge", "dream"]
    assert (choice.best.judged_refined, choice.best.imagined_refined) == (0.2, 0.3)


def test_a_policy_that_went_too_far_ends_it(tmp_path: Path) -> None:
    result = refined(tmp_path, by="last", max_start_kl=-1.0)
    assert result.iteration == 0 and "gone too far" in result.reason


def test_the_distance_is_told_at_its_own_std_whatever_ppo_explores_with(tmp_path: Path) -> None:
    """KL of two Gaussians falls with the square of their standard deviation: PPO's own would open the limit."""
    wide, narrow = (
        refined(tmp_path / name, by="last", max_start_kl=1e9, start_kl_std=std).start_kl
        for name, std in (("wide", 1.0), ("narrow", 0.1))
    )
    assert wide and narrow == pytest.approx(100 * wide, rel=1e-2)
