"""The imagination's answers: every wrong request is refused with its mend, and the next good one is dreamt."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_models
import torch
from small_models import camera_image, picture, small_contract

from world4rl_data.contract_parts import ContractMismatch
from world4rl_data.image import prepare
from world4rl_policy.deploy import load_policy
from world4rl_wm.checkpoint import CheckpointError
from world4rl_wm.imagination.dream_context import DreamContext, given_context, padded, store_context
from world4rl_wm.imagination.dream_stream import DreamStep, Watch
from world4rl_wm.imagination.live_context import LiveContext
from world4rl_wm.imagination.loaded_models import LoadedModels
from world4rl_wm.imagination.request import ContextSource, ImaginationLimits, ImagineRequest, Refusal
from world4rl_wm.imagination.rollout import Rollout
from world4rl_wm.imagination.service import ImaginationService

CONTRACT = small_contract()
NAN, INF = float("nan"), float("inf")
PERIOD, SECOND = 100_000_000, 1_000_000_000


def moments(number: int) -> list[SimpleNamespace]:
    return [camera_image(picture(i)) for i in range(number * len(CONTRACT.images))]


def good(**changes: object) -> ImagineRequest:
    fields = {"horizon": 3, "context_source": ContextSource.GIVEN, "context": moments(1), "actions": [0.5] * 9}
    return ImagineRequest(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def service() -> ImaginationService:
    models = LoadedModels(
        world_model=small_models.world_model(CONTRACT),
        reward_model=small_models.reward_model(CONTRACT),
        policy=small_models.policy(CONTRACT),
    )
    return ImaginationService(models, ImaginationLimits(max_horizon=20, max_frames=40))


def same(one: Rollout, other: Rollout) -> bool:
    return torch.equal(one.frames, other.frames) and torch.equal(one.success_probability, other.success_probability)


WRONG = {
    "horizon 0": ({"horizon": 0}, "horizon is 0: give 1 to 20"),
    "absurd horizon": ({"horizon": 4_000_000_000}, "max_horizon"),
    "too many frames": ({"horizon": 20, "samples": 3}, "max_frames"),
    "absurd samples": ({"samples": 4_000_000_000}, "max_frames"),
    "no actions, no policy": ({"actions": []}, "use_policy true"),
    "short actions": ({"actions": [0.0] * 8}, r"8 numbers; horizon 3 x 3 action dimensions \(dx, dy, dz\) need 9"),
    "NaN action": ({"actions": [0.0] * 4 + [NAN] + [0.0] * 4}, "action 1, dimension dy is nan"),
    "infinite action": ({"actions": [INF] + [0.0] * 8}, "action 0, dimension dx is inf"),
    "large action": ({"actions": [0.0] * 8 + [1.5]}, "action 2, dimension dz is 1.5"),
    "empty context": ({"context": []}, r"context is empty.*front, wrist"),
    "half a moment": ({"context": moments(2)[:3]}, r"3 images.*front, wrist"),
    "missing context actions": ({"context": moments(2)}, "context_actions holds 0 numbers; 1 steps between 2 moments"),
    "NaN context action": ({"context": moments(2), "context_actions": [0.0, NAN, 0.0]}, "context_actions: action 0"),
    "empty image": ({"context": [*moments(1)[:1], camera_image(np.zeros((0, 0, 3), np.uint8))]}, "wrist is empty"),
    "damaged image": (
        {"context": [*moments(1)[:1], SimpleNamespace(**{**vars(moments(1)[0]), "data": b"abc"})]},
        "does not fit its 3 bytes",
    ),
    "unknown encoding": ({"context": [camera_image(picture(0), "smell8")] * 2}, "smell8"),
    "unknown source": ({"context_source": 9}, r"context_source 9.*0 \(LIVE\), 1 \(GIVEN\), 2 \(STORE\)"),
    "no live pictures": ({"context_source": ContextSource.LIVE}, "no live cameras"),
    "no store named": ({"context_source": ContextSource.STORE}, "store_uri is empty"),
    "no such store": ({"context_source": ContextSource.STORE, "store_uri": "/no/store"}, "/no/store holds no store"),
}


@pytest.mark.parametrize("changes, message", WRONG.values(), ids=WRONG.keys())
def test_wrong_request_is_refused_and_the_next_good_one_is_dreamt(
    service: ImaginationService, changes: dict, message: str
) -> None:
    with pytest.raises(Refusal, match=message):
        service.imagine(good(**changes))
    assert service.imagine(good()).complete


def test_without_models_the_mend_is_named() -> None:
    service = ImaginationService()
    with pytest.raises(Refusal, match="world_model_checkpoint"):
        service.imagine(good())
    service.models.world_model = small_models.world_model(CONTRACT)
    with pytest.raises(Refusal, match="policy_checkpoint"):
        service.imagine(good(use_policy=True))
    answer = service.imagine(good())
    assert not answer.judged, "without a reward model there is no probability to report"
    service.models.policy = small_models.policy(CONTRACT, history=5)
    with pytest.raises(Refusal, match="5 frames"):
        service.imagine(good(use_policy=True))


def test_shapes_and_ranges_of_an_answer(service: ImaginationService) -> None:
    rollout = service.imagine(good(samples=4)).rollout
    assert rollout.frames.shape == (4, 3, 6, 16, 16) and rollout.frames.dtype == torch.uint8
    assert rollout.actions.shape == (4, 3, 3) and bool((rollout.actions == 0.5).all())
    assert rollout.uncertainty.shape == (4, 3) and not rollout.uncertainty.any(), "one model alone estimates none"
    assert 0 <= float(rollout.success_probability.min()) <= float(rollout.success_probability.max()) <= 1


def test_seed_decides_the_dream(service: ImaginationService) -> None:
    first, again, other = (service.imagine(good(seed=seed)).rollout for seed in (-7, -7, 8))
    assert same(first, again) and not same(first, other)


def test_policy_acts_in_the_dream(service: ImaginationService) -> None:
    answer = service.imagine(good(use_policy=True, actions=[], samples=0))
    rollout = answer.rollout
    assert rollout.actions.shape == (1, 3, 3), "samples 0 counts as 1"
    frames = torch.from_numpy(given_context(moments(1), [], CONTRACT, 4).frames)[-2:]
    expected = service.models.policy.act(frames[None].float() / 127.5 - 1)
    torch.testing.assert_close(rollout.actions[:, 0], expected)


def test_a_dream_can_be_stopped_and_shows_its_steps(service: ImaginationService) -> None:
    seen = []

    def on_step(step: DreamStep) -> bool:
        seen.append(step)
        return step.number < 2

    answer = service.imagine(good(samples=2), watch=Watch(on_step))
    assert [step.number for step in seen] == [1, 2]
    assert not answer.complete and answer.stopped == "stopped after 2 of 3 steps, as was asked"
    rollout = answer.rollout
    for name in ("frames", "success_probability", "uncertainty"):
        torch.testing.assert_close(torch.stack([getattr(step, name) for step in seen], 1), getattr(rollout, name))
    assert seen[0].proprio is not None and seen[0].proprio.shape == (2, CONTRACT.proprio_dim)
    assert service.imagine(good(), watch=Watch(lambda step: step.number < 3)).complete, "asked to stop at its very end"


def test_frames_that_nobody_asks_for_are_not_kept(service: ImaginationService) -> None:
    kept, numbers = (service.imagine(good(return_frames=frames)) for frames in (True, False))
    assert numbers.complete and numbers.rollout.frames.shape == (1, 0, 6, 16, 16)
    assert torch.equal(numbers.rollout.success_probability, kept.rollout.success_probability)


def test_measured_proprioception_counts_and_is_estimated_where_there_is_none(
    service: ImaginationService, tmp_path: Path
) -> None:
    store = small_models.small_store(tmp_path / "store", CONTRACT)
    start = store_context(str(store.path), 4, CONTRACT, 4)

    def dream(proprio: np.ndarray | None) -> Rollout:
        context = DreamContext(start.frames, start.actions, proprio)
        request = good(context_source=ContextSource.LIVE)
        return service.imagine(request, live=lambda: context).rollout

    measured = service.imagine(good(context_source=ContextSource.STORE, store_uri=str(store.path), store_index=4))
    assert same(measured.rollout, dream(start.proprio)) and not same(measured.rollout, dream(start.proprio + 1))
    model = service.models.world_model
    estimate = model.estimate_proprio(torch.from_numpy(start.frames)[None].float() / 127.5 - 1)[0].numpy()
    assert same(dream(None), dream(estimate))


# -- where a dream starts ------------------------------------------------------------------------------------------


def test_given_images_of_any_encoding_and_size_are_prepared_as_the_contract_says() -> None:
    rgb = picture(5, 40, 60)
    context = given_context([camera_image(rgb), camera_image(rgb[..., ::-1], "bgr8")], [], CONTRACT, 4)
    expected = [prepare(rgb, stream).transpose(2, 0, 1) for stream in CONTRACT.images]
    np.testing.assert_array_equal(context.frames, np.broadcast_to(np.concatenate(expected), (4, 6, 16, 16)))
    np.testing.assert_array_equal(context.actions, np.zeros((3, 3)))


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_few_moments_repeat_the_oldest_and_many_keep_the_newest(count: int) -> None:
    frames = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    actions = np.arange(1, count, dtype=np.float32).reshape(count - 1, 1)
    context = padded(frames, actions, 4)
    wanted = {1: [0, 0, 0, 0], 2: [0, 0, 0, 1], 4: [0, 1, 2, 3], 7: [3, 4, 5, 6]}[count]
    assert context.frames.ravel().tolist() == wanted
    # action a leads to frame a: between equal frames nothing was done
    assert context.actions.ravel().tolist() == [b if b != a else 0 for a, b in pairwise(wanted)]


def test_store_start_stays_within_its_episode(service: ImaginationService, tmp_path: Path) -> None:
    store = small_models.small_store(tmp_path / "store", CONTRACT, (5, 3))  # rows 0..5 and 6..9
    middle = store_context(str(store.path), 4, CONTRACT, 4)
    np.testing.assert_array_equal(middle.frames, store.frames(0)[1:5])
    np.testing.assert_array_equal(middle.actions, store.actions(0)[1:4])
    np.testing.assert_array_equal(middle.proprio, store.proprio(0)[3:5])
    np.testing.assert_array_equal(store_context(str(store.path), 6, CONTRACT, 4).proprio, store.proprio(1)[[0, 0]])
    second = store_context(f"file://{store.path}", 7, CONTRACT, 4)
    np.testing.assert_array_equal(second.frames, store.frames(1)[[0, 0, 0, 1]])
    np.testing.assert_array_equal(second.actions[:2], 0)
    np.testing.assert_array_equal(second.actions[2], store.actions(1)[0])
    with pytest.raises(Refusal, match=r"store_index 10.*0 to 9"):
        store_context(str(store.path), 10, CONTRACT, 4)
    request = good(context_source=ContextSource.STORE, store_uri=str(store.path), store_index=9)
    assert service.imagine(request).complete


def test_a_store_is_named_as_a_checkpoint_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/...` loaded models, and was no path of a store."""
    store = small_models.small_store(tmp_path / "a store", CONTRACT, (5,))
    monkeypatch.setenv("HOME", str(tmp_path))
    for uri in ("~/a store", store.path.as_uri()):
        np.testing.assert_array_equal(store_context(uri, 4, CONTRACT, 4).frames, store.frames(0)[1:5])
        np.testing.assert_array_equal(store_context(uri, 4, CONTRACT, 4, tmp_path).frames, store.frames(0)[1:5])
    with pytest.raises(Refusal, match="outside"):
        store_context("~/a store", 4, CONTRACT, 4, tmp_path / "stores")
    with pytest.raises(Refusal, match="http://a/b is neither"):
        store_context("http://a/b", 4, CONTRACT, 4)


def test_store_of_another_contract_is_refused(service: ImaginationService, tmp_path: Path) -> None:
    store = small_models.small_store(tmp_path / "store", small_contract("other"))
    with pytest.raises(Refusal, match=r"another task contract.*name: small here, other there"):
        service.imagine(good(context_source=ContextSource.STORE, store_uri=str(store.path)))


class Robot:
    """Pushes what cameras and arm would publish; every picture of tick i has the value i."""

    def __init__(self) -> None:
        self.live = LiveContext(CONTRACT, 4)

    def tick(self, i: int, stamp: int, ahead: dict[str, int] | None = None) -> None:
        """`ahead`: of each stream that speaks, by how much its clock is ahead [ns]; None: all speak and agree."""
        ahead = {stream.name: 0 for stream in CONTRACT.streams} if ahead is None else ahead
        pose = SimpleNamespace(pose=SimpleNamespace(position=SimpleNamespace(x=i / 10, y=0.0, z=0.0)))
        image = camera_image(np.full((16, 16, 3), i, np.uint8))
        for stream in CONTRACT.streams:
            if stream.name in ahead:
                message = image if stream in CONTRACT.images else pose
                self.live.push(stream.topic, stamp + ahead[stream.name], message, stamp)

    def act(self, stamp: int, value: float, ahead: int = 0) -> None:
        self.live.push_action(stamp + ahead, [value, 0, 0], stamp)

    def values(self, now: int) -> tuple[list[int], list[float]]:
        context = self.live.context(now)
        return context.frames[:, 0, 0, 0].tolist(), context.actions[:, 0].tolist()


def test_live_start_pairs_frames_with_the_actions_decided_on_them() -> None:
    robot = Robot()
    for i in range(8):
        robot.tick(i, i * PERIOD + 1)
        robot.act(i * PERIOD + 20_000_000, i / 10)
    # the next picture has come, nobody has acted on it yet
    robot.tick(8, 8 * PERIOD + 1)
    frames, actions = robot.values(8 * PERIOD + 10)
    assert frames == [5, 6, 7, 8] and actions == pytest.approx([0.5, 0.6, 0.7])
    assert robot.live.context(8 * PERIOD + 10).proprio[:, 0] == pytest.approx([0.7, 0.8])
    # an action that was just sent has no effect in the picture: the dream starts before it
    robot.act(8 * PERIOD + 20_000_000, 0.8)
    frames, actions = robot.values(8 * PERIOD + 30_000_000)
    assert frames == [5, 6, 7, 8] and actions == pytest.approx([0.5, 0.6, 0.7])


def test_live_start_of_a_resting_arm_has_zero_actions() -> None:
    robot = Robot()
    for i in range(4):
        robot.tick(i, i * PERIOD + 1)
    assert robot.values(3 * PERIOD + 10) == ([0, 1, 2, 3], [0, 0, 0])


def test_live_start_soon_after_the_camera_came_repeats_its_first_picture() -> None:
    robot = Robot()
    robot.tick(1, PERIOD)
    robot.tick(2, 2 * PERIOD)
    assert robot.values(2 * PERIOD + 10) == ([1, 1, 1, 2], [0, 0, 0])


def test_silent_camera_is_named() -> None:
    robot = Robot()
    robot.tick(0, PERIOD, {"front": 0})
    with pytest.raises(Refusal, match=r"wrist: no message on /wrist_camera\S+; position: no message on /franka"):
        robot.live.context(PERIOD + 1)
    robot.tick(1, PERIOD)
    robot.tick(2, PERIOD + 4_900_000_000, {"wrist": 0, "position": 0})
    with pytest.raises(Refusal, match=r"\(front: the newest message on \S+ came 5.00 s ago, time-out 0.25 s\)"):
        robot.live.context(PERIOD + 5_000_000_000)


@pytest.mark.parametrize("ahead", [-3600 * SECOND, -SECOND, SECOND, 3600 * SECOND])
def test_live_start_does_not_depend_on_this_machines_clock(ahead: int) -> None:
    same, other = Robot(), Robot()
    first = 4000 * SECOND
    for i in range(8):
        for robot, skew in ((same, 0), (other, ahead)):
            robot.tick(i, first + i * PERIOD, {stream.name: skew for stream in CONTRACT.streams})
            robot.act(first + i * PERIOD + 20_000_000, i / 10, skew)
    now = first + 7 * PERIOD + 30_000_000
    frames, actions = same.values(now)
    assert frames == [4, 5, 6, 7] and actions == pytest.approx([0.4, 0.5, 0.6])
    assert other.values(now) == (frames, actions)


@pytest.mark.parametrize("skewed, ahead", [("wrist", 5), ("wrist", -5), ("position", 2), ("front", -0.5)])
def test_streams_whose_clocks_differ_are_named(skewed: str, ahead: float) -> None:
    robot = Robot()
    for i in range(4):
        clocks = {stream.name: round(ahead * SECOND) * (stream.name == skewed) for stream in CONTRACT.streams}
        robot.tick(i, 100 * SECOND + i * PERIOD, clocks)
    with pytest.raises(Refusal, match="machines' clocks differ") as refused:
        robot.values(100 * SECOND + 3 * PERIOD)
    assert skewed in str(refused.value) and f"{abs(ahead):.2f} s behind" in str(refused.value)


@pytest.mark.parametrize("ahead, side", [(5, "5.00 s ahead of"), (-5, "5.00 s behind")])
def test_actions_of_another_clock_are_named_and_old_ones_are_not_minded(ahead: int, side: str) -> None:
    robot = Robot()
    for i in range(4):
        robot.tick(i, 100 * SECOND + i * PERIOD)
        robot.act(100 * SECOND + i * PERIOD, 0.5, ahead * SECOND)
    with pytest.raises(Refusal, match=rf"executed actions .*/executed_action\) come now, but .* {side} those of"):
        robot.values(100 * SECOND + 3 * PERIOD)
    for i in range(4, 24):
        robot.tick(i, 100 * SECOND + i * PERIOD)
    assert robot.values(100 * SECOND + 23 * PERIOD) == ([20, 21, 22, 23], [0, 0, 0])


def test_a_clock_that_was_set_back_is_followed() -> None:
    robot = Robot()
    for first in (1000 * SECOND, 10 * SECOND):
        for i in range(4):
            robot.tick(i, first + i * PERIOD)
            robot.act(first + i * PERIOD + 1, i / 10)
        frames, actions = robot.values(first + 3 * PERIOD + 2)
        assert frames == [0, 1, 2, 3] and actions == pytest.approx([0, 0.1, 0.2])


def test_live_actions_of_another_shape_or_with_nan_are_left_out() -> None:
    robot = Robot()
    for i in range(4):
        robot.tick(i, i * PERIOD + 1)
        robot.live.push_action(i * PERIOD + 2, [NAN, 0, 0] if i % 2 else [0.5, 0, 0, 0], i * PERIOD + 2)
    assert robot.values(3 * PERIOD + 10) == ([0, 1, 2, 3], [0, 0, 0])


# -- loading -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return small_models.save_all(tmp_path_factory.mktemp("checkpoints"), CONTRACT)


def test_every_kind_of_checkpoint_is_recognised(folders: dict[str, Path]) -> None:
    models = LoadedModels(load_policy=load_policy)
    for path in folders.values():
        contract, note = models.load(str(path))
        assert contract.hash == CONTRACT.hash and note == ""
    assert models.world_model and models.reward_model and models.policy
    assert ImaginationService(models).imagine(good(use_policy=True)).judged


def test_bad_checkpoints_are_refused_and_the_old_models_stay(folders: dict[str, Path], tmp_path: Path) -> None:
    models = LoadedModels(load_policy=load_policy)
    for path in folders.values():
        models.load(str(path))
    before = (models.world_model, models.reward_model, models.policy)
    with pytest.raises(CheckpointError, match="is not a folder"):
        models.load(str(tmp_path / "nowhere"))
    with pytest.raises(CheckpointError, match=r"config\.yaml"):
        models.load(str(tmp_path))
    other = small_models.save_all(tmp_path, small_contract("other"))
    for kind in ("reward", "policy"):
        with pytest.raises(ContractMismatch, match="name: small here, other there"):
            models.load(str(other[kind]))
    (other["world_model"] / "model.safetensors").write_bytes(b"noise")
    with pytest.raises(CheckpointError, match="cannot be read"):
        models.load(str(other["world_model"]))
    assert (models.world_model, models.reward_model, models.policy) == before


def test_world_model_of_another_contract_puts_the_others_out_and_says_so(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    models = LoadedModels(load_policy=load_policy)
    for path in folders.values():
        models.load(str(path))
    other = small_models.world_model(small_contract("other")).save(tmp_path / "other")
    _, note = models.load(str(other))
    assert "reward model" in note and "policy" in note
    assert models.reward_model is None and models.policy is None


def test_required_contract_holds_for_the_first_checkpoint_too(folders: dict[str, Path]) -> None:
    models = LoadedModels(contract=small_contract("other"), load_policy=load_policy)
    for path in folders.values():
        with pytest.raises(ContractMismatch):
            models.load(str(path))
