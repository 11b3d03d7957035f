"""Behaviour cloning imitates what leads to success, and its augmentation moves pictures without changing them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from imitable import CONTRACT, NETWORK, imitable, make_policy, make_store
from small_policy import SIZE

from world4rl_policy.action_likelihood import action_likelihood
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import BcTraining, Demonstrations, random_shift, set_std, train_and_save, train_bc
from world4rl_wm.training.metrics_log import MetricsLog, read_metrics


@pytest.mark.parametrize("pixels", [1, 3])
def test_random_shift_moves_each_item_as_a_whole(pixels: int) -> None:
    """Every item is its picture moved by one offset, the same in all its frames and channels."""
    frames = torch.rand(40, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    shifted = random_shift(frames, pixels, torch.Generator().manual_seed(1))
    assert shifted.shape == frames.shape
    rows = torch.arange(8)
    offsets = set()
    for item, original in zip(shifted, frames):
        fitting = [
            (dy, dx)
            for dy in range(-pixels, pixels + 1)
            for dx in range(-pixels, pixels + 1)
            if torch.equal(item, original[..., (rows + dy).clamp(0, 7), :][..., (rows + dx).clamp(0, 7)])
        ]
        assert len(fitting) == 1
        offsets |= set(fitting)
    assert {abs(d) for offset in offsets for d in offset} == set(range(pixels + 1))
    assert {d < 0 for offset in offsets for d in offset} == {True, False}


def test_no_shift_changes_nothing() -> None:
    frames = torch.rand(2, 2, 3, 8, 8)
    assert torch.equal(random_shift(frames, 0, torch.Generator()), frames)


def test_steps_after_success_are_left_out(tmp_path: Path) -> None:
    """Of each episode separately, also when the episodes are not the store's first ones."""
    episodes = [imitable(n, 6, success) for n, success in enumerate((4, None, 6, 1))]
    store = make_store(tmp_path / "store", episodes)
    kept = {0: 4, 1: 6, 2: 6, 3: 1}
    for chosen in ([0, 1, 2, 3], [3, 2], [1, 0]):
        demonstrations = Demonstrations(store, chosen, history=2)
        actions = demonstrations.windows.actions[demonstrations.rows].numpy()
        expected = np.concatenate([episodes[n].actions[: kept[n]] for n in chosen])
        np.testing.assert_array_equal(actions, expected)


def test_samples_pair_each_action_with_the_frames_before_it(tmp_path: Path) -> None:
    demonstrations = Demonstrations(make_store(tmp_path / "store", [imitable(0), imitable(1, 6, 3)]), [0, 1], 2)
    frames, actions = demonstrations.sample(64, torch.Generator().manual_seed(0))
    assert frames.shape == (64, 2, 6, SIZE, SIZE)
    torch.testing.assert_close(frames[:, 1, :3, 0, 0], actions, atol=1e-6, rtol=0)
    assert not torch.equal(frames[:, 0], frames[:, 1])


def test_learns_a_visible_mapping(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [imitable(n) for n in range(40)])
    log = MetricsLog(tmp_path / "metrics.jsonl")
    policy = make_policy()
    config = BcTraining(steps=300, batch_size=32, learning_rate=3e-3)
    assert train_bc(Demonstrations(store, range(40), policy.history), policy, config, progress=False, log=log) is policy
    assert not policy.training
    held_out = make_store(tmp_path / "held out", [imitable(n) for n in (100, 101, 102)])
    frames, actions = Demonstrations(held_out, range(3), 2).sample(64, torch.Generator().manual_seed(0))
    missed = float((policy.act(frames) - actions).abs().mean())
    assert missed < 0.35 * float(actions.abs().mean())  # an untrained policy, which does nothing, misses by all of it
    losses = [row["loss"] for row in read_metrics(tmp_path / "metrics.jsonl")]
    assert len(losses) == 6 and losses[-1] < losses[0]


def test_steps_of_nothing_but_success_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [imitable(0, 6, 0)])
    with pytest.raises(ValueError, match="no step to imitate"):
        Demonstrations(store, [0], history=2)


def test_all_examples_come_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("world4rl_policy.bc.BATCH", 4)
    episodes = [imitable(0), imitable(1, 6, 3)]
    batches = list(Demonstrations(make_store(tmp_path / "store", episodes), [0, 1], 2).batches())
    assert [len(actions) for _, actions in batches] == [4, 4, 1]
    frames, actions = (torch.cat(parts) for parts in zip(*batches, strict=True))
    torch.testing.assert_close(frames[:, 1, :3, 0, 0], actions, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(actions, np.concatenate([episodes[0].actions, episodes[1].actions[:3]]))


def test_likelihood_in_closed_form_is_the_best_of_any_std(tmp_path: Path) -> None:
    """It is the distribution's own likelihood with that standard deviation; with another one it is worse."""
    examples, policy = (
        Demonstrations(make_store(tmp_path / "store", [imitable(0), imitable(1)]), [0, 1], 2),
        make_policy(),
    )
    found = action_likelihood(policy, examples.batches())

    @torch.no_grad()
    def nll(std: torch.Tensor) -> float:
        set_std(policy, std)
        return float(-torch.cat([policy.distribution(f).log_prob(a).sum(-1) for f, a in examples.batches()]).mean())

    assert found.nll == pytest.approx(nll(found.std), abs=1e-5)
    for dimension in range(3):
        for factor in (0.95, 1.05):
            other = found.std.clone()
            other[dimension] *= factor
            assert nll(other) > found.nll


@pytest.mark.parametrize(("miss", "std"), [(0.0, NETWORK.min_std), (0.4, 0.4), (3.0, NETWORK.max_std)])
def test_fitted_std_stays_within_the_bounds(miss: float, std: float) -> None:
    """Also where no action is missed at all: never zero, and a number."""
    policy = make_policy()
    frames = torch.zeros(5, 2, 6, SIZE, SIZE)
    found = action_likelihood(policy, [(frames, policy.act(frames) + miss)])
    torch.testing.assert_close(found.std, torch.full((3,), std))
    assert np.isfinite(found.nll)


def test_training_ends_with_the_std_that_fits_best_and_leaves_the_mean_to_descent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By descent it hardly moves in so few steps. Pictures are shifted in training, not when it is fitted."""
    examples = Demonstrations(make_store(tmp_path / "store", [imitable(n) for n in range(4)]), range(4), 2)
    policy = train_bc(examples, make_policy(), BcTraining(steps=20, batch_size=8), progress=False)
    frames, actions = (torch.cat(parts) for parts in zip(*examples.batches(), strict=True))
    torch.testing.assert_close(policy.std, (actions - policy.act(frames)).square().mean(0).sqrt())
    monkeypatch.setattr("world4rl_policy.bc.set_std", lambda policy, std: None)
    descended = train_bc(examples, make_policy(), BcTraining(steps=20, batch_size=8), progress=False)
    assert float((descended.std - policy.std).detach().abs().min()) > 0.01
    for name, weights in policy.state_dict().items():
        assert torch.equal(weights, descended.state_dict()[name]) == (name != "log_std")


def test_learning_further_begins_at_the_initial_std(tmp_path: Path) -> None:
    """A policy's fitted standard deviation says how well it imitates, not which dimension shall weigh more."""
    examples = Demonstrations(make_store(tmp_path / "store", [imitable(n) for n in range(3)]), range(3), 2)
    config = BcTraining(steps=3, batch_size=8)
    fitted = make_policy()
    set_std(fitted, torch.tensor([0.02, 0.1, 0.9]))
    a, b = (train_bc(examples, policy, config, progress=False).state_dict() for policy in (make_policy(), fitted))
    torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_the_same_seed_gives_the_same_policy(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [imitable(n) for n in range(3)])
    config = BcTraining(steps=4, batch_size=8)
    names = ("a", "b", "c")
    for name, seed in zip(names, (1, 1, 2)):
        train_and_save(store, range(3), tmp_path / name, NETWORK, config, seed, progress=False)
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text())
    np.testing.assert_allclose(metrics["std"], GaussianPolicy.load(tmp_path / "a").std.detach(), rtol=1e-6)
    a, b, c = (GaussianPolicy.load(tmp_path / name, contract=CONTRACT).mean.weight for name in names)
    assert torch.equal(a, b) and not torch.equal(a, c)
