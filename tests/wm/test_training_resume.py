"""An interrupted training goes on as if nothing had happened, and never from another run's state."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_models import small_contract, small_store, world_model
from torch import Tensor, nn

from world4rl_data.store import EpisodeStore
from world4rl_wm.checkpoint_identity import learned_from
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.training import state as training_state
from world4rl_wm.training.draws import Draws
from world4rl_wm.training.state import TrainingState
from world4rl_wm.training.step import TrainingStep, WorldModelTraining, learning_rate_factor
from world4rl_wm.training.train_state_model import StateTraining
from world4rl_wm.training.train_world_model import train_world_model
from world4rl_wm.weights_file import DivergedError

CONFIG = WorldModelTraining(
    steps=6,
    batch_size=4,
    warm_up=2,
    rollout_share=0.5,
    rollout_steps=2,
    save_every=3,
    state=StateTraining(steps=3, batch_size=8),
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another order would differ in the last digit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    return small_store(tmp_path_factory.mktemp("resume") / "store", small_contract(), (6, 5))


def train(store: EpisodeStore, out: Path, config: WorldModelTraining = CONFIG) -> dict[str, Tensor]:
    model = world_model(store.contract).config
    return load_file(train_world_model(store, [0, 1], model, out, config, progress=False) / "model.safetensors")


def test_interrupted_training_ends_with_the_same_weights(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in step 5, after the save at step 3: weights, average, optimiser and random numbers must come back."""
    straight = train(store, tmp_path / "straight")
    update = TrainingState.update_average

    def interrupt(self: TrainingState, decay: float) -> None:
        if self.step == 5:
            raise KeyboardInterrupt
        update(self, decay)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "update_average", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(store, tmp_path / "resumed")
    assert not (tmp_path / "resumed").exists()
    torch.manual_seed(12345)  # another process begins elsewhere
    restored: list[int] = []
    restore = TrainingState.restore

    def watch(self: TrainingState, path: Path, fingerprint: str) -> bool:
        found = restore(self, path, fingerprint)
        restored.append(self.step)
        return found

    monkeypatch.setattr(TrainingState, "restore", watch)
    resumed = train(store, tmp_path / "resumed")
    assert restored == [3]
    assert resumed.keys() == straight.keys()
    different = [name for name, weight in straight.items() if not torch.equal(weight, resumed[name])]
    assert not different


def test_the_state_model_is_finished_before_the_first_step(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last gradients are not the world model's; an interruption between the two trainings changes nothing."""
    straight = train(store, tmp_path / "straight")
    work = tmp_path / "straight.training"
    trained, kept = (load_file(folder / "state.safetensors") for folder in (work / "state_model", work))
    finished = {key: value for key, value in trained.items() if key.startswith("model.")}
    assert finished and all(torch.equal(v, kept[f"model.state_{key}"]) for key, v in finished.items())
    assert all(torch.equal(v, kept[f"average.{key}"]) for key, v in straight.items()), "what comes out is the average"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "take", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(store, tmp_path / "resumed")
    resumed = train(store, tmp_path / "resumed")
    assert all(torch.equal(weight, resumed[name]) for name, weight in straight.items())


def test_other_settings_begin_anew(store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state of other settings must not be continued as if it were this run's."""
    train(store, tmp_path / "wm", replace(CONFIG, steps=3))
    found: list[bool] = []
    restore = TrainingState.restore
    monkeypatch.setattr(TrainingState, "restore", lambda *args: found.append(restore(*args)) or found[-1])
    train(store, tmp_path / "wm", replace(CONFIG, steps=3, learning_rate=2e-3))
    train(store, tmp_path / "wm", replace(CONFIG, steps=3, learning_rate=2e-3))
    assert found == [False, False, True]  # world model and state model anew; then the finished world model


def test_a_later_round_goes_on_wherever_its_start_lies_now(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run folder may be moved, or given by another path: the weights to start from are what counts."""
    found: list[bool] = []
    restore = TrainingState.restore
    monkeypatch.setattr(TrainingState, "restore", lambda *args: found.append(restore(*args)) or found[-1])
    model, config = world_model(store.contract), replace(CONFIG, steps=3)

    def further(start: Path) -> None:
        found.clear()
        train_world_model(store, [0, 1], model.config, tmp_path / "wm", config, progress=False, start_from=start)

    further(model.save(tmp_path / "before"))
    assert found == [False, False]  # neither the world model nor its state model
    further((tmp_path / "before").rename(tmp_path / "moved"))
    assert found == [True]
    next(model.parameters()).data.add_(1.0)
    further(model.save(tmp_path / "moved"))
    assert found == [False, False]


@pytest.mark.parametrize(("spoilt", "kept"), [(2, None), (5, 3)])
def test_a_training_that_diverges_spoils_nothing_that_is_there(
    store: EpisodeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: int, kept: int | None
) -> None:
    """One loss that is no number spoils all weights: neither state nor checkpoint is written from them."""
    forward, steps = WorldModel.forward, itertools.count(1)

    def loss(self: WorldModel, *args: Tensor, **options: Any) -> Tensor:
        return forward(self, *args, **options) * (torch.nan if next(steps) == spoilt else 1.0)

    monkeypatch.setattr(WorldModel, "forward", loss)
    with pytest.raises(DivergedError, match=r"training has diverged: .* Train with a lower learning rate"):
        train(store, tmp_path / "wm")
    assert not (tmp_path / "wm").exists()
    state = tmp_path / "wm.training" / "state.safetensors"
    assert state.exists() == (kept is not None)
    if kept is not None:
        assert all(bool(value.isfinite().all()) for value in load_file(state).values())


def test_a_world_model_tells_the_episodes_that_it_learned_from(store: EpisodeStore, tmp_path: Path) -> None:
    """In whatever store they lie: a run's models learn from a join, and are calibrated on one of its parts."""
    train(store, tmp_path / "wm", replace(CONFIG, steps=3))
    grown = small_store(tmp_path / "grown", store.contract, (6, 5, 4))
    assert [learned_from(tmp_path / "wm", grown, few) for few in ([0, 1, 2], [1], [2])] == [2, 1, 0]
    model, config = world_model(store.contract).config, replace(CONFIG, steps=3)
    train_world_model(grown, [2], model, tmp_path / "on", config, progress=False, start_from=tmp_path / "wm")
    assert learned_from(tmp_path / "on", grown, [0, 1, 2]) == 3, "of its start's episodes too"
    assert learned_from(tmp_path / "on", small_store(tmp_path / "fresh", store.contract, (3,)), [0]) == 0
    (tmp_path / "wm" / "episodes.json").unlink()  # as older ones, which tell their store alone
    assert [learned_from(tmp_path / "wm", one, [0, 1]) for one in (store, grown)] == [2, 0]


def test_learning_rate_rises_then_falls_to_a_tenth() -> None:
    config = WorldModelTraining(steps=100, warm_up=10)
    factors = [learning_rate_factor(step, config) for step in range(101)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == pytest.approx(1.0)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == pytest.approx(0.1)


def toy_state(seed: int) -> TrainingState:
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    return TrainingState(model, torch.optim.AdamW(model.parameters(), lr=0.1))


def learn(state: TrainingState, steps: int) -> None:
    for _ in range(steps):
        x = Draws(0, state.step).normal(4, 3)
        state.optimizer.zero_grad()
        state.model(x).square().mean().backward()
        state.optimizer.step()
        state.step += 1
        state.update_average(0.9)


def test_the_average_follows_fast_at_first_and_then_slowly() -> None:
    """With a decay of (1 + step) / (10 + step) until that is the one asked for: random weights must not linger."""
    state = TrainingState(nn.Linear(1, 1, bias=False), torch.optim.SGD([torch.zeros(1)]))
    followed = []
    for step, weight in ((0, 0.0), (1, 1.0), (2, 1.0), (1000, 2.0)):
        state.step = step
        torch.nn.init.constant_(state.model.weight, weight)
        state.update_average(0.9)
        assert state.average is not None
        followed.append(float(state.average["weight"]))
    second = 1 - 2 / 11
    third = second + (1 - 3 / 12) * (1 - second)
    assert followed == pytest.approx([0.0, second, third, 0.9 * third + 0.1 * 2])


def test_state_holds_everything_a_loop_needs(tmp_path: Path) -> None:
    state = toy_state(0)
    learn(state, 3)
    state.save(tmp_path / "state", "run")
    learn(state, 3)
    other = toy_state(1)
    assert other.restore(tmp_path / "state", "run") and other.step == 3
    learn(other, 3)
    assert torch.equal(other.model.weight, state.model.weight)
    assert state.average is not None and other.average is not None
    assert torch.equal(other.average["weight"], state.average["weight"])
    assert not torch.equal(state.average["weight"], state.model.weight)


class Bag:
    """Tensors of any number."""

    def __init__(self, **held: Tensor):
        self.held = held

    def tensors(self) -> dict[str, Tensor]:
        return self.held

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        self.held = tensors


def test_state_keeps_tensors_of_any_number_and_size(tmp_path: Path) -> None:
    for held in ({"some": torch.arange(3.0).bfloat16(), "no.rows": torch.zeros(0, 2)}, {}):
        state, other = toy_state(0), toy_state(1)
        state.kept, other.kept = {"bag": Bag(**held)}, {"bag": Bag(old=torch.ones(1))}
        state.save(tmp_path / "state", "run")
        assert other.restore(tmp_path / "state", "run")
        found = other.kept["bag"].tensors()
        assert found.keys() == held.keys() and all(torch.equal(found[name], held[name]) for name in held)
        assert all(found[name].dtype == value.dtype for name, value in held.items())


def test_state_of_another_run_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = toy_state(0)
    learn(state, 1)
    state.save(tmp_path / "state", "run")
    other = toy_state(1)
    before = other.model.weight.clone()
    assert not other.restore(tmp_path / "nothing", "run") and not capsys.readouterr().out
    assert not other.restore(tmp_path / "state", "other run")
    assert f"{tmp_path} holds step 1 of other settings, data or weights: begun anew" in capsys.readouterr().out
    assert other.step == 0 and torch.equal(other.model.weight, before)


def test_an_interrupted_save_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = toy_state(0)
    learn(state, 2)
    state.save(tmp_path / "state", "run")

    def half(_: dict[str, Tensor], path: Path, **__: object) -> None:
        Path(path).write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(training_state, "write_weights", half)
    learn(state, 1)
    with pytest.raises(KeyboardInterrupt):
        state.save(tmp_path / "state", "run")
    other = toy_state(1)
    assert other.restore(tmp_path / "state", "run") and other.step == 2


def test_tensorboard_gets_curves_pictures_and_films(store: EpisodeStore, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(store, tmp_path / "wm")
    board = EventAccumulator(str(tmp_path / "wm.training" / "tensorboard")).Reload()
    assert [point.step for point in board.Scalars("world_model/loss")] == [CONFIG.steps]
    pictures = board.Images("world_model/last_true_predicted_difference")
    assert [picture.step for picture in pictures] == [3, 6]
    # columns x cameras x pixels, moments x pixels
    assert (pictures[0].width, pictures[0].height) == (4 * 2 * 16, 6 * 16)
    films = board.Images("world_model/true_dreamed_difference")
    assert [film.step for film in films] == [3, 6]
    assert (films[0].width, films[0].height) == (3 * 2 * 16, 2 * 16)  # columns x cameras x pixels, episodes x pixels
