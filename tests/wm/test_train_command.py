"""`world4rl train`: where it computes, what it takes for done, and what it says of what does not fit."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from made_episodes import made_episode, made_store
from small_models import small_contract, world_model

from world4rl.cli import main
from world4rl.presets import load_preset
from world4rl.runs.dreamers import train_dreamer, train_reader, update_dreamer
from world4rl_data.contract import ContractError, TaskContract
from world4rl_data.store import EpisodeStore
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.data import RewardData
from world4rl_wm.training.devices import process_device

CONTRACT = small_contract()
SHORT = ("reward.training.steps=3", "reward.network.backbone=small", "reward.network.width=8")

TINY = (
    "world_model.denoiser.widths=[8,8]",
    "world_model.denoiser.stem=2",
    "world_model.training.steps=2",
    "world_model.training.batch_size=4",
)
TINY += ("world_model.training.state.steps=3", "world_model.training.rollout_steps=1")


@pytest.fixture
def store(tmp_path: Path) -> EpisodeStore:
    """Twelve episodes, every other one a success."""
    episodes = [made_episode(CONTRACT, number % 4, 4, 2 if number % 2 else None) for number in range(12)]
    for number, episode in enumerate(episodes):
        episode.episode_id = f"made-{number}"
    return made_store(tmp_path / "store", CONTRACT, episodes)


def train(store: EpisodeStore, what: str, out: Path, *more: str) -> int:
    return main(["train", what, "--store", str(store.path), "--out", str(out), *more])


class Loaded(Exception):
    """Ends a command at the first world model that it loads or trains."""


def test_dreams_to_learn_from_are_made_where_training_computes(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU where there is one: for the command, and in a run of the loop."""

    def load(path: Path, device: Any = "cpu", contract: object = None) -> WorldModel:
        raise Loaded(str(device))

    world_model(CONTRACT).save(tmp_path / "wm")
    monkeypatch.setattr("world4rl_wm.training.devices.process_device", lambda: torch.device("cuda", 3))
    monkeypatch.setattr(WorldModel, "load", load)
    with pytest.raises(Loaded, match="cuda:3"):
        train(store, "reward", tmp_path / "reward", "--world-model", str(tmp_path / "wm"), "--set", *SHORT)
    run: Any = SimpleNamespace(store=lambda name: store, path=tmp_path, preset=load_preset("tiny"))
    run.checkpoint = lambda name: tmp_path / name
    monkeypatch.setattr("world4rl.runs.dreamers.training_store", lambda *_: store)
    with pytest.raises(Loaded, match="cuda:3"):
        train_reader(run, "a", 1)


def test_a_held_out_fifth_without_a_success_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is learned from has some: the training goes on. Where nothing has any, it says so."""
    names = ("rare", "never")
    for name, won in zip(names, (1, None)):
        episodes = [made_episode(CONTRACT, n, 4, 2 if n == won else None) for n in range(6)]
        made_store(tmp_path / name, CONTRACT, episodes)
    rare, never = (EpisodeStore.open(tmp_path / name) for name in names)
    assert train(rare, "reward", tmp_path / "reward", "--set", *SHORT) == 0
    said = capsys.readouterr().out
    assert "the reward model is not measured: its 2 held-out episodes lack frames of success, or others" in said
    assert train(never, "reward", tmp_path / "other", "--set", *SHORT) == 2
    assert "needs labelled episodes with successful and with other frames" in capsys.readouterr().err


def test_measures_on_dreams_say_whose_episodes_they_are(
    store: EpisodeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world_model(CONTRACT).save(tmp_path / "wm")
    for more, said in (((), False), (("--world-model", str(tmp_path / "wm")), True)):
        assert train(store, "reward", tmp_path / f"reward_{said}", *more, "--set", *SHORT) == 0
        assert ("that the world model may have learned from" in capsys.readouterr().out) == said


def test_a_reward_model_can_learn_from_real_frames_alone(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a run and with the command, which measures it on dreams all the same; so it is calibrated."""
    world_model(CONTRACT).save(tmp_path / "world_model_a")
    sizes: dict[str, list[int]] = {"true": [], "false": []}

    def train_and_save(data: RewardData, *_: object, **__: object) -> None:
        assert data.calibration is not None
        sizes[asked] += [len(data.learned), len(data.calibration)]
        raise Loaded(" and ".join(data.held_out))

    monkeypatch.setattr("world4rl_wm.reward.train_reward.train_and_save", train_and_save)
    monkeypatch.setattr("world4rl.runs.dreamers.training_store", lambda *_: store)
    run: Any = SimpleNamespace(store=lambda name: store, checkpoint=tmp_path.joinpath, contract=CONTRACT)
    run.seed, run.progress = 0, False
    for asked in sizes:
        settings = [*SHORT, "reward.calibration.episodes=0.4", f"reward.learn_dreams={asked}"]
        run.preset = load_preset("tiny", settings)
        with pytest.raises(Loaded, match="real"):
            train_reader(run, "a", 1)
        with pytest.raises(Loaded, match="real and dreamed"):
            words = ("--world-model", str(tmp_path / "world_model_a"), "--set", *settings)
            train(store, "reward", tmp_path / f"reward_{asked}", *words)
    assert [5 * size for size in sizes["true"]] == [9 * size for size in sizes["false"]], "5 real frames, 4 dreamed"


def test_too_few_successes_to_calibrate_on_are_told_before_world_models_are_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a run and in a later round of the loop."""
    episodes = [made_episode(CONTRACT, n, 4, 2 if n == 1 else None) for n in range(6)]
    few = made_store(tmp_path / "store", CONTRACT, episodes)
    preset = load_preset("tiny", ["reward.calibration.episodes=0.2"])
    run: Any = SimpleNamespace(preset=preset, seed=0, contract=CONTRACT, progress=False, checkpoint=tmp_path.joinpath)

    def trained(*_: object) -> None:
        raise AssertionError("the world model was trained")

    monkeypatch.setattr("world4rl.runs.dreamers.training_store", lambda *_: few)
    monkeypatch.setattr("world4rl_wm.training.train_world_model.train_world_model", trained)
    words = r"reward\.calibration\.episodes=0\.2: 1 successes and 5 failures are too few"
    with pytest.raises(ValueError, match=words):
        train_dreamer(run, "a", 1)
    with pytest.raises(ValueError, match=words):
        update_dreamer(run, "a", 1, few.path, tmp_path)


def test_a_world_model_trained_anew_is_another(
    store: EpisodeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What has learned from the one before is neither done nor gone on with."""
    model, settings = world_model(CONTRACT), [*SHORT, *TINY]
    dreams = ("--world-model", str(tmp_path / "wm"), "--set", *settings)
    further = ("--start-from", str(tmp_path / "wm"), "--set", *settings)
    model.save(tmp_path / "wm")
    assert train(store, "reward", tmp_path / "reward", *dreams) == 0
    assert train(store, "world-model", tmp_path / "wm_2", *further) == 0
    assert train(store, "reward", tmp_path / "reward", *dreams) == 0
    assert "there already" in capsys.readouterr().out
    next(model.parameters()).data.add_(1.0)
    model.save(tmp_path / "wm")
    assert train(store, "reward", tmp_path / "reward", *dreams) == 2
    assert "settings.world_model" in capsys.readouterr().err
    assert train(store, "world-model", tmp_path / "wm_2", *further) == 2
    assert "settings.start_from" in capsys.readouterr().err


def test_a_later_round_warms_up_within_its_own_steps(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*arguments: Any) -> None:
        raise Loaded(f"{arguments[4].steps} steps, {arguments[4].warm_up} to warm up")

    changed = ["loop.world_model_steps=50", "world_model.training.warm_up=1000"]
    run: Any = SimpleNamespace(preset=load_preset("tiny", changed), seed=0, contract=CONTRACT, progress=False)
    run.checkpoint = tmp_path.joinpath
    monkeypatch.setattr("world4rl_wm.training.train_world_model.train_world_model", trained)
    with pytest.raises(Loaded, match="50 steps, 10 to warm up"):
        update_dreamer(run, "a", 1, store.path, tmp_path)


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"no device '{name}' on this machine: use auto"):
        process_device(name)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("world_model.denoiser.widths=[100,100]", "a unet's widths are multiples of its 8 groups, got [100, 100]"),
        ("world_model.denoiser.widths=[8,8,8,8]", "takes frames of a multiple of 32 pixels, not 16"),
    ],
)
def test_a_network_that_cannot_be_is_refused_in_one_line(
    store: EpisodeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, said: str
) -> None:
    assert train(store, "world-model", tmp_path / "wm", "--set", setting) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_starting_from_another_network_names_what_differs(
    store: EpisodeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world_model(CONTRACT).save(tmp_path / "start")
    assert train(store, "world-model", tmp_path / "wm", "--start-from", str(tmp_path / "start")) == 2
    error = capsys.readouterr().err
    assert "stem: 2 there, 4 asked; widths: (8, 8) there, (128, 128) asked" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("world_model.denoiser.task_dim=4", "task_dim: 0 there, 4 asked"),
        ("world_model.change_scale=0.5", "change_scale: 0.25 there, 0.5 asked"),
        ("world_model.edm.sigma_data=1", "edm.sigma_data: 0.5 there, 1.0 asked"),
    ],
)
def test_starting_from_other_tasks_or_scales_names_them(
    store: EpisodeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, said: str
) -> None:
    """What the weights say is meant by the scales that they were learned with."""
    world_model(CONTRACT).save(tmp_path / "start")
    words = ("--start-from", str(tmp_path / "start"), "--set", *TINY, setting)
    assert train(store, "world-model", tmp_path / "wm", *words) == 2
    assert f"has another network ({said})" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("height", "width"), [(84, 84), (64, 48), (32, 32)])
def test_frames_that_the_networks_cannot_take_name_their_stream(height: int, width: int) -> None:
    """Not a multiple of 8; not square; not of the first one's size."""
    values = CONTRACT.to_dict()
    values["images"][1] |= {"height": height, "width": width}
    contract = TaskContract.from_dict(values)
    for config in (load_preset("tiny").world_model_config, load_preset("tiny").policy_config):
        with pytest.raises(ContractError, match=f"image stream 'wrist' has {width} x {height} pixels"):
            config(contract)


def test_what_was_trained_is_known_again_wherever_its_parts_lie(
    store: EpisodeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store or a checkpoint that was moved, or is given from another directory, is the same one."""
    start = world_model(CONTRACT).save(tmp_path / "start")
    words = ("--set", *SHORT, *TINY)
    assert train(store, "world-model", tmp_path / "wm", "--start-from", str(start), *words) == 0
    start = start.rename(tmp_path / "moved")
    copied = EpisodeStore.open(shutil.copytree(store.path, tmp_path / "copied"))
    capsys.readouterr()
    assert train(copied, "world-model", tmp_path / "wm", "--start-from", str(start), *words) == 0
    assert "there already" in capsys.readouterr().out
    record = yaml.safe_load((tmp_path / "wm.training" / "command.yaml").read_text())
    assert record["settings"]["store"] == str(copied.path) and record["settings"]["start_from"].startswith(str(start))
    assert record["finished"]
