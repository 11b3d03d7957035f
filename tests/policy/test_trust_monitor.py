"""Trust, with a trained world model: a normal episode passes, a camera that shows something else is noticed."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import moving_dot
import numpy as np
import pytest
import torch
from small_policy import SIZE

from world4rl_data.episode import Episode
from world4rl_policy.surprise import ARM_MOVED, ARM_SEEN, episode_surprise, parts_of, trigger_level
from world4rl_policy.trust_calibration import Calibration, calibrate
from world4rl_policy.trust_limit import TrustError, TrustLimit
from world4rl_policy.trust_monitor import TrustMonitor
from world4rl_policy.trust_watch import TrustWatch
from world4rl_wm.model.world_model import WorldModel

FRESH = range(100, 112)  # episodes that neither training nor calibration has seen
FAULT_AT = 9


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trust")
    path = moving_dot.trained_world_model(folder)
    episodes = moving_dot.store(folder / "calibration", range(40, 70))
    calibrate(moving_dot.load(path), path, episodes, range(len(episodes)), Calibration(margin=1.5)).save(path)
    torch.set_num_threads(threads)
    return path


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> WorldModel:
    return moving_dot.load(checkpoint)


@pytest.fixture()
def monitor(checkpoint: Path, model: WorldModel) -> TrustMonitor:
    return TrustMonitor(model, TrustLimit.load(checkpoint, model))


def watch(monitor: TrustMonitor, made: Episode, unexecuted: tuple[int, ...] = ()) -> tuple[list[float], str]:
    """Score of every step and the first reason to stop, as the node would get them."""
    monitor.restart()
    scores, reason = [], ""
    for i, observation in enumerate(moving_dot.observations(made)):
        monitor.saw(observation.stamp_ns, observation.frame, observation.proprio)
        reason = reason or monitor.check()
        if i:
            scores.append(monitor.report.score)
        if i < len(made) and i not in unexecuted:
            monitor.executed(observation.stamp_ns, made.actions[i])
    return scores, reason


def spoilt(made: Episode, change: Callable[[np.ndarray], np.ndarray]) -> Episode:
    """The front camera's pictures changed from `FAULT_AT` on; their stamps stay good."""
    front = made.images["front"].copy()
    front[FAULT_AT:] = change(front[FAULT_AT:])
    return replace(made, images=made.images | {"front": front})


def covered(pictures: np.ndarray) -> np.ndarray:
    return np.full_like(pictures, 30)


def shuffled(pictures: np.ndarray) -> np.ndarray:
    return pictures[np.random.default_rng(0).permutation(len(pictures))]


def frozen(pictures: np.ndarray) -> np.ndarray:
    return np.repeat(pictures[:1], len(pictures), axis=0)


def other_scene(pictures: np.ndarray) -> np.ndarray:
    """A hand that covers the lower half."""
    changed = pictures.copy()
    changed[:, SIZE // 2 :] = (200, 160, 140)
    return changed


def test_normal_episodes_pass(monitor: TrustMonitor) -> None:
    reasons = [watch(monitor, moving_dot.episode(number))[1] for number in FRESH]
    assert reasons == [""] * len(FRESH)
    assert (monitor.report.checked, monitor.report.unknown) == (20, 0)


@pytest.mark.parametrize("fault, share", [(covered, 1.0), (other_scene, 1.0), (shuffled, 7 / 12), (frozen, 0.75)])
def test_a_camera_that_shows_something_else_is_noticed(monitor: TrustMonitor, fault: Callable, share: float) -> None:
    """Where hardly anything moves, an old picture may be right: six trainings noticed 7 to 10 of twelve episodes with
    shuffled ones, 9 or 10 with frozen ones."""
    noticed = [watch(monitor, spoilt(moving_dot.episode(number), fault))[1] for number in FRESH]
    told = [reason.startswith("not trusted: ") for reason in noticed]
    assert sum(told) >= share * len(told), noticed
    assert any("camera front" in reason or ARM_SEEN in reason for reason in noticed)


def test_an_arm_that_is_held_is_noticed(monitor: TrustMonitor) -> None:
    made = moving_dot.episode(FRESH[0])
    stuck = np.minimum(np.arange(len(made) + 1), FAULT_AT)
    held = replace(
        made, images={name: shots[stuck] for name, shots in made.images.items()}, proprio=made.proprio[stuck]
    )
    assert ARM_MOVED in watch(monitor, held)[1]


def test_live_score_is_the_calibrations(checkpoint: Path, model: WorldModel, monitor: TrustMonitor) -> None:
    """The same episode through the store and through the live path gives the same numbers."""
    store = moving_dot.store(checkpoint.parent / "parity", range(100, 101))
    scales = list(TrustLimit.load(checkpoint, model).scales.values())
    wanted = (episode_surprise(model, store, 0) / scales).max(1)
    np.testing.assert_allclose(watch(monitor, moving_dot.episode(100))[0], wanted, rtol=1e-3)


def test_steps_without_a_known_action_are_not_judged(monitor: TrustMonitor) -> None:
    """The gate dropped an action, or a human took over: what came of it is no surprise."""
    made = spoilt(moving_dot.episode(FRESH[0]), covered)
    _, reason = watch(monitor, made, unexecuted=tuple(range(FAULT_AT - 1, len(made), 3)))
    assert reason == "" and monitor.report.unknown > 5


def test_threshold_and_steps_of_the_node_win(checkpoint: Path, model: WorldModel) -> None:
    limit, made = TrustLimit.load(checkpoint, model), moving_dot.episode(FRESH[0])
    assert "for 5 steps" in watch(TrustMonitor(model, limit, threshold=1e-6, steps=5), made)[1]
    assert watch(TrustMonitor(model, limit, threshold=1e6), spoilt(made, covered))[1] == ""


def test_false_alarms_on_held_out_episodes_are_reported(checkpoint: Path, model: WorldModel) -> None:
    limit = TrustLimit.load(checkpoint, model)
    assert (limit.calibration_episodes, limit.held_out_episodes) == (15, 15)
    assert limit.false_alarms <= 1 and limit.false_alarm_ci95[0] <= limit.false_alarms / 15 <= limit.false_alarm_ci95[1]
    assert set(limit.scales) == set(parts_of(model.contract)) and not limit.trained_on_store
    training = moving_dot.EpisodeStore.open(checkpoint.parent / "training")
    tight = calibrate(model, checkpoint, training, range(10), Calibration(quantile=0.01, margin=0.2, steps=1))
    assert tight.false_alarms > 0 and tight.trained_on_store, "the count is of real alarms"


def test_unusable_limits_are_refused_with_the_mend(checkpoint: Path, model: WorldModel, tmp_path: Path) -> None:
    copy = tmp_path / "world_model"
    shutil.copytree(checkpoint, copy)
    good = json.loads((copy / "trust.json").read_text())
    for values in ("{", json.dumps(good | {"limit": -1.0}), json.dumps(good | {"scales": {}}), "[]"):
        (copy / "trust.json").write_text(values)
        with pytest.raises(TrustError, match="calibrate-trust"):
            TrustLimit.load(copy, model)
    (copy / "trust.json").write_text(json.dumps(good | {"weights": "0" * 16}))
    with pytest.raises(TrustError, match="other weights"):
        TrustLimit.load(copy, model)
    (copy / "trust.json").unlink()
    with pytest.raises(TrustError, match=r"has no trust\.json"):
        TrustLimit.load(copy, model)


def test_too_few_episodes_are_refused(checkpoint: Path, model: WorldModel) -> None:
    store = moving_dot.EpisodeStore.open(checkpoint.parent / "training")
    with pytest.raises(TrustError, match="1 of 1 episodes"):
        calibrate(model, checkpoint, store, [0])


def wait_until(condition: Callable[[], object], timeout: float) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.mark.parametrize(
    "values, steps, level",
    [([1, 5, 5, 1], 2, 5), ([1, 5, 1, 5], 2, 1), ([3, 2, 4], 3, 2), ([9, 9], 3, 0), ([7], 1, 7)],
)
def test_trigger_level_is_what_a_streak_stays_above(values: list[float], steps: int, level: float) -> None:
    assert trigger_level(values, steps) == level


def test_watch_skips_while_busy_and_tells_its_alarm(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alarms: list[str] = []
    trust = TrustWatch.load(checkpoint, "cpu", 0.0, 0, alarms.append)
    checking, go_on = threading.Event(), threading.Event()
    results = iter(["", "not trusted: for the test"])

    def check() -> str:
        checking.set()
        assert go_on.wait(10)
        return next(results)

    monkeypatch.setattr(trust.monitor, "check", check)
    shots = moving_dot.observations(moving_dot.episode(0))
    try:
        trust.acted(shots[0])
        assert checking.wait(10)
        trust.acted(shots[1])
        trust.acted(shots[2])
        assert trust.skipped == 2 and trust.told()["steps skipped, busy"] == 2, "nobody waited, nothing was queued"
        go_on.set()
        wait_until(lambda: not trust._thread.busy, 10)
        assert alarms == []
        trust.acted(shots[3])
        wait_until(lambda: alarms, 10)
    finally:
        trust.close()
    assert alarms == ["not trusted: for the test"]


def test_the_command_writes_the_limit_beside_the_world_model(
    checkpoint: Path, model: WorldModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from world4rl.cli import main

    copy, training = tmp_path / "world_model", checkpoint.parent / "training"
    shutil.copytree(checkpoint, copy)
    (copy / "trust.json").unlink()
    words = ["calibrate-trust", str(training), "--world-model", str(copy), "--held-out", "0.9", "--device", "cpu"]
    assert main([*words, "--source", "random"]) == 2 and not (copy / "trust.json").exists()
    assert main([*words, "--steps", "2"]) == 0
    assert "has learned from episodes of this store" in capsys.readouterr().out
    limit = TrustLimit.load(copy, model)
    assert (limit.steps, limit.calibration_episodes, limit.held_out_episodes) == (2, 3, 27)
    longer = moving_dot.EpisodeStore.open(shutil.copytree(training, tmp_path / "longer"))  # a store that has grown
    with longer:
        longer.append(moving_dot.episode(FRESH[0]))
    assert main(["calibrate-trust", str(longer.path), *words[2:], "--steps", "2"]) == 0
    assert "has learned from episodes of this store" in capsys.readouterr().out
    assert limit.store == str(training)
