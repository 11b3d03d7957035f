"""Dreams and the environment made of them: shapes, one reward per episode, determinism, and the true step order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from small_models import SIZE, small_contract, small_store, world_model
from torch import Tensor

from world4rl_data.store import EpisodeStore
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.measures.replay import Replay, replay, success_steps
from world4rl_wm.model.frames import StartStates, to_float, to_uint8
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.precision import native_bfloat16
from world4rl_wm.training.share import Share
from world4rl_wm.uncertainty.ensemble import Ensemble

CONTRACT = small_contract()
ENVS, HORIZON, ACTIONS = 4, 5, 3


class ScriptedReward:
    """Says of step t and dream n what ``script[t][n]`` says."""

    def __init__(self, script: list[list[float]], threshold: float = 0.5):
        self.script, self.threshold, self.step = torch.tensor(script), threshold, 0

    def probability(self, frames: Tensor) -> Tensor:
        assert frames.shape == (self.script.shape[1], 6, SIZE, SIZE)
        self.step += 1
        return self.script[self.step - 1]


def never(steps: int = 2 * HORIZON) -> ScriptedReward:
    return ScriptedReward([[0.0] * ENVS] * steps)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    return small_store(tmp_path_factory.mktemp("dream") / "store", CONTRACT, (5, 3, 4))


@pytest.fixture(scope="module")
def model() -> WorldModel:
    return world_model(CONTRACT).requires_grad_(False)


def other_model() -> WorldModel:
    other = world_model(CONTRACT).requires_grad_(False)
    for parameter in other.denoiser.unet.conv_out.parameters():
        parameter.mul_(-1)
    return other


def make_env(
    store: EpisodeStore, models: list[WorldModel], rewards: list | None = None, hits: int = 2
) -> ImaginationEnv:
    config = ImaginationConfig(num_envs=ENVS, horizon=HORIZON, hits=hits, observed_frames=2)
    return ImaginationEnv(models, rewards or [never()], StartStates.of(store, [0, 1, 2]), config)


def some_actions(seed: int) -> Tensor:
    return torch.rand(ENVS, ACTIONS, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_observations_fit_the_declared_spaces(store: EpisodeStore, model: WorldModel) -> None:
    env = make_env(store, [model])
    observation, info = env.reset(seed=0)
    assert env.observation_space.shape == (ENVS, 2, 6, SIZE, SIZE) and env.action_space.shape == (ENVS, ACTIONS)
    assert env.observation_space.contains(observation.numpy())
    first = to_float(StartStates.of(store, [0, 1, 2]).frames)[info["start"]]
    assert torch.equal(observation, first.unsqueeze(1).repeat(1, 2, 1, 1, 1))
    following, reward, terminated, truncated, info = env.step(some_actions(0))
    assert env.observation_space.contains(following.numpy())
    assert torch.equal(following[:, 0], observation[:, 1])
    assert not torch.equal(following[:, 1], observation[:, 1])
    for column in (reward, terminated, truncated, info["success"], info["probability"]):
        assert column.shape == (ENVS,)
    assert reward.dtype == torch.float32 and terminated.dtype == truncated.dtype == torch.bool


def run(env: ImaginationEnv, steps: int) -> tuple[list[list[float]], list[list[bool]], list[list[bool]]]:
    env.reset(seed=0)
    rows = [env.step(torch.zeros(ENVS, ACTIONS))[1:4] for _ in range(steps)]
    rewards, terminated, truncated = (torch.stack(column).T.tolist() for column in zip(*rows))
    return rewards, terminated, truncated


def test_success_is_two_hits_in_a_row_and_is_rewarded_once(store: EpisodeStore, model: WorldModel) -> None:
    """The horizon ends what has not ended; what has ended stays silent, even beyond the horizon."""
    hit_after_hit = [1, 1, 1, 1, 1, 1, 1]
    broken_streak = [1, 0, 1, 1, 0, 1, 1]
    single_hits = [0, 1, 0, 1, 0, 1, 0]
    too_late = [0, 0, 0, 0, 0, 1, 1]
    script = torch.tensor([hit_after_hit, broken_streak, single_hits, too_late], dtype=torch.float32).T.tolist()
    rewards, terminated, truncated = run(make_env(store, [model], [ScriptedReward(script)]), 7)
    assert rewards == [[0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0], [0] * 7, [0] * 7]
    assert terminated == [[value == 1 for value in row] for row in rewards]
    at_horizon = [step == HORIZON - 1 for step in range(7)]
    assert truncated == [[False] * 7, [False] * 7, at_horizon, at_horizon]


def test_a_success_that_begins_in_time_may_show_that_it_lasts(store: EpisodeStore, model: WorldModel) -> None:
    """As a real episode goes on after a success that came with its last action; what begins later is too late."""
    last_moment = [0] * (HORIZON - 1) + [1, 1, 1]
    gone_again = [0] * (HORIZON - 1) + [1, 0, 1]
    too_late = [0] * HORIZON + [1, 1]
    long_before = [1, 1, 1] + [0] * (HORIZON - 1)
    script = torch.tensor([last_moment, gone_again, too_late, long_before], dtype=torch.float32).T.tolist()
    env = make_env(store, [model], [ScriptedReward(script)], hits=3)
    assert env.config.max_steps == HORIZON + 2
    rewards, terminated, truncated = run(env, env.config.max_steps)
    assert [row.index(1) if 1 in row else None for row in rewards] == [HORIZON + 1, None, None, 2]
    assert [row.index(True) if any(row) else None for row in truncated] == [None, HORIZON, HORIZON - 1, None]
    assert terminated == [[value == 1 for value in row] for row in rewards]
    frames, lengths = torch.zeros(ENVS, HORIZON + 2, 6, SIZE, SIZE, dtype=torch.uint8), torch.full((ENVS,), HORIZON + 1)
    replayed = Replay(
        frames, lengths, lengths < 0, torch.full((ENVS,), -1)
    )  # of failures, to the frame after the horizon
    reader: Any = ScriptedReward([[0.0] * ENVS, *script])
    reader.device = model.device
    assert success_steps(replayed, reader, hits=3, horizon=HORIZON)[1].tolist() == [HORIZON, -1, -1, 1]


def test_the_threshold_itself_is_no_hit(store: EpisodeStore, model: WorldModel) -> None:
    script = [[0.5, 0.51, 0.49, 1.0]] * HORIZON
    rewards, _, _ = run(make_env(store, [model], [ScriptedReward(script)]), HORIZON)
    assert [sum(row) for row in rewards] == [0, 1, 0, 1]


def test_all_reward_models_must_agree(store: EpisodeStore, model: WorldModel) -> None:
    """Each by its own threshold."""
    easy = ScriptedReward([[0.4, 0.4, 0.2, 0.2]] * HORIZON, threshold=0.3)
    strict = ScriptedReward([[0.95, 0.8, 0.95, 0.8]] * HORIZON, threshold=0.9)
    rewards, _, _ = run(make_env(store, [model], [easy, strict]), HORIZON)
    assert [sum(row) for row in rewards] == [1, 0, 0, 0]


def test_reset_with_a_seed_repeats_the_batch(store: EpisodeStore, model: WorldModel) -> None:
    env = make_env(store, [model])

    def batch(seed: int | None) -> Tensor:
        env.reward_models = [never()]
        observation, _ = env.reset(seed=seed)
        return torch.cat([observation, *[env.step(some_actions(step))[0] for step in range(2)]])

    first, unseeded, again, other = batch(3), batch(None), batch(3), batch(4)
    assert torch.equal(first, again)
    assert not torch.equal(first, other) and not torch.equal(first, unseeded)


def test_a_dream_is_the_world_model_step_by_step(store: EpisodeStore, model: WorldModel) -> None:
    """The last four frames and actions, oldest first, with the newest action leading to the frame to come."""
    starts = StartStates.of(store, [0, 1])
    dream = Dream.from_start(model, starts, seed=11)
    generator = torch.Generator().manual_seed(11)
    frames = [to_float(starts.frames)] * 4
    actions = [torch.zeros(2, ACTIONS)] * 3
    proprio = torch.stack([starts.proprio, starts.proprio], 1)
    for step in range(6):
        actions.append(some_actions(step)[:2])
        history, done = torch.stack(frames[-4:], 1), torch.stack(actions[-4:], 1)
        expected, following = model.step(history, done, proprio, generator)
        assert torch.equal(following[:, 0], proprio[:, 1]), "of the frame before, then of the new one"
        proprio = following
        frames.append(expected)
        assert torch.equal(dream.step(actions[-1]), expected)
    assert torch.equal(dream.context, torch.stack(frames[-4:], 1))
    assert torch.equal(dream.actions, torch.stack(actions[-3:], 1))


def test_environment_and_replay_dream_what_a_dream_dreams(store: EpisodeStore, model: WorldModel) -> None:
    rows = torch.tensor([2, 0, 1, 1])
    env = make_env(store, [model])
    env.reset(seed=9, rows=rows)
    noise = int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(9)))
    dream = Dream.from_start(model, StartStates.of(store, [2, 0, 1, 1]), noise)
    for step in range(2):
        assert torch.equal(env.step(some_actions(step))[0][:, -1], dream.step(some_actions(step)))

    replayed = replay(model, store, [1], seed=5)
    dream = Dream.from_start(model, StartStates.of(store, [1]), seed=5)
    steps = [to_uint8(dream.step(torch.from_numpy(store.actions(1)[t : t + 1].copy())))[0] for t in range(3)]
    assert torch.equal(replayed.frames[0, 0], torch.from_numpy(store.frames(1)[0]))
    assert torch.equal(replayed.frames[0, 1:], torch.stack(steps))


def test_dreams_are_dealt_out_evenly_among_world_models(store: EpisodeStore, model: WorldModel) -> None:
    other = other_model()
    env = make_env(store, [model, other])
    rows = torch.tensor([0, 1, 0, 1])
    env.reset(seed=9, rows=rows)
    frames = env.step(some_actions(0))[0][:, -1]
    noise = int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(9)))
    starts = StartStates.of(store, [0, 1])
    parts = some_actions(0).chunk(2)
    expected = [Dream.from_start(m, starts, noise + i).step(parts[i]) for i, m in enumerate((model, other))]
    assert torch.equal(frames, torch.cat(expected))
    with pytest.raises(ValueError, match="num_envs 4 must be a multiple of the 3 world models"):
        make_env(store, [model, other, other])


def test_shares_of_a_batch_dream_its_rows(store: EpisodeStore, model: WorldModel) -> None:
    """From the same starts with the same noise, whether the rows were drawn or given; others dream along."""
    starts, along = StartStates.of(store, [0, 1, 2]), Ensemble((other_model(),))
    config = ImaginationConfig(num_envs=ENVS, horizon=HORIZON, observed_frames=2)

    def dreamed(share: Share, rows: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        reward = ScriptedReward([[0.0] * (ENVS // share.count)] * 2)
        env = ImaginationEnv([model], [reward], starts, config, along, share)  # type: ignore[list-item]
        assert env.num_envs == ENVS // share.count == env.observation_space.shape[0]
        begun = env.reset(seed=9, rows=rows)[1]["start"]
        for step in range(2):
            observation, _, _, _, info = env.step(share.keep(some_actions(step)))
        return begun, observation, info["uncertainty"]

    for rows in (None, torch.tensor([2, 0, 1, 1])):
        whole, most = dreamed(Share(), rows), 2e-2 if native_bfloat16("cpu") else 1e-5
        for count in (2, ENVS):
            parts = [dreamed(Share(index, count), rows) for index in range(count)]
            begun, observations, uncertainty = (torch.cat(column) for column in zip(*parts))
            assert torch.equal(begun, whole[0])
            torch.testing.assert_close(observations, whole[1], atol=most, rtol=0)
            torch.testing.assert_close(uncertainty, whole[2], atol=most, rtol=0)
    with pytest.raises(ValueError, match=r"imagination.num_envs 4 cannot be dealt out to 3 processes"):
        ImaginationEnv([model], [never()], starts, config, share=Share(0, 3))  # type: ignore[list-item]
    env = ImaginationEnv([model], [never()], starts, config, share=Share(0, 2))  # type: ignore[list-item]
    with pytest.raises(ValueError, match="reset without reset_mask"):
        env.reset(options={"reset_mask": torch.ones(2, dtype=torch.bool)})


def test_a_mask_before_the_first_batch_is_refused(store: EpisodeStore) -> None:
    """There is nothing yet that some could be chosen from."""
    with pytest.raises(ValueError, match=r"no dreams are running .* reset without it first"):
        make_env(store, [other_model()]).reset(options={"reset_mask": torch.ones(ENVS, dtype=torch.bool)})


def test_uncertainty_comes_with_each_step_where_others_dream_along(store: EpisodeStore, model: WorldModel) -> None:
    """Without changing the dreams; a world model agrees with itself and disagrees with another."""
    config = ImaginationConfig(num_envs=ENVS, horizon=HORIZON, observed_frames=2)
    alone = make_env(store, [model, other_model()])
    watched = ImaginationEnv(
        [model, other_model()], [never()], StartStates.of(store, [0, 1, 2]), config, Ensemble((model,))
    )
    for env in (alone, watched):
        env.reset(seed=1)
    for step in range(2):
        expected, *_, silent = alone.step(some_actions(step))
        observation, *_, info = watched.step(some_actions(step))
        assert torch.equal(observation, expected) and not silent["uncertainty"].any()
        assert info["uncertainty"].shape == (ENVS,)
        assert not info["uncertainty"][:2].any() and bool((info["uncertainty"][2:] > 0).all())


def test_dreams_that_ended_start_anew_alone(store: EpisodeStore, model: WorldModel) -> None:
    """With their own horizon, from a start state, while the others dream on as if nothing had happened."""
    config = ImaginationConfig(num_envs=ENVS, horizon=HORIZON, observed_frames=2)
    starts = StartStates.of(store, [0, 1, 2])
    script = ScriptedReward([[1.0, 0, 0, 0], [1.0, 0, 0, 0], *[[0.0] * ENVS] * HORIZON])
    env = ImaginationEnv([model, other_model()], [script], starts, config, Ensemble((model,)))
    untouched = make_env(store, [model, other_model()])
    for each in (env, untouched):
        each.reset(seed=1)
    for step in range(2):
        _, _, terminated, _, _ = env.step(some_actions(step))
        untouched.step(some_actions(step))
    assert terminated.tolist() == [True, False, False, False]

    observation, info = env.reset(options={"reset_mask": terminated.numpy()})
    assert info["start"].tolist()[1:] == [-1, -1, -1] and info["start"][0] >= 0
    first = to_float(starts.frames)[info["start"][0]]
    assert torch.equal(observation[0], first.unsqueeze(0).repeat(2, 1, 1, 1))
    ends = []
    for step in range(2, 2 + HORIZON):
        observation, reward, terminated, truncated, info = env.step(some_actions(step))
        expected = untouched.step(some_actions(step))[0]
        assert torch.equal(observation[1:], expected[1:]) and not torch.equal(observation[0], expected[0])
        assert not reward.any() and not info["uncertainty"][:2].any() and bool((info["uncertainty"][2:] > 0).all())
        ends.append(truncated.tolist())
    assert [row[0] for row in ends] == [False] * (HORIZON - 1) + [True]
    assert [row[1] for row in ends] == [False] * (HORIZON - 3) + [True, False, False]


def test_a_dream_that_starts_anew_remembers_nothing_of_the_one_before(store: EpisodeStore, model: WorldModel) -> None:
    """Neither frames nor actions nor proprioception: with the same noise it is the dream that begins there."""
    starts, others = (StartStates.of(store, episodes) for episodes in ([0, 1, 2, 0], [2, 1, 2, 0]))
    dream, along, fresh = (Dream.from_start(model, part, seed=3) for part in (starts, others, others[:1]))
    for step in range(2):
        dream.step(some_actions(step))
    dream.restart(torch.tensor([True, False, False, False]), fresh)
    dream.generator = torch.Generator().manual_seed(3)
    for step in range(2, 4):
        assert torch.equal(dream.step(some_actions(step))[0], along.step(some_actions(step))[0])
        assert dream.proprio is not None and along.proprio is not None
        assert torch.equal(dream.proprio[0], along.proprio[0])


def test_dreams_without_proprioception_start_anew_too(store: EpisodeStore, model: WorldModel) -> None:
    """A world model that knows pictures alone carries none."""
    pictures = replace(model.config, denoiser=replace(model.config.denoiser, proprio_dim=0))
    env = make_env(store, [WorldModel(pictures, CONTRACT).eval().requires_grad_(False)])
    env.reset(seed=1)
    env.step(some_actions(0))
    observation, info = env.reset(options={"reset_mask": torch.tensor([True, False, False, False])})
    first = to_float(StartStates.of(store, [0, 1, 2]).frames)[info["start"][0]]
    assert torch.equal(observation[0, -1], first) and env.step(some_actions(1))[0].isfinite().all()


def test_actions_beyond_the_range_are_clamped(store: EpisodeStore, model: WorldModel) -> None:
    env = make_env(store, [model])
    frames = []
    for scale in (1.0, 50.0):
        env.reset(seed=1)
        frames.append(env.step(torch.full((ENVS, ACTIONS), scale))[0])
    assert torch.equal(*frames)


def test_wrong_shapes_are_named(store: EpisodeStore, model: WorldModel) -> None:
    context = torch.zeros(1, 4, 6, SIZE, SIZE)
    with pytest.raises(ValueError, match=r"context actions must be \(1, 3, 3\), got \(1, 4, 3\)"):
        Dream(model, context, torch.zeros(1, 4, ACTIONS))
    with pytest.raises(ValueError, match=r"context must be \(B, 4, 6, 16, 16\)"):
        model.predict(context[:, 1:], torch.zeros(1, 4, ACTIONS))
    with pytest.raises(ValueError, match=r"actions must be \(1, 4, 3\)"):
        model.predict(context, torch.zeros(1, 3, ACTIONS))
