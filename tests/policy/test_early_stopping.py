"""Behaviour cloning stops where episodes that it has not seen say so, and gives the weights that were best on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from imitable import CONTRACT, NETWORK, imitable, make_policy, make_store

from world4rl_data.episode import Episode
from world4rl_data.store import EpisodeStore
from world4rl_policy.action_likelihood import ActionLikelihood, action_likelihood
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import BcTraining, Demonstrations, train_and_save, train_bc
from world4rl_policy.early_stopping import EarlyStopping, draw_held_out
from world4rl_wm.training.metrics_log import MetricsLog, read_metrics


def aimless(number: int) -> Episode:
    """Its actions have nothing to do with its pictures: they can be remembered, not learned."""
    actions = np.random.default_rng(1000 + number).uniform(-1, 1, (6, 3)).astype(np.float32)
    return replace(imitable(number), actions=actions)


def metrics_of(checkpoint: Path) -> dict:
    return json.loads((checkpoint / "metrics.json").read_text())


@pytest.mark.parametrize(("share", "count"), [(0.1, 2), (0.25, 5), (0.001, 1)])
def test_a_share_of_the_episodes_is_drawn_by_the_seed(share: float, count: int) -> None:
    episodes = list(range(100, 120))
    learned, aside = draw_held_out(episodes, share, seed=3)
    assert len(aside) == count and sorted(learned + aside) == episodes
    assert learned == sorted(learned) and aside == sorted(aside)
    assert draw_held_out(episodes, share, seed=3) == (learned, aside)
    assert len({tuple(draw_held_out(episodes, share, seed)[1]) for seed in range(20)}) > 5


def test_nothing_is_set_aside_without_being_asked_for() -> None:
    assert draw_held_out([4, 7], 0.0, seed=0) == ([4, 7], [])
    assert draw_held_out([4], 0.0, seed=0) == ([4], [])


def test_too_few_episodes_are_refused_with_the_setting_and_the_mend(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [imitable(0)])
    config = BcTraining(steps=2, held_out=0.1)
    with pytest.raises(ValueError, match=r"held_out=0\.1 .* only 1 .*--set bc\.training\.held_out=0"):
        train_and_save(store, [0], tmp_path / "policy", NETWORK, config, progress=False)
    make_store(tmp_path / "two", [imitable(0), imitable(1)])
    train_and_save(EpisodeStore.open(tmp_path / "two"), [0, 1], tmp_path / "policy", NETWORK, config, progress=False)
    assert metrics_of(tmp_path / "policy")["episodes_set_aside"] == 1


@pytest.mark.parametrize(
    "wrong", [{"held_out": -0.1}, {"held_out": 0.6}, {"held_out": 5.0}, {"patience": 0}, {"evaluate_every": 0}]
)
def test_settings_without_a_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BcTraining(**wrong)


def test_it_is_over_after_so_many_looks_without_a_better_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A look that finds no number is not a better one; equally good is not better. The best weights come back."""
    found = iter([3.0, 2.0, 2.0, 2.5, 1.0, float("nan"), 1.5, 1.0])
    likelihood = lambda policy, examples: ActionLikelihood(torch.ones(3), next(found))  # noqa: E731
    monkeypatch.setattr("world4rl_policy.early_stopping.action_likelihood", likelihood)
    examples, policy = Demonstrations(make_store(tmp_path / "store", [imitable(0)]), [0], 2), make_policy().train()
    stopping, over = EarlyStopping(examples, evaluate_every=10, patience=3), []
    for step in range(1, 81):
        torch.nn.init.constant_(policy.mean.bias, step)
        told = stopping.look(policy, step, last=False)
        assert bool(told) == (step % 10 == 0) and policy.training
        over += [stopping.over] if told else []
    assert over == [False] * 7 + [True]
    assert stopping.metrics() == {"stopped_at_step": 80, "best_step": 50, "held_out_nll": 1.0}
    stopping.restore(policy)
    assert policy.mean.bias.tolist() == [50] * 3


def test_training_stops_where_it_only_remembers_and_gives_the_best_weights(tmp_path: Path) -> None:
    store, log = make_store(tmp_path / "store", [aimless(n) for n in range(10)]), MetricsLog(tmp_path / "log.jsonl")
    config = BcTraining(600, 16, 3e-3, shift=0, held_out=0.2, evaluate_every=20, patience=3)
    train_and_save(store, range(10), tmp_path / "policy", NETWORK, config, seed=1, progress=False, log=log)
    metrics, policy = metrics_of(tmp_path / "policy"), GaussianPolicy.load(tmp_path / "policy", contract=CONTRACT)
    assert metrics["episodes"] == 10 and metrics["episodes_set_aside"] == 2
    assert metrics["stopped_at_step"] == metrics["best_step"] + 3 * 20 < 600
    rows = [row for row in read_metrics(tmp_path / "log.jsonl") if "held_out_nll" in row]
    assert [row["step"] for row in rows] == list(range(20, metrics["stopped_at_step"] + 1, 20))
    assert all(np.isfinite(row["loss"]) for row in rows) and rows[-1]["loss"] < rows[0]["loss"]
    assert min((row["held_out_nll"], row["step"]) for row in rows) == (metrics["held_out_nll"], metrics["best_step"])
    aside = Demonstrations(store, draw_held_out(range(10), 0.2, seed=1)[1], policy.history)
    found = action_likelihood(policy, aside.batches())
    assert found.nll == pytest.approx(metrics["held_out_nll"], abs=1e-6)
    torch.testing.assert_close(policy.std, found.std)


def test_episodes_set_aside_are_not_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do the looks change what is learned: up to there it is training on the others."""
    asked: list[list[int]] = []

    class Noted(Demonstrations):
        def __init__(self, store: EpisodeStore, episodes: Sequence[int], history: int, tasks: Sequence[str] = ()):
            asked.append(list(episodes))
            super().__init__(store, episodes, history, tasks)

    monkeypatch.setattr("world4rl_policy.bc.Demonstrations", Noted)
    store = make_store(tmp_path / "store", [imitable(n) for n in range(6)])
    config = BcTraining(steps=12, batch_size=8, held_out=0.5, evaluate_every=5, patience=9)
    train_and_save(store, range(6), tmp_path / "policy", NETWORK, config, seed=2, progress=False)
    learned, aside = draw_held_out(range(6), 0.5, seed=2)
    assert asked == [aside, learned]
    metrics = metrics_of(tmp_path / "policy")
    assert metrics["stopped_at_step"] == metrics["best_step"] == 12, "the last step is looked at, whatever its number"
    alone = train_bc(Demonstrations(store, learned, 2), make_policy(2), config, seed=2, progress=False)
    stopped = GaussianPolicy.load(tmp_path / "policy", contract=CONTRACT).state_dict()
    for name, weights in alone.state_dict().items():
        assert torch.equal(weights, stopped[name]) == (name != "log_std")
