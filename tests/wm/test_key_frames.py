"""Key frames: where the gripper is told otherwise and shortly before success, each with what really led there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_episodes import made_episode, made_store
from small_models import SIZE, small_contract

from world4rl_data.contract import TaskContract
from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore
from world4rl_wm.imagination.key_frames import key_frames, with_key_frames
from world4rl_wm.model.frames import StartKind, StartStates

HISTORY = 4
GRIPPER, NEAR = StartKind.GRIPPER_CHANGE, StartKind.NEAR_SUCCESS


def hand_contract(rate_hz: float = 10) -> TaskContract:
    """That of the lift, with a gripper action, and small pictures."""
    values = TaskContract.load("franka_sim_lift").to_dict() | {"control_rate_hz": rate_hz}
    values["images"] = [image | {"height": SIZE, "width": SIZE} for image in values["images"]]
    return TaskContract.from_dict(values)


def told(contract: TaskContract, *runs: tuple[float, int]) -> np.ndarray:
    """Actions whose gripper command has each value for so many steps."""
    column = np.concatenate([np.full(steps, value) for value, steps in runs])
    actions = np.zeros((len(column), contract.action_dim))
    actions[:, contract.action_names.index("gripper")] = column
    return actions


def found(path: Path, contract: TaskContract, actions: np.ndarray, won: int | None = None, source: str = "expert"):
    episode = replace(made_episode(contract, 0, len(actions), won, actions=actions), source=source)
    return key_frames(made_store(path / "store", contract, [episode]), 0)


@pytest.mark.parametrize(
    ("runs", "won", "expected"),
    [
        ([(1, 8), (-1, 12)], None, [(8, GRIPPER)]),  # the frame at which "close" is decided; nothing came of it
        ([(1, 8), (-1, 12)], 20, [(8, GRIPPER), (15, NEAR)]),
        ([(1, 6), (-1, 6), (1, 12)], 18, [(6, GRIPPER), (12, GRIPPER), (13, NEAR)]),
        ([(1, 8), (0.1, 4), (-1, 12)], None, [(12, GRIPPER)]),  # within the hysteresis nothing is told
        ([(1, 8), (0.1, 4), (1, 12)], None, []),
        ([(0.0, 8), (-1, 12)], None, []),  # the first word is no change
        ([(1, 8), (-1, 1), (1, 11)], None, []),  # noise is no decision
        ([(1, 8), (-1, 12)], 12, [(7, NEAR)]),  # a change nearer to success than half a second
        ([(1, 16), (-1, 4)], None, []),  # and one as near to the end
        ([(1, 8), (-1, 12)], 5, []),  # success comes so early that it is near from the beginning
        ([(1, 8), (-1, 12)], 0, []),
        ([(1, 8), (-1, 12)], 7, [(2, NEAR)]),  # what comes after success is no start
    ],
)
def test_where_they_are(tmp_path: Path, runs: list[tuple[float, int]], won: int | None, expected: list) -> None:
    contract = hand_contract()
    assert found(tmp_path, contract, told(contract, *runs), won) == expected


def test_seconds_become_periods_by_the_contract_s_rate(tmp_path: Path) -> None:
    contract = hand_contract(rate_hz=20)
    assert found(tmp_path / "long", contract, told(contract, (1, 8), (-1, 22)), 30) == [(8, GRIPPER), (20, NEAR)]
    assert found(tmp_path / "brief", contract, told(contract, (1, 4), (-1, 26)), 30) == [(20, NEAR)]


def test_random_motion_decides_nothing_with_its_gripper(tmp_path: Path) -> None:
    contract = hand_contract()
    assert found(tmp_path, contract, told(contract, (1, 8), (-1, 12)), 20, "random") == [(15, NEAR)]


def test_without_a_gripper_there_is_success_alone(tmp_path: Path) -> None:
    contract = small_contract()
    episodes = [made_episode(contract, 0, 20, 14), made_episode(contract, 1, 20)]
    episodes.append(made_episode(contract, 2, 20, outcome=Outcome.INTERRUPTED))
    store = made_store(tmp_path / "store", contract, episodes)
    assert [key_frames(store, number) for number in range(3)] == [[(9, NEAR)], [], []]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    """Pixel, action and proprioception name episode and step."""
    contract = small_contract()
    episodes = [made_episode(contract, 0, 12, 10), made_episode(contract, 1, 8), made_episode(contract, 2, 8, 7)]
    return made_store(tmp_path_factory.mktemp("keys") / "store", contract, episodes)


def test_start_states_know_what_led_to_them(store: EpisodeStore) -> None:
    """Of a first frame nothing: it is repeated, as ever; early key frames have a part of both."""
    starts = with_key_frames(store, [0, 1, 2], HISTORY)
    assert starts.kinds is not None and starts.kinds.tolist() == [0, 0, 0, NEAR, NEAR]
    assert starts.frames[:, 0, 0, 0].tolist() == [0, 50, 100, 5, 102]
    frames, actions, proprio = starts.history(HISTORY)
    assert frames.dtype == torch.uint8 and actions is not None
    assert frames[:, :, 0, 0, 0].tolist() == [[0] * 4, [50] * 4, [100] * 4, [2, 3, 4, 5], [100, 100, 101, 102]]
    expected = [[0.0] * 3] * 3 + [[0.102, 0.103, 0.104], [0.0, 0.3, 0.301]]
    np.testing.assert_allclose(actions[:, :, 0], expected, atol=1e-6)
    assert proprio[:, :, 0].tolist() == [[0, 0], [100, 100], [200, 200], [4, 5], [201, 202]]
    with pytest.raises(ValueError, match="have 4 frames of history, 2 are asked for"):
        starts.history(2)


def test_rows_keep_their_past(store: EpisodeStore) -> None:
    starts = with_key_frames(store, [0, 1, 2], HISTORY)
    some = starts[torch.tensor([4, 0])]
    assert some.history(HISTORY)[0][:, :, 0, 0, 0].tolist() == [[100, 100, 101, 102], [0] * 4]
    assert some.kinds is not None and some.kinds.tolist() == [NEAR, 0]
    assert [len(part) for part in starts.split(3)] == [3, 2] and starts.split(3)[1].digest == starts[3:].digest


def test_first_frames_are_what_they_are_without_key_frames(store: EpisodeStore) -> None:
    plain, starts = StartStates.of(store, [0, 1, 2]), with_key_frames(store, [0, 1, 2], HISTORY)
    assert starts.beginnings.digest == plain.digest == plain.beginnings.digest != starts.digest
    assert plain.past is None and starts.beginnings.past is None, "they cost one frame each"
    for mine, other in zip(plain.history(HISTORY), starts[:3].history(HISTORY), strict=True):
        assert torch.equal(torch.zeros(3, HISTORY - 1, 3) if mine is None else mine, other)


def test_the_digest_sees_all_of_the_past(store: EpisodeStore) -> None:
    starts = with_key_frames(store, [0, 1, 2], HISTORY)
    assert starts.digest == with_key_frames(store, [0, 1, 2], HISTORY).digest
    past, kinds = starts.past, starts.kinds
    assert past is not None and kinds is not None
    others = [replace(past, **{name: getattr(past, name) + 1}) for name in ("frames", "actions", "proprio")]
    changed = [replace(starts, past=other) for other in others] + [replace(starts, kinds=kinds.flip(0))]
    assert len({starts.digest, *(other.digest for other in changed)}) == 5
