"""The moving average of the policies that practise: what a refinement keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from reach import CONFIG, Reach, make_policy
from torch import Tensor

from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.ppo import Ppo
from world4rl_policy.ppo_config import PpoConfig


def weights(policy: GaussianPolicy) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in policy.state_dict().items()}


def test_it_is_the_exponential_moving_average_over_the_iterations() -> None:
    """It begins with the policy of the first iteration; each later one counts with 1 - the decay."""
    ppo = Ppo(make_policy(), Reach(), replace(CONFIG, ema_decay=0.75, learn_std=True), seed=0)
    first = weights(ppo.policy)
    torch.testing.assert_close(weights(ppo.averaged), first, rtol=0, atol=0)
    expected: dict[str, Tensor] = {}
    for _ in range(4):
        ppo.iterate()
        newest = weights(ppo.policy)
        expected = {k: expected.get(k, v) * 0.75 + v * 0.25 for k, v in newest.items()}
        torch.testing.assert_close(weights(ppo.averaged), expected)
    unlike = [k for k, v in expected.items() if not torch.allclose(v, newest[k]) and not torch.allclose(v, first[k])]
    assert unlike == list(expected), "all weights move, the learned standard deviation too"


def test_practice_does_not_depend_on_it() -> None:
    """Without it the newest policy is kept; the policy that practises is the same one, and so is its curve."""
    found = []
    for decay in (0.0, 0.95):
        ppo = Ppo(make_policy(), Reach(), replace(CONFIG, ema_decay=decay), seed=0)
        rows = [{k: v for k, v in ppo.iterate().items() if not k.endswith("_s")} for _ in range(3)]
        found.append((rows, weights(ppo.policy), weights(ppo.averaged)))
    assert found[0][0] == found[1][0]
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=0)
    torch.testing.assert_close(found[0][2], found[0][1], rtol=0, atol=0)
    assert not torch.allclose(found[1][2]["mean.weight"], found[1][1]["mean.weight"])


def test_it_swings_less_than_the_policy() -> None:
    """With steps as large as these the policy goes on moving; its average moves little, and solves the task."""
    ppo = Ppo(make_policy(), Reach(), CONFIG, seed=0)
    for _ in range(40):
        ppo.iterate()
    moved, averaged = [], []
    for _ in range(10):
        before = weights(ppo.policy), weights(ppo.averaged)
        ppo.iterate()
        for steps, old, new in zip((moved, averaged), before, (ppo.policy, ppo.averaged), strict=True):
            steps.append(sum(float((new.state_dict()[k] - v).square().sum()) for k, v in old.items()) ** 0.5)
    assert sum(averaged) < 0.3 * sum(moved)
    env = Reach(256)
    observation, _ = env.reset(seed=123)
    assert float(env.step(ppo.averaged.act(observation))[1].mean()) > 0.85


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_never_forgets_or_is_none_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=r"ppo\.ema_decay is .*: from 0, the newest policy, to below 1"):
        PpoConfig(ema_decay=decay)
