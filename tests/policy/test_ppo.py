"""PPO: advantages against their definition, nothing learned from after an episode's end, and a task it must solve."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from made_rollouts import made_rollouts
from reach import CONFIG, NETWORK, Reach, make_policy
from torch import Tensor

from world4rl_policy.actor_critic import GaussianPolicy, ValueFunction
from world4rl_policy.advantage import generalized_advantage, normalise
from world4rl_policy.ppo import Ppo, start_kl
from world4rl_policy.rollouts import RolloutBatch, collect
from world4rl_wm.precision import autocast

STD = torch.full((2,), CONFIG.std)


def by_definition(batch: RolloutBatch, env: int, gamma: float, gae_lambda: float) -> list[float]:
    """A_t = sum over l of (gamma lambda)^l delta_{t+l}, over the steps of the episode; its end has value 0."""
    length = int(batch.valid[:, env].sum())
    value = [*batch.values[:length, env].tolist(), 0.0]
    delta = [float(batch.rewards[t, env]) + gamma * value[t + 1] - value[t] for t in range(length)]
    return [sum((gamma * gae_lambda) ** (k - t) * delta[k] for k in range(t, length)) for t in range(length)]


@pytest.mark.parametrize("seed", range(5))
def test_advantages_are_those_of_the_definition(seed: int) -> None:
    """The horizon is an end like any other: running out of time is failing."""
    batch = made_rollouts(seed)
    advantage, returns = generalized_advantage(batch, 0.9, 0.8)
    for env in range(5):
        expected = by_definition(batch, env, 0.9, 0.8)
        assert advantage[: len(expected), env].tolist() == pytest.approx(expected, abs=1e-5)
        assert advantage[len(expected) :, env].abs().sum() == 0
    torch.testing.assert_close(returns, advantage + batch.values)


def test_advantages_by_hand() -> None:
    """gamma = lambda = 1/2; a success exactly as expected, and an episode that never succeeds."""
    rewards = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    values = torch.tensor([[0.5, 0.5], [1.0, 1.0], [9.0, 2.0]])
    terminated = torch.tensor([[False, False], [True, False], [False, False]])
    valid = torch.tensor([[True, True], [True, True], [False, True]])
    nothing = torch.zeros(3, 2)
    batch = RolloutBatch(nothing, nothing, nothing, rewards, values, terminated, valid)
    advantage, _ = generalized_advantage(batch, 0.5, 0.5)
    # first column: deltas 0.5 * 1 - 0.5 = 0 and 1 - 1 = 0, then the end; what stands there is not looked at
    # second column: deltas 0, -1 + 0.5 * 2 = 0, -2; advantages 0.25^2 * -2, 0.25 * -2, -2
    torch.testing.assert_close(advantage, torch.tensor([[0.0, -0.125], [0.0, -0.5], [0.0, -2.0]]))
    assert batch.success == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_what_comes_after_the_end_changes_nothing(seed: int) -> None:
    batch = made_rollouts(seed)
    assert not bool(batch.valid.all())
    spoiled = replace(
        batch,
        rewards=torch.where(batch.valid, batch.rewards, torch.full_like(batch.rewards, 1e3)),
        values=torch.where(batch.valid, batch.values, torch.full_like(batch.values, -1e3)),
    )
    advantage, returns = generalized_advantage(batch, 0.97, 0.95)
    again, returns_again = generalized_advantage(spoiled, 0.97, 0.95)
    assert torch.equal(advantage[batch.valid], again[batch.valid])
    assert torch.equal(returns[batch.valid], returns_again[batch.valid])


def test_collected_steps_are_valid_until_the_one_that_ends_the_episode() -> None:
    policy = make_policy()
    batch = collect(Reach(), policy, ValueFunction(NETWORK), 3, STD, torch.Generator().manual_seed(1))
    ended_before = torch.cat([torch.zeros(1, 64), batch.ended.float().cumsum(0)[:-1]]) > 0
    assert torch.equal(batch.valid, ~ended_before)
    assert 0 < int(batch.ended.sum()) < 64 and int(batch.ended.sum(0).max()) == 1
    assert batch.success == pytest.approx(float(batch.ended.any(0).float().mean()))
    assert batch.observations.shape == (3, 64, 2 * 2, 16) and batch.actions.shape == (3, 64, 2)
    with autocast(torch.device("cpu")):
        distribution = policy.distribution(batch.observations[0], torch.full((2,), CONFIG.std))
    torch.testing.assert_close(batch.log_prob[0], distribution.log_prob(batch.actions[0]).sum(-1))
    noise = batch.actions[0] - distribution.mean
    assert float(noise.std()) == pytest.approx(CONFIG.std, rel=0.2)


class Paid(Reach):
    """Every step is worth something, and the environment says itself what is a success."""

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        observation, reward, terminated, truncated, info = super().step(actions)
        return observation, reward + 0.1, terminated, truncated, info | {"success": terminated}


@pytest.mark.parametrize("reachable", [True, False])
def test_a_reward_is_no_success_where_the_environment_says_what_is(reachable: bool) -> None:
    """Rewards for progress would make a success of every dream."""
    generator = torch.Generator().manual_seed(1)
    batch = collect(Paid(reachable=reachable), make_policy(), ValueFunction(NETWORK), 3, STD, generator)
    assert batch.success == pytest.approx(float(batch.ended.any(0).float().mean()))
    assert (0 < batch.success < 1) == reachable and bool((batch.rewards > 0).all())


class ShortReach(Reach):
    """Every other episode is out of time after two steps."""

    def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        self.steps = 0
        return super().reset(seed=seed)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        observation, reward, terminated, _, info = super().step(actions)
        self.steps += 1
        truncated = self.alive & (self.steps >= 2) & (torch.arange(self.num_envs) % 2 == 0)
        return observation, reward, terminated, truncated, info


def test_what_is_out_of_time_has_failed_whatever_the_others_still_do() -> None:
    batch = collect(
        ShortReach(reachable=False), make_policy(), ValueFunction(NETWORK), 4, STD, torch.Generator().manual_seed(1)
    )
    assert batch.valid.sum(0).tolist() == [2, 4] * 32 and batch.success == 0
    assert batch.ended.int().argmax(0)[::2].eq(1).all() and not batch.ended[:, 1::2].any()
    _, returns = generalized_advantage(batch, 0.9, 1.0)
    torch.testing.assert_close(returns[batch.valid], torch.zeros_like(returns[batch.valid]))


def test_nothing_is_asked_about_what_follows_the_last_step() -> None:
    """Nothing is bootstrapped there: as many values as there are steps."""
    asked: list[Tensor] = []
    value = ValueFunction(NETWORK)

    def counted(observations: Tensor, tasks: Tensor | None) -> Tensor:
        asked.append(observations)
        return value(observations, tasks)

    batch = collect(Reach(), make_policy(), counted, 3, STD, torch.Generator().manual_seed(1))
    assert len(asked) == len(batch.values) == 3


def test_the_same_generator_collects_the_same_batch() -> None:
    policy, value = make_policy(), ValueFunction(NETWORK)
    first, again, other = (
        collect(Reach(), policy, value, 3, STD, torch.Generator().manual_seed(seed)).actions for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_advantages_without_variance_are_zero_and_never_nan() -> None:
    for same in (torch.full((7,), 3.0), torch.zeros(4), torch.tensor([0.25]), torch.full((3,), 1.0) + 1e-8):
        assert normalise(same).tolist() == [0.0] * len(same)
    spread = normalise(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert float(spread.mean()) == pytest.approx(0, abs=1e-6)
    assert float(spread.std(unbiased=False)) == pytest.approx(1, abs=1e-5)


def solved(policy: GaussianPolicy) -> float:
    """Share of goals that the mean action reaches at once."""
    env = Reach(256)
    observation, _ = env.reset(seed=123)
    return float(env.step(policy.act(observation))[1].mean())


def test_learns_to_reach() -> None:
    policy = make_policy()
    assert solved(policy) < 0.5
    ppo = Ppo(policy, Reach(), CONFIG, seed=0)
    rows = [ppo.iterate() for _ in range(40)]
    assert solved(policy) > 0.85
    assert rows[-1]["iteration"] == 40
    assert sum(row["imagined_success"] for row in rows[-5:]) > sum(row["imagined_success"] for row in rows[:5]) + 0.5
    assert rows[-1]["explained_variance"] > rows[0]["explained_variance"]
    assert all(row["dream_s"] > 0 and row["learn_s"] > 0 for row in rows)


def practised(**settings: float) -> tuple[Ppo, RolloutBatch]:
    """PPO with a single minibatch, and a batch to learn from in which some episodes end early."""
    ppo = Ppo(
        make_policy(), Reach(), replace(CONFIG, epochs=1, minibatch_size=10_000, target_kl=1e9, **settings), seed=0
    )
    batch = collect(ppo.env, ppo.policy, ppo.values, 3, STD, torch.Generator().manual_seed(1))
    assert 0.5 < float(batch.valid.float().mean()) < 0.95
    return ppo, batch


def test_what_a_step_is_measured_by_is_a_mean_over_its_valid_steps() -> None:
    """The acting policy was another one: the ratio r of the two is known, KL is (r - 1) - ln r on average."""
    ppo, batch = practised()
    told = 0.3 * torch.randn(batch.log_prob.shape, generator=torch.Generator().manual_seed(2))
    row = ppo._learn(replace(batch, log_prob=batch.log_prob - told))
    ratio = told.exp()[batch.valid]
    assert row["approx_kl"] == pytest.approx(float((ratio - 1 - ratio.log()).mean()), rel=0.05)
    assert row["clip_fraction"] == pytest.approx(float(((ratio - 1).abs() > CONFIG.clip).float().mean()), abs=0.02)


def test_gradients_are_bounded() -> None:
    """Those of the policy and those of the value function, each as a whole."""
    ppo, batch = practised(max_grad_norm=1e-3)
    ppo._learn(batch)
    for network in (ppo.policy, ppo.value):
        gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        assert float(torch.cat(gradients).norm()) == pytest.approx(1e-3, rel=1e-2)


def test_what_is_learned_is_scaled_by_the_valid_steps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over them advantages have mean 0 and deviation 1, and so have normalised returns, whatever comes after an end."""
    found = []
    for spoiled in (False, True):
        ppo, batch = practised(normalise_value=True)
        if spoiled:
            columns = {name: getattr(batch, name).where(batch.valid, 1e3) for name in ("rewards", "values")}
            batch = replace(batch, **columns)
        monkeypatch.setattr(ppo, "_update", lambda steps, *_, **__: found.append(steps) or {})
        explained = ppo._learn(batch)["explained_variance"]
        for column in (found[-1].advantage, found[-1].returns):
            valid = column[batch.valid.flatten()]
            assert float(valid.mean()) == pytest.approx(0, abs=1e-5)
            assert float(valid.std(unbiased=False)) == pytest.approx(1, abs=1e-4)
        found.append(explained)
    assert found[1] == pytest.approx(found[3], abs=1e-6)


def count_steps(optimizer: torch.optim.Optimizer) -> list[int]:
    steps: list[int] = []
    step = optimizer.step
    optimizer.step = lambda *args: (steps.append(1), step(*args))[1]  # type: ignore[method-assign]
    return steps


@pytest.mark.parametrize(("target_kl", "updates"), [(1e-6, 1), (1e9, 4)])
def test_a_policy_that_has_gone_too_far_is_left_alone(target_kl: float, updates: int) -> None:
    """The first step starts from KL 0; the second sees what the first has done. The value function goes on."""
    config = replace(CONFIG, target_kl=target_kl, minibatch_size=10_000, epochs=4)
    ppo = Ppo(make_policy(), Reach(), config, seed=0)
    policy_steps, value_steps = count_steps(ppo.policy_optimizer), count_steps(ppo.value_optimizer)
    row = ppo.iterate()
    assert (len(policy_steps), len(value_steps)) == (updates, 4)
    assert row["approx_kl"] <= target_kl


def test_the_value_function_warms_up_alone() -> None:
    policy = make_policy()
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}
    ppo = Ppo(policy, Reach(), replace(CONFIG, value_warm_up=2), seed=0)
    value_before = ppo.value.head.weight.clone()
    for _ in range(2):
        ppo.iterate()
    assert all(torch.equal(weight, before[name]) for name, weight in policy.state_dict().items())
    assert not torch.equal(ppo.value.head.weight, value_before)
    ppo.iterate()
    changed = {name for name, weight in policy.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == before.keys() - {"log_std"}  # exploration noise is a setting, the policy's own stays as cloned


def test_the_bc_term_pulls_towards_demonstrations() -> None:
    """Where nothing can be won: without the term the mean would wander."""
    policy = make_policy()
    frames, wanted = torch.zeros(64, 1, 1, 8, 8), torch.full((64, 2), 0.5)
    config = replace(CONFIG, bc_coefficient=1.0, target_kl=1e9)
    ppo = Ppo(policy, Reach(reachable=False), config, lambda size: (frames[:size], wanted[:size]), seed=0)
    rows = [ppo.iterate() for _ in range(8)]
    assert rows[-1]["bc_loss"] < rows[0]["bc_loss"]
    assert float((policy.act(frames[:1]) - 0.5).abs().max()) < 0.15


def test_distance_from_the_start_policy() -> None:
    start, moved = make_policy(), make_policy()
    frames = torch.rand(8, 1, 1, 8, 8)
    assert start_kl(moved, start, frames, 0.3) == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        for policy, bias in ((start, 0.0), (moved, 0.6)):
            policy.mean.weight.zero_()
            policy.mean.bias.fill_(bias)
    # two dimensions of equal spread, means tanh(0.6) apart
    expected = 2 * float(torch.tensor(0.6).tanh() ** 2) / (2 * 0.3**2)
    assert start_kl(moved, start, frames, 0.3) == pytest.approx(expected, rel=1e-4)
