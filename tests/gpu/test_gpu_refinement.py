"""Refinement on a GPU is what it is on the CPU: BC on dreams, replay check, PPO with all its switches, the choice."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from alike import assert_same, curve
from plain_cpu import plain_cpu
from pretend_gpu import pretend_gpu

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("wm", "pipeline")]
from made_episodes import made_episode, made_store
from micro_refinement import CONFIG as MICRO
from small_models import SIZE, small_contract

from world4rl.refinement.checkpoint_choice import Selection
from world4rl.refinement.dream_bc import DreamBcConfig
from world4rl.refinement.dreamed import Dreamer, dreamed_outcomes
from world4rl.refinement.practice import Practice
from world4rl.refinement.refine import RefineConfig, save_refinement
from world4rl.refinement.rehearsal import Rehearsal
from world4rl.runs.start_states import practice_starts
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy, PolicyConfig
from world4rl_wm.imagination.env import ImaginationConfig
from world4rl_wm.measures.replay_check import ReplayCheckConfig
from world4rl_wm.model.denoiser import DenoiserConfig
from world4rl_wm.model.frames import StartStates
from world4rl_wm.model.world_model import WorldModel, WorldModelConfig
from world4rl_wm.reward.model import RewardConfig, RewardModel
from world4rl_wm.reward.task_rewards import TaskRewards
from world4rl_wm.training.devices import process_device

CONTRACT = small_contract()
TASKS = ("a", "b")
CONFIG = RefineConfig(
    replace(MICRO.ppo, iterations=2, horizon=3, minibatch_size=6, bc_batch_size=6, imagined_bc=0.5),
    ImaginationConfig(4, 3, 1, 2, 0.9, 0.1, progress_reward=0.5, key_frames=0.5),
    Selection(every=2, episodes=2, margin=-2.0),
    verified_success=True,
    dream_bc=DreamBcConfig(steps=3, batch_size=6),
)


@pytest.fixture
def store(tmp_path: Path) -> EpisodeStore:
    """Of two tasks, successes long enough for key frames and a failure."""
    episodes = [made_episode(CONTRACT, number, 8, 7 if number < 3 else None) for number in range(4)]
    for number, episode in enumerate(episodes):
        episode.task = TASKS[number % 2]
    return made_store(tmp_path / "store", CONTRACT, episodes)


def dreamers(told: bool) -> tuple[Dreamer, Dreamer]:
    """Untrained, where this process computes; their reward models' thresholds lie amid what they say of everything."""
    tasks, found = TASKS if told else (), []
    size = (CONTRACT.image_channels, SIZE, CONTRACT.action_dim, CONTRACT.proprio_dim)
    network = DenoiserConfig(*size, widths=(8, 8), layers=1, task_dim=4 if told else 0, composed=told)
    for seed in (0, 5):
        torch.manual_seed(seed)
        model = WorldModel(WorldModelConfig(network, tasks=tasks), CONTRACT).eval().requires_grad_(False)
        config = RewardConfig(CONTRACT.image_channels, width=8, progress=True, threshold=0.48)
        reward = [RewardModel(config, CONTRACT).eval().requires_grad_(False) for _ in range(2)]
        judge = TaskRewards(dict(zip(TASKS, reward))) if told else reward[0]
        found.append(Dreamer(model.to(process_device()), judge.to(process_device())))
    return found[0], found[1]


def refined(store: EpisodeStore, out: Path, config: RefineConfig, told: bool) -> dict[str, Any]:
    """All that `world4rl refine` does; what comes of it."""
    torch.manual_seed(2)
    tasks = TASKS if told else ()
    network = PolicyConfig(CONTRACT.image_channels, SIZE, CONTRACT.action_dim, 2, width=8, hidden=16, tasks=tasks)
    before, successes, everything = GaussianPolicy(network, CONTRACT).eval(), (store, [0, 1, 2]), range(len(store))
    dream, judge = dreamers(told)
    judged_from = StartStates.of(store, everything)
    starts = practice_starts(store, config.imagination, dream.world_model)
    rehearsal = Rehearsal(dream, judge, starts, judged_from, successes, config, 3, False)
    begun = rehearsal.start(before, out / "start")
    limits = ReplayCheckConfig(refine_from=-1.0, cautious_from=-2.0, precision_from=0.0, min_episodes=1)
    one = dream if not told else Dreamer(dream.world_model, dream.reward_model.models["a"])  # a check is of one task
    check = replace(rehearsal, dream=one).check(begun.policy, store, everything, limits, judged_from).check
    result = rehearsal.refine(begun, check, out)
    save_refinement(result, out / "refined", 3)
    again = GaussianPolicy.load(out / "refined", dream.world_model.device)
    success, belief = dreamed_outcomes(again, judge, judged_from, config.imagination)
    figures = result.figures() | {"success": success.numpy().tolist(), "belief": belief.numpy().tolist()}
    return {"check": check.to_dict(), "rows": curve(out / "metrics.jsonl"), "begun": begun.judged, **figures}


@pytest.mark.parametrize("told", [False, True], ids=["one task", "two tasks"])
def test_it_is_the_same(store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    """Interrupted on the GPU after its first iteration, it goes on there."""
    with plain_cpu():
        theirs = refined(store, tmp_path / "cpu", CONFIG, told)
    iterate = Practice.iterate

    def once(self: Practice) -> dict[str, float]:
        if self.iteration:
            raise KeyboardInterrupt
        return iterate(self)

    with monkeypatch.context() as patch, pretend_gpu(), pytest.raises(KeyboardInterrupt):
        patch.setattr(Practice, "iterate", once)
        refined(store, tmp_path / "gpu", CONFIG, told)
    with pretend_gpu():
        ours = refined(store, tmp_path / "gpu", CONFIG, told)
    assert_same(ours, theirs)
    assert ours["rows"][-1]["imagined_imitated"] > 0, "there was something of its own to imitate"


def test_in_bfloat16(store: EpisodeStore, tmp_path: Path) -> None:
    """As on a GPU since Ampere: formats meet nowhere that they may not."""
    short = replace(CONFIG, ppo=replace(CONFIG.ppo, epochs=1), dream_bc=DreamBcConfig(1, 6))
    with pretend_gpu(bfloat16=True):
        refined(store, tmp_path / "gpu", short, told=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_real_gpu(store: EpisodeStore, tmp_path: Path) -> None:
    rows = refined(store, tmp_path / "gpu", CONFIG, told=True)["rows"]
    assert [row["iteration"] for row in rows] == [0, 1, 2]
