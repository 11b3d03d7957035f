"""Practice may begin at key frames; what is measured, filmed and judged begins where episodes begin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from dream_rig import press_store, world_model
from micro_refinement import CHECK, CONFIG, policy, torn_reward_model

from world4rl.presets import load_preset
from world4rl.refinement.dreamed import Dreamer
from world4rl.refinement.refine import RefineConfig
from world4rl.refinement.rehearsal import Rehearsal, _some
from world4rl.runs.start_states import practice_starts
from world4rl_data.store import EpisodeStore
from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.model.frames import StartKind, StartStates
from world4rl_wm.training.metrics_log import read_metrics

KEYS = ImaginationConfig(num_envs=4, horizon=2, hits=1, key_frames=1.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    return press_store(tmp_path_factory.mktemp("keys") / "store", (8, 9, 4), won=(0, 1))


def config() -> RefineConfig:
    return replace(CONFIG, ppo=replace(CONFIG.ppo, iterations=2), imagination=KEYS)


def refined(store: EpisodeStore, starts: StartStates, out: Path) -> list[dict[str, Any]]:
    dream, judge = (Dreamer(world_model(seed), torn_reward_model()) for seed in (0, 5))
    others = StartStates.of(store, [2])
    rehearsal = Rehearsal(dream, judge, starts, others, (store, [0, 1]), config(), 3, False)
    rehearsal.refine(rehearsal.seen(policy(), policy()), CHECK, out)
    return read_metrics(out / "metrics.jsonl")


def test_the_settings_decide_what_practice_knows(store: EpisodeStore) -> None:
    model = world_model()
    plain = practice_starts(store, replace(KEYS, key_frames=0.0), model)
    assert plain.digest == StartStates.of(store, range(3)).digest and plain.past is None
    known = practice_starts(store, replace(KEYS, key_frames=0.1), model)
    assert known.kinds is not None and known.kinds.tolist() == [0, 0, 0, *[StartKind.NEAR_SUCCESS] * 2]
    assert known.history(model.history)[0].shape[:2] == (5, model.history)


def test_practice_alone_begins_at_key_frames(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    practised, measured, original = [], [], ImaginationEnv.reset

    def reset(env: ImaginationEnv, **given: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        observation, info = original(env, **given)
        (practised if env.config.key_frames else measured).append((env.starts, info["start"]))
        return observation, info

    monkeypatch.setattr(ImaginationEnv, "reset", reset)
    starts = practice_starts(store, KEYS, world_model())
    refined(store, starts[1:], tmp_path / "out")  # fewer first frames than the dreams that are measured
    assert len(practised) == 2
    for begun, rows in practised:
        assert begun.kinds is not None and set(begun.kinds[rows].tolist()) == {StartKind.NEAR_SUCCESS}
    expected = {StartStates.of(store, few).digest for few in ([1, 2], [2])}
    assert {begun.digest for begun, _ in measured} == expected


def test_a_refinement_goes_on_only_from_the_same_key_frames(store: EpisodeStore, tmp_path: Path) -> None:
    starts = practice_starts(store, KEYS, world_model())
    first = refined(store, starts, tmp_path)
    assert [row["iteration"] for row in first] == [0, 1, 2] and refined(store, starts, tmp_path) == first
    assert starts.past is not None
    other = replace(starts, past=replace(starts.past, actions=starts.past.actions.flip(1)))
    assert [row["time"] for row in refined(store, other, tmp_path)] != [row["time"] for row in first]


def test_a_share_beyond_the_whole_is_refused_by_name() -> None:
    assert load_preset("tiny").imagination.key_frames == 0, "off unless asked for"
    with pytest.raises(ValueError, match=r"imagination.key_frames is 2.0: a share lies between 0 and 1"):
        load_preset("tiny", ["imagination.key_frames=2"])


def test_what_is_measured_is_of_all_that_is_practised(tmp_path: Path) -> None:
    """The first start states are those of the demonstrations and of the first policies."""
    starts = StartStates.of(press_store(tmp_path / "store", (1,) * 20), range(20))
    few = _some(starts, 6)
    rows = [next(i for i in range(20) if torch.equal(starts.frames[i], frame)) for frame in few.frames]
    assert len(rows) == 6 and rows == sorted(set(rows)) and rows[-1] >= 10
    assert few.digest == _some(starts, 6).digest and _some(starts, 99).digest == starts.digest
