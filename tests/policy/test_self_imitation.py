"""Self-imitation: verified successes alone, up to where they begin to show, are a share of the BC term's batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from reach import CONFIG, Reach, make_policy
from torch import Tensor

from world4rl_policy import self_imitation
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.ppo import Ppo
from world4rl_policy.rollouts import RolloutBatch
from world4rl_policy.self_imitation import VerifiedSuccesses, steps_to_success
from world4rl_wm.training.share import Share

IMITATING = replace(CONFIG, bc_coefficient=0.1, bc_batch_size=10)
WANTED = torch.full((64, 2), 0.5)


def made_batch(verified: list[list[int]], tasks: Tensor | None = None) -> RolloutBatch:
    """Time first. Observation and action of step t of dream n are the number 10 n + t; episodes end with success."""
    told = torch.tensor(verified)
    steps, dreams = told.shape
    number = 10 * torch.arange(dreams) + torch.arange(steps).unsqueeze(1)
    valid = torch.cat([torch.zeros(1, dreams), (told > 0).float().cumsum(0)[:-1]]) == 0
    nothing = torch.zeros(steps, dreams)
    observations = number.float().view(steps, dreams, 1, 1).expand(-1, -1, 4, 16)
    actions = number.float().unsqueeze(-1).expand(-1, -1, 2) / 100
    columns = (nothing, nothing, nothing, told > 0, valid)
    return RolloutBatch(observations, actions, *columns, tasks=tasks, verified=told)


def numbers(successes: VerifiedSuccesses) -> list[int]:
    return [round(100 * float(action)) for action in successes.tensors()["actions"][:, 0]]


def test_only_verified_successes_and_only_steps_before_they_show() -> None:
    """Of three dreams the first has a success that shows in the frame of its third step, the second none that is
    verified, and the third one that has lasted for two frames in its fourth step."""
    batch = made_batch([[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 2]])
    assert steps_to_success(batch).int().tolist() == [[1, 0, 1], [1, 0, 1], [1, 0, 1], [0, 0, 0]]
    successes = VerifiedSuccesses()
    assert not successes
    successes.add(batch, 0, Share())
    assert numbers(successes) == [0, 1, 2, 20, 21, 22] and len(successes) == 6
    assert successes.tensors()["observations"][:, 0, 0].tolist() == [0, 1, 2, 20, 21, 22]
    masked = replace(batch, valid=torch.zeros_like(batch.valid))
    assert not steps_to_success(masked).any(), "what comes after an episode's end is none of it"


def test_actions_are_kept_as_they_were_done() -> None:
    batch = made_batch([[1, 1]])
    successes = VerifiedSuccesses()
    successes.add(replace(batch, actions=torch.tensor([[[2.0, 0.5], [-0.5, -3.0]]])), 0, Share())
    assert successes.tensors()["actions"].tolist() == [[1.0, 0.5], [-0.5, -1.0]]


def test_old_and_too_many_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_imitation, "ITERATIONS", 2)
    monkeypatch.setattr(self_imitation, "MOST_STEPS", 5)
    successes = VerifiedSuccesses()
    successes.add(made_batch([[0, 0], [1, 0]]), 0, Share())
    successes.add(made_batch([[0, 0], [0, 1]]), 1, Share())
    assert numbers(successes) == [0, 1, 10, 11]
    successes.add(made_batch([[0, 0], [0, 0]]), 2, Share())
    assert numbers(successes) == [10, 11], "the first iteration is too long ago"
    successes.add(made_batch([[0, 0], [1, 1]]), 2, Share())
    assert numbers(successes) == [11, 0, 1, 10, 11], "the newest five"


def test_each_task_is_imitated_as_often() -> None:
    successes = VerifiedSuccesses()
    successes.add(made_batch([[1] * 10], torch.tensor([3, *[1] * 9])), 0, Share())
    observations, actions, tasks = successes.sample(2000, torch.Generator().manual_seed(0))
    assert observations.shape == (2000, 4, 16) and actions.shape == (2000, 2)
    assert set(tasks.tolist()) == {1, 3} and 900 < int((tasks == 3).sum()) < 1100
    assert torch.equal(tasks == 3, actions[:, 0] == 0), "each action with its own task"


def demonstrations(asked: list[int]) -> Any:
    def sample(size: int) -> tuple[Tensor, Tensor]:
        asked.append(size)
        return torch.zeros(size, 1, 1, 8, 8), WANTED[:size]

    return sample


def practised(env: Reach, imagined_bc: float, asked: list[int], iterations: int = 3) -> Ppo:
    config = replace(IMITATING, imagined_bc=imagined_bc)
    ppo = Ppo(make_policy(), env, config, demonstrations(asked), seed=0)
    for _ in range(iterations):
        row = ppo.iterate()
    assert ("imagined_imitated" in row) == bool(imagined_bc)
    return ppo


def weights(ppo: Ppo) -> list[Tensor]:
    return [*ppo.policy.state_dict().values(), *ppo.value.state_dict().values(), ppo.generator.get_state()]


def test_the_batch_has_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """3 of 10 are imagined, the steps of Reach's successes: there the action is near the picture's brightness."""
    seen: list[tuple[Tensor, Tensor]] = []
    distribution = GaussianPolicy.distribution

    def watched(policy: GaussianPolicy, frames: Tensor, *given: Any) -> Any:
        seen.append(frames)
        return distribution(policy, frames, *given)

    monkeypatch.setattr(GaussianPolicy, "distribution", watched)
    asked: list[int] = []
    ppo = practised(Reach(), 0.3, asked)
    assert set(asked) == {7} and ppo.successes
    batches = [frames for frames in seen if len(frames) == 10]
    assert len(batches) == len(asked)
    assert all((frames[:7] == 0).all() and (frames[7:] != 0).all() for frames in batches)
    kept = ppo.successes.tensors()
    assert len(ppo.successes) == len(kept["iteration"]) and set(kept["iteration"].tolist()) <= {0, 1, 2}


def test_what_is_imitated_pulls() -> None:
    """The reward is 0 throughout, so that the imagined part of the term alone can teach this."""
    target = torch.tensor([0.6, -0.6])

    class Lenient(Reach):
        """One picture; a success, worth nothing and verified, is an action near the target."""

        def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict[str, Tensor]]:
            super().reset(seed=seed)
            self.goal = torch.full_like(self.goal, 0.5)
            return self._observation(), {}

        def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
            near = self.alive & ((actions - target).abs().amax(1) < 0.5)
            self.alive = self.alive & ~near
            zeros = torch.zeros_like(near)
            return self._observation(), zeros.float(), near, zeros, {"success": near, "verified": near.long()}

    config = replace(IMITATING, bc_coefficient=1.0, target_kl=1e9, std=0.5, imagined_bc=0.9, iterations=20)
    frame = torch.full((1, 1, 1, 8, 8), 0.5)
    found = {}
    for share in (0.0, 0.9):
        ppo = Ppo(make_policy(), Lenient(), replace(config, imagined_bc=share), demonstrations([]), seed=0)
        for _ in range(20):
            ppo.iterate()
        found[share] = float((ppo.policy.act(frame)[0] - target).abs().max())
    assert found[0.9] < 0.3 < found[0.0]


class Doubted(Reach):
    """No success is verified."""

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        *others, info = super().step(actions)
        return *others, {name: torch.zeros_like(value) for name, value in info.items()}


class Silent(Reach):
    """As a simulator that knows nothing of verified successes."""

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        *others, _ = super().step(actions)
        return *others, {}


def test_off_or_without_a_verified_success_nothing_changes() -> None:
    """Weights and random numbers; what is asked of the demonstrations is the whole batch."""
    asked: list[int] = []
    expected = weights(practised(Silent(), 0.0, asked))
    for env, share in ((Reach(), 0.0), (Doubted(), 0.5)):
        found = weights(practised(env, share, asked))
        assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    assert set(asked) == {10}
    imitating = weights(practised(Reach(), 0.5, asked))
    assert not all(torch.equal(one, other) for one, other in zip(expected, imitating, strict=True))


def test_an_interrupted_one_goes_on_with_the_same_successes(tmp_path: Path) -> None:
    straight = practised(Reach(), 0.5, [], iterations=5)
    first = practised(Reach(), 0.5, [], iterations=3)
    first.training_state({}, {}).save(tmp_path / "state", "run")
    resumed = Ppo(make_policy(7), Reach(), replace(IMITATING, imagined_bc=0.5), demonstrations([]), seed=5)
    assert resumed.training_state({}, {}).restore(tmp_path / "state", "run")
    for _ in range(2):
        row = resumed.iterate()
    assert resumed.successes is not None and straight.successes is not None
    assert row["imagined_imitated"] == len(straight.successes) > 0
    assert all(torch.equal(one, other) for one, other in zip(weights(straight), weights(resumed), strict=True))
    kept = straight.successes.tensors()
    assert all(torch.equal(value, kept[name]) for name, value in resumed.successes.tensors().items())


def test_what_cannot_be_imitated_is_refused() -> None:
    with pytest.raises(ValueError, match="this environment does not say which are"):
        practised(Silent(), 0.5, [])
    with pytest.raises(ValueError, match=r"ppo.imagined_bc is 1.0: a share from 0 to below 1"):
        replace(CONFIG, imagined_bc=1.0)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"bc_coefficient": 0.0}, "bc_coefficient is 0.0"),
        ({"imagined_bc": 0.04}, "of ppo.bc_batch_size 10 0 would be"),
        ({"bc_batch_size": 1}, "of ppo.bc_batch_size 1 0 would be"),
    ],
)
def test_a_share_of_nothing_is_refused(setting: dict[str, float], why: str) -> None:
    """Without the term, or where the share rounds to none, it would be said to imitate and do nothing."""
    wanted = replace(IMITATING, imagined_bc=0.5)
    with pytest.raises(ValueError, match=f"nothing would be imitated: .*{why}"):
        replace(wanted, **setting)
    replace(wanted, **setting | {"imagined_bc": 0.0})  # off, whatever the term is
