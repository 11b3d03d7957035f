"""IQL and TD3+BC by torchrl's losses: both go on from a policy, on its frozen features, and end as its like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from refinement_parts.transitions import Transitions, split_encoder
from torch import Tensor, nn

from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_sim.gl import choose_gl


@dataclass(frozen=True)
class OfflineConfig:
    """What both algorithms share. The critics learn alone for the first `critic_first` of the `steps`.

    Rates as published, but for the actor's: it starts from a trained policy.
    """

    steps: int = 3000
    batch_size: int = 128
    hidden: int = 256
    learning_rate: float = 3e-4
    actor_learning_rate: float = 1e-4
    critic_first: float = 0.3
    tau: float = 0.005
    time_limit_terminates: bool = True


@dataclass(frozen=True)
class IqlConfig(OfflineConfig):
    """Implicit Q-learning (Kostrikov et al. 2021, arXiv 2110.06169), advantage-weighted extraction.

    Values are between 0 and 1, so that a good action's advantage is a few hundredths: hence the temperature.
    """

    expectile: float = 0.8
    temperature: float = 100.0


@dataclass(frozen=True)
class Td3BcConfig(OfflineConfig):
    """TD3+BC (Fujimoto and Gu 2021, arXiv 2106.06860). `noise` of the target policy as published, in action units."""

    alpha: float = 2.5
    noise: float = 0.2
    noise_clip: float = 0.5
    actor_every: int = 2


CONFIGS: dict[str, type[OfflineConfig]] = {"iql": IqlConfig, "td3_bc": Td3BcConfig}


class Actor(nn.Module):
    """The policy's trainable layers, asked with standardised features: mean ``(B, A)`` and, with `spread`, its std too.

    The layers see the features as they come from the convolutions, whose scale they were trained for: with weights for
    standardised ones the first steps of Adam would undo what imitation has learned.
    """

    def __init__(self, policy: GaussianPolicy, mean: Tensor, std: Tensor, spread: bool) -> None:
        super().__init__()
        self.hidden, self.mean, self.log_std = split_encoder(policy)[1], policy.mean, policy.log_std
        self.bounds = policy.config.min_std, policy.config.max_std
        self.spread = spread
        self._features = mean, std  # a tuple: neither is a weight

    def forward(self, features: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        mean, std = self._features
        mu = torch.tanh(self.mean(self.hidden(features * std + mean)))
        return (mu, self.log_std.exp().clamp(*self.bounds).expand_as(mu)) if self.spread else mu


class Critic(nn.Module):
    """V(s), or Q(s, a), ``(B, 1)``: features are projected to a few before the action comes in, which else they drown.

    Layer normalisation keeps the values of unseen actions in bounds.
    """

    def __init__(self, features: int, actions: int, hidden: int, projected: int = 50) -> None:
        super().__init__()
        self.projection = nn.Sequential(nn.Linear(features, projected), nn.LayerNorm(projected), nn.Tanh())
        self.head = nn.Sequential(
            nn.Linear(projected + actions, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, features: Tensor, action: Tensor | None = None) -> Tensor:
        state = self.projection(features)
        return self.head(state if action is None else torch.cat([state, action], -1))


class _Learner(Protocol):
    """One algorithm: a step of its critics and, unless they learn alone, of its actor."""

    def step(self, batch: Any, actor_too: bool) -> dict[str, float]: ...


def train(
    policy: GaussianPolicy, transitions: Transitions, config: OfflineConfig, gamma: float, seed: int
) -> dict[str, float]:
    """Train `policy` in place, deterministic for a seed; returns the last losses.

    Only its hidden layer, its mean and its standard deviation change: the features are frozen.
    """
    choose_gl()  # torchrl imports mujoco, which looks for a display unless it was told before
    from tensordict import TensorDict

    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    policy.requires_grad_(True)
    actor = Actor(policy, transitions.mean, transitions.std, isinstance(config, IqlConfig))
    learner: _Learner
    if isinstance(config, IqlConfig):
        learner = _Iql(actor, transitions, config, gamma)
    elif isinstance(config, Td3BcConfig):
        learner = _Td3Bc(actor, transitions, config, gamma)
    else:
        raise ValueError(f"no algorithm for a {type(config).__name__}")
    losses: dict[str, float] = {}
    for step in range(config.steps):
        values = transitions.sample(config.batch_size, generator)
        following = {name: values.pop(name) for name in ("reward", "done", "terminated")}
        following["observation"] = values.pop("next_observation")
        batch = TensorDict({**values, "next": TensorDict(following, config.batch_size)}, config.batch_size)
        losses |= learner.step(batch, actor_too=step >= config.critic_first * config.steps)
    policy.eval().requires_grad_(False)
    return losses


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


class _Iql:
    def __init__(self, actor: Actor, transitions: Transitions, config: IqlConfig, gamma: float) -> None:
        from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
        from torch.distributions import Independent, Normal
        from torchrl.objectives import IQLLoss, SoftUpdate, ValueEstimators

        def distribution(loc: Tensor, scale: Tensor) -> Independent:
            return Independent(Normal(loc, scale), 1)

        means = TensorDictModule(actor, in_keys=["observation"], out_keys=["loc", "scale"])
        draw = ProbabilisticTensorDictModule(["loc", "scale"], ["action"], distribution_class=distribution)
        features, actions = len(transitions.mean), transitions.actions.shape[1]
        value, state_action = Critic(features, 0, config.hidden), Critic(features, actions, config.hidden)
        self.loss = IQLLoss(
            ProbabilisticTensorDictSequential(means, draw),
            TensorDictModule(state_action, in_keys=["observation", "action"], out_keys=["state_action_value"]),
            TensorDictModule(value, in_keys=["observation"], out_keys=["state_value"]),
            loss_function="l2",
            temperature=config.temperature,
            expectile=config.expectile,
        )
        self.loss.make_value_estimator(ValueEstimators.TD0, gamma=gamma)
        self.target = SoftUpdate(self.loss, tau=config.tau)
        critics = [*_parameters(self.loss.qvalue_network_params), *_parameters(self.loss.value_network_params)]
        self.critics = torch.optim.Adam(critics, lr=config.learning_rate)
        self.actor = torch.optim.Adam(_parameters(self.loss.actor_network_params), lr=config.actor_learning_rate)

    def step(self, batch: Any, actor_too: bool) -> dict[str, float]:
        value, q = self.loss.value_loss(batch)[0], self.loss.qvalue_loss(batch)[0]
        told = {"value_loss": float(value.detach()), "q_loss": float(q.detach())}
        if actor_too:
            imitation = self.loss.actor_loss(batch)[0]
            told["actor_loss"] = float(imitation.detach())
            _descend(self.actor, imitation)
        _descend(self.critics, value + q)
        self.target.step()
        return told


class _Td3Bc:
    def __init__(self, actor: Actor, transitions: Transitions, config: Td3BcConfig, gamma: float) -> None:
        from tensordict.nn import TensorDictModule
        from torchrl.objectives import SoftUpdate, TD3BCLoss, ValueEstimators

        self.config, self.steps = config, 0
        q = Critic(len(transitions.mean), transitions.actions.shape[1], config.hidden)
        self.loss = TD3BCLoss(
            TensorDictModule(actor, in_keys=["observation"], out_keys=["action"]),
            TensorDictModule(q, in_keys=["observation", "action"], out_keys=["state_action_value"]),
            bounds=(-1.0, 1.0),
            policy_noise=config.noise,
            noise_clip=config.noise_clip,
            alpha=config.alpha,
            loss_function="l2",
        )
        self.loss.make_value_estimator(ValueEstimators.TD0, gamma=gamma)
        self.target = SoftUpdate(self.loss, tau=config.tau)
        self.critics = torch.optim.Adam(_parameters(self.loss.qvalue_network_params), lr=config.learning_rate)
        self.actor = torch.optim.Adam(_parameters(self.loss.actor_network_params), lr=config.actor_learning_rate)

    def step(self, batch: Any, actor_too: bool) -> dict[str, float]:
        q = self.loss.qvalue_loss(batch)[0]
        _descend(self.critics, q)
        told = {"q_loss": float(q.detach())}
        self.steps += 1
        if actor_too and self.steps % self.config.actor_every == 0:
            loss = self.loss.actor_loss(batch)[0]
            told["actor_loss"] = float(loss.detach())
            _descend(self.actor, loss)
        self.target.step()
        return told


def _parameters(values: Any) -> list[nn.Parameter]:
    """The trainable tensors of torchrl's parameter dictionaries."""
    return [p for p in values.values(include_nested=True, leaves_only=True) if p.requires_grad]
