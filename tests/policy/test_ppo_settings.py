"""PPO's settings one by one: normalised values, the anchor to the start policy, a learned and bounded exploration."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from reach import CONFIG, NETWORK, Reach, make_policy
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from world4rl_policy.actor_critic import ValueFunction
from world4rl_policy.advantage import explained_variance
from world4rl_policy.ppo import Ppo, start_kl
from world4rl_policy.ppo_config import PpoConfig
from world4rl_policy.value_normalisation import PopArt


def test_moments_are_those_of_all_returns_however_they_come() -> None:
    returns = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 7 + 40
    normaliser = PopArt(torch.nn.Linear(4, 1))
    for part in returns.split([1, 499, 0, 300, 200]):
        normaliser.update(part)
    assert normaliser.mean == pytest.approx(float(returns.double().mean()), rel=1e-6)
    assert normaliser.std == pytest.approx(float(returns.double().std(unbiased=False)), rel=1e-6)
    normalised = normaliser.normalise(returns)
    assert float(normalised.mean()) == pytest.approx(0, abs=1e-5)
    assert float(normalised.std(unbiased=False)) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(normaliser.denormalise(normalised), returns)


def test_new_moments_change_no_value() -> None:
    """The head is rescaled, so that what has been learned stays."""
    value, generator = ValueFunction(NETWORK), torch.Generator().manual_seed(0)
    normaliser = PopArt(value.head)
    frames = torch.rand(6, 1, 1, 8, 8, generator=generator)
    before = normaliser.denormalise(value(frames)).detach()
    for scale in (5.0, 300.0):
        normaliser.update(torch.randn(50, generator=generator) * scale + scale)
        torch.testing.assert_close(normaliser.denormalise(value(frames)).detach(), before, rtol=1e-3, atol=1e-3)
        assert not torch.allclose(value(frames), before)


def test_returns_without_variance_are_defined() -> None:
    normaliser = PopArt(torch.nn.Linear(4, 1))
    normaliser.update(torch.full((8,), 3.0))
    assert normaliser.std == 1.0 and normaliser.normalise(torch.full((2,), 3.0)).tolist() == [0.0, 0.0]
    assert explained_variance(torch.rand(8), torch.full((8,), 3.0)) == 0.0
    assert explained_variance(torch.rand(1), torch.rand(1)) == 0.0
    assert explained_variance(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0])) == 1.0


class Hundredfold(Reach):
    """The same task, its reward 100 instead of 1."""

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        observation, reward, *rest = super().step(actions)
        return observation, 100 * reward, *rest


def test_normalised_values_reach_large_returns_at_once() -> None:
    """Steps this small take the bare value function nowhere near a hundred."""
    reached = {}
    for normalised in (True, False):
        ppo = Ppo(make_policy(), Hundredfold(), replace(CONFIG, normalise_value=normalised), seed=0)
        for _ in range(3):
            ppo.iterate()
        observation, _ = ppo.env.reset(seed=7)
        with torch.no_grad():
            reached[normalised] = float(ppo.values(observation).mean())
    assert reached[True] > 10 and abs(reached[False]) < 5


def test_the_anchor_holds_the_policy_back() -> None:
    frames = torch.rand(32, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    moved = {}
    for coefficient in (0.0, 10.0):
        ppo = Ppo(make_policy(), Reach(), replace(CONFIG, kl_coefficient=coefficient), seed=0)
        rows = [ppo.iterate() for _ in range(5)]
        moved[coefficient] = start_kl(ppo.policy, make_policy(), frames, CONFIG.std)
        assert (rows[-1]["anchor_kl"] > 0) == (coefficient > 0)
    assert 0 < moved[10.0] < 0.5 * moved[0.0]


def test_more_noise_does_not_bring_the_policy_nearer_to_the_start() -> None:
    """The start policy keeps the noise that practice began with: from twice that the anchor leads back to it."""
    config = replace(CONFIG, learn_std=True, kl_coefficient=2.0, epochs=1, minibatch_size=10_000, max_grad_norm=1e9)
    value = ValueFunction(NETWORK)
    torch.nn.init.zeros_(value.head.weight), torch.nn.init.zeros_(value.head.bias)  # no advantage: the anchor alone
    ppo = Ppo(make_policy(), Reach(reachable=False), config, seed=0, value=value)
    assert ppo.start is not None
    with torch.no_grad():
        ppo.policy.log_std += math.log(2)
        ppo.start.mean.bias += 0.5
    log_std = ppo.policy.log_std.detach().clone().requires_grad_(True)
    frames = torch.zeros(1, 1, 1, 8, 8)
    mean, start = (who.act(frames)[0].detach() for who in (ppo.policy, ppo.start))
    expected = kl_divergence(Normal(mean, log_std.exp()), Normal(start, config.std)).sum()
    (2.0 * expected).backward()
    row = ppo.iterate()
    assert row["policy_updates"] == 1 and log_std.grad is not None and bool((log_std.grad > 0).all())
    torch.testing.assert_close(ppo.policy.log_std.grad, log_std.grad, rtol=1e-3, atol=0.0)
    assert bool((ppo.policy.std < 2 * config.std).all())


@pytest.mark.parametrize(("low", "high", "expected"), [(0.02, 0.3, 0.3), (0.28, 1.0, None)])
def test_a_learned_exploration_stays_within_its_bounds(low: float, high: float, expected: float | None) -> None:
    """A bonus on the entropy widens it up to the bound; a bound that is not reached does not hold it."""
    config = replace(CONFIG, learn_std=True, min_std=low, max_std=high, entropy_coefficient=1.0, target_kl=1e9)
    ppo = Ppo(make_policy(), Reach(), config, seed=0)
    rows = [ppo.iterate() for _ in range(3)]
    assert rows[0]["std"] == pytest.approx(CONFIG.std), "it begins there"
    if expected is None:
        assert all(std > CONFIG.std for std in ppo.policy.std.tolist())
    else:
        assert ppo.policy.std.tolist() == pytest.approx([expected] * 2, rel=1e-5)
    assert rows[-1]["entropy"] >= rows[0]["entropy"]


def test_a_learned_exploration_can_shrink_to_its_lower_bound() -> None:
    config = replace(CONFIG, learn_std=True, min_std=0.28, entropy_coefficient=-1.0, target_kl=1e9)
    ppo = Ppo(make_policy(), Reach(), config, seed=0)
    for _ in range(3):
        ppo.iterate()
    assert ppo.policy.std.tolist() == pytest.approx([0.28] * 2, rel=1e-5)


@pytest.mark.parametrize(
    "options", [{"min_std": 0.0}, {"min_std": 0.5, "max_std": 0.4}, {"learn_std": True, "std": 2.0}]
)
def test_bounds_that_cannot_be_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="min_std"):
        PpoConfig(**options)  # type: ignore[arg-type]


def test_a_bonus_on_the_entropy_of_a_fixed_exploration_is_refused() -> None:
    with pytest.raises(ValueError, match="the entropy of a fixed std moves nothing"):
        PpoConfig(entropy_coefficient=0.01)
    assert PpoConfig(entropy_coefficient=0.01, learn_std=True).entropy_coefficient == 0.01
