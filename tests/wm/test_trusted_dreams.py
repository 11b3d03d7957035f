"""What keeps a dream from being exploited: where it is unsure it ends or costs, and progress may earn something."""

from __future__ import annotations

import pytest
import torch
from small_models import reward_model, small_contract, small_store, world_model
from torch import Tensor

from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.model.frames import StartStates
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.uncertainty.ensemble import Ensemble

CONTRACT = small_contract()
ENVS = 4


class Always:
    """Calls every frame solved."""

    threshold, tells_progress = 0.5, False

    def probability(self, frames: Tensor) -> Tensor:
        return torch.ones(len(frames))


class Brightness(Always):
    """Calls no frame solved; progress is how bright the frame is."""

    tells_progress = True

    def probability(self, frames: Tensor) -> Tensor:
        return torch.zeros(len(frames))

    def progress(self, frames: Tensor) -> Tensor:
        return frames.flatten(1).mean(1)


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> StartStates:
    return StartStates.of(small_store(tmp_path_factory.mktemp("trust") / "store", CONTRACT), [0, 1])


@pytest.fixture(scope="module")
def models() -> tuple[WorldModel, WorldModel]:
    """Two that disagree."""
    first, other = world_model(CONTRACT), world_model(CONTRACT)
    torch.manual_seed(7)
    for parameter in other.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return first.requires_grad_(False), other.requires_grad_(False)


def env_of(
    models: tuple[WorldModel, WorldModel], starts: StartStates, reward: Always | None = None, **settings: float
) -> ImaginationEnv:
    config = ImaginationConfig(num_envs=ENVS, horizon=3, hits=2, **settings)  # type: ignore[arg-type]
    env = ImaginationEnv([models[0]], [reward or Always()], starts, config, Ensemble((models[1],)))  # type: ignore[list-item]
    env.reset(seed=0)
    return env


def steps(env: ImaginationEnv) -> list[tuple[Tensor, Tensor, dict[str, Tensor]]]:
    generator = torch.Generator().manual_seed(0)
    rows = []
    for _ in range(3):
        _, reward, terminated, _, info = env.step(torch.rand(ENVS, CONTRACT.action_dim, generator=generator) * 2 - 1)
        rows.append((reward, terminated, info))
    return rows


def test_a_dream_that_is_too_unsure_ends_without_success(
    models: tuple[WorldModel, WorldModel], starts: StartStates
) -> None:
    plain = steps(env_of(models, starts))
    assert plain[1][1].all() and plain[1][0].tolist() == [1.0] * ENVS, "the second hit in a row is a success"
    unsure = torch.stack([row[2]["uncertainty"] for row in plain[:2]]).amax(0)
    limit = float(unsure.sort().values[:2].mean())  # between the surest dream and the others
    limited = steps(env_of(models, starts, max_uncertainty=limit))
    believed = unsure <= limit
    assert 0 < int(believed.sum()) < ENVS
    won = torch.stack([row[2]["success"] for row in limited]).any(0)
    assert torch.equal(won, believed)
    assert torch.equal(torch.stack([row[0] for row in limited]).sum(0), believed.float()), "no reward for the others"
    assert torch.stack([row[1] for row in limited]).sum(0).tolist() == [1] * ENVS, "each has ended, once"


class Script(Always):
    """Says of each dream in each step what it was told to."""

    def __init__(self, *rows: tuple[int, ...]):
        self.rows = iter(rows)

    def probability(self, frames: Tensor) -> Tensor:
        return torch.tensor(next(self.rows), dtype=torch.float)


def test_a_witness_decides_nothing_and_must_agree_on_every_frame(
    models: tuple[WorldModel, WorldModel], starts: StartStates
) -> None:
    """The dream's own says: success from the first frame, from the second twice, never; two in a row are needed."""
    verdicts = [(1, 0, 0, 0), (1, 1, 1, 0), (1, 1, 1, 0)]
    witnessed = [(1, 1, 0, 1), (1, 1, 0, 1), (0, 1, 1, 1)]
    plain = steps(env_of(models, starts, Script(*verdicts)))
    env = env_of(models, starts, Script(*verdicts))
    env.witness = Script(*witnessed)  # type: ignore[assignment]
    env.reset(seed=0)
    found = steps(env)
    assert [row[2]["verified"].tolist() for row in found] == [[0, 0, 0, 0], [2, 0, 0, 0], [0, 2, 0, 0]]
    for before, after in zip(plain, found, strict=True):
        assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])
        assert after[2]["verified"].dtype == torch.long and "verified" not in before[2]
        for name, value in before[2].items():
            assert torch.equal(value, after[2][name]), name


def test_uncertainty_costs_until_the_end(models: tuple[WorldModel, WorldModel], starts: StartStates) -> None:
    plain, penalised = steps(env_of(models, starts)), steps(env_of(models, starts, uncertainty_penalty=2.0))
    for step, (before, after) in enumerate(zip(plain, penalised, strict=True)):
        cost = 2.0 * before[2]["uncertainty"] if step < 2 else torch.zeros(ENVS)
        torch.testing.assert_close(after[0], before[0] - cost)
        assert torch.equal(after[1], before[1]) and torch.equal(after[2]["success"], before[2]["success"])
    assert bool((plain[0][2]["uncertainty"] > 0).all())


def test_progress_earns_what_is_gained(models: tuple[WorldModel, WorldModel], starts: StartStates) -> None:
    """Over an episode the gains add up to the last frame's progress minus the first's."""
    env = env_of(models, starts, Brightness(), progress_reward=0.5)
    first, _ = env.reset(seed=0)
    rows = steps(env)
    last = env.reset(options={"reset_mask": torch.zeros(ENVS, dtype=torch.bool)})[0]
    gained = last[:, -1].flatten(1).mean(1) - first[:, -1].flatten(1).mean(1)
    torch.testing.assert_close(torch.stack([row[0] for row in rows]).sum(0), 0.5 * gained)
    assert not any(row[2]["success"].any() for row in rows)


def test_a_fresh_dream_starts_from_its_own_progress(models: tuple[WorldModel, WorldModel], starts: StartStates) -> None:
    env = env_of(models, starts, Brightness(), progress_reward=1.0)
    env.reset(seed=0)
    steps(env)
    anew = torch.tensor([True, False, False, False])
    first, _ = env.reset(options={"reset_mask": anew})
    observation, reward, *_ = env.step(torch.zeros(ENVS, CONTRACT.action_dim))
    gained = observation[0, -1].mean() - first[0, -1].mean()
    torch.testing.assert_close(reward[0], gained)


def test_what_is_missing_is_said(models: tuple[WorldModel, WorldModel], starts: StartStates) -> None:
    reward = reward_model(CONTRACT)
    for settings, message in (
        ({"max_uncertainty": 0.1}, "need an ensemble"),
        ({"uncertainty_penalty": 1.0}, "need an ensemble"),
        ({"progress_reward": 1.0}, "learned progress"),
    ):
        with pytest.raises(ValueError, match=message):
            ImaginationEnv([models[0]], [reward], starts, ImaginationConfig(num_envs=ENVS, **settings))  # type: ignore[arg-type]
