"""A refinement's start policy has seen its successes dreamed, and acts on the dreamed frames as on the real ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dream_rig import policy as small_policy
from dream_rig import press_store, world_model

from world4rl.refinement import dream_bc as module
from world4rl.refinement.dream_bc import DreamBcConfig, RealAndDreamed, dream_bc
from world4rl_data.store import EpisodeStore
from world4rl_policy.action_likelihood import action_likelihood
from world4rl_policy.bc import Demonstrations
from world4rl_wm.measures.replay import Replay, replay
from world4rl_wm.model.frames import to_float
from world4rl_wm.model.world_model import WorldModel

GOOD = [0, 2]
MODELS = [world_model(0), world_model(5)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    return press_store(tmp_path_factory.mktemp("dream_bc") / "store", won=(0, 2))


def test_a_third_is_real_and_the_rest_is_dreamed_with_the_actions_that_were_executed(store: EpisodeStore) -> None:
    frames, actions = RealAndDreamed(store, GOOD, 2, MODELS, seed=0).sample(64, torch.Generator().manual_seed(0))
    assert frames.shape[:2] == (64, 2) and actions.shape == (64, store.contract.action_dim)
    sizes, first = (22, 21, 21), 0
    for model, size in zip((None, *MODELS), sizes, strict=True):
        known = [torch.from_numpy(store.frames(e).copy()) for e in GOOD]
        if model is not None:
            dreamed = replay(model, store, GOOD, 0)
            known = [f[: len(real)] for f, real in zip(dreamed.frames, known, strict=True)]
        for shown, action in zip(frames[first : first + size], actions[first : first + size], strict=True):
            matches = [
                (e, t)
                for e, f in enumerate(known)
                for t in range(len(f) - 1)
                if torch.equal(torch.stack([to_float(f[max(t - 1, 0)]), to_float(f[t])]), shown)
            ]
            assert len(matches) == 1, "a window of one of the episodes"
            episode, step = matches[0]
            torch.testing.assert_close(torch.from_numpy(store.actions(GOOD[episode])[step].copy()), action)
        first += size


def test_a_task_that_succeeds_seldom_is_dreamed_as_if_it_were_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two episodes of each task, where they were two of all: then the rare one mostly had none."""
    monkeypatch.setattr(module, "MOST_DREAMED", 2)
    often, seldom = "press_button", "pick_place"
    many = press_store(tmp_path / "many", (1,) * 8, tuple(range(8)), tasks=(often, often, often, seldom))
    dreamed: list[list[int]] = []

    def noted(model: WorldModel, store: EpisodeStore, episodes: Sequence[int], seed: int) -> Replay:
        dreamed.append(list(episodes))
        return replay(model, store, episodes, seed)

    monkeypatch.setattr(module, "replay", noted)
    for seed in range(4):
        RealAndDreamed(many, range(8), 2, MODELS, seed)
    assert len(dreamed) == 4 * len(MODELS)
    for episodes in dreamed:
        found = [many.infos[episode].task for episode in episodes]
        assert (found.count(often), found.count(seldom)) == (2, 2)
    alone = [e for e in range(8) if many.infos[e].task == often]
    RealAndDreamed(many, alone, 2, MODELS, seed=0)
    drawn = torch.randperm(len(alone), generator=torch.Generator().manual_seed(0))[:2]
    assert dreamed[-1] == sorted(alone[number] for number in drawn), "which ones hangs on the seed alone"


def test_it_acts_on_dreamed_frames_as_it_does_on_real_ones(store: EpisodeStore, tmp_path: Path) -> None:
    """Untrained models dream noise, which says nothing but can be remembered: a policy that has been shown it is nearer
    to the executed actions there than before, and not further off on real frames."""

    def missed(policy: torch.nn.Module) -> list[float]:
        real = Demonstrations(store, GOOD, policy.history)
        dreamed = [f[: store.infos[e].length + 1] for f, e in zip(replay(MODELS[0], store, GOOD).frames, GOOD)]
        found = []
        for examples in (real, real.showing(dreamed)):
            frames, actions = examples.sample(64, torch.Generator().manual_seed(1))
            with torch.no_grad():
                found.append(float((policy.act(frames) - actions).abs().mean()))
        return found

    before, config = small_policy(), DreamBcConfig(400, 24, learning_rate=3e-3, shift=0, mixing=1.0)
    after = dream_bc(before, MODELS, (store, GOOD), config, tmp_path / "start", seed=0, progress=False)
    (real, dreamed), (real_after, dreamed_after) = missed(before), missed(after)
    assert dreamed_after < 0.5 * dreamed and real_after < 0.5 * real


def test_its_std_fits_the_real_and_the_dreamed_successes(store: EpisodeStore, tmp_path: Path) -> None:
    after = dream_bc(small_policy(), MODELS, (store, GOOD), DreamBcConfig(steps=2, batch_size=6), tmp_path / "start")
    shown = RealAndDreamed(store, GOOD, after.history, MODELS, seed=0)
    steps = sum(store.infos[episode].success_index or 0 for episode in GOOD)
    assert sum(len(actions) for _, actions in shown.batches()) == 3 * steps
    torch.testing.assert_close(after.std, action_likelihood(after, shown.batches()).std)
    told = json.loads((tmp_path / "start" / "metrics.json").read_text())["std"]
    torch.testing.assert_close(torch.tensor(told), after.std.detach())


def test_its_weights_are_part_of_the_way_from_those_before(store: EpisodeStore, tmp_path: Path) -> None:
    """How good it is in reality no dream shows: so it keeps near the policy that was measured there."""
    before, config = small_policy(), DreamBcConfig(steps=20, batch_size=6, learning_rate=3e-3)

    def after(mixing: float) -> dict[str, torch.Tensor]:
        out = tmp_path / f"{mixing}"
        return dream_bc(before, MODELS, (store, GOOD), replace(config, mixing=mixing), out, progress=False).state_dict()

    far, near, old = after(1.0), after(0.25), before.state_dict()
    for name in set(old) - {"log_std"}:
        torch.testing.assert_close(near[name], old[name] + 0.25 * (far[name] - old[name]))
    assert not torch.allclose(far["mean.weight"], old["mean.weight"], atol=1e-3)


@pytest.mark.parametrize("mixing", [0.0, -0.5, 1.5])
def test_a_mixing_that_is_no_part_of_the_way_is_refused(mixing: float) -> None:
    with pytest.raises(ValueError, match="mixing must be above 0 and at most 1"):
        DreamBcConfig(mixing=mixing)


def test_it_is_made_once(store: EpisodeStore, tmp_path: Path) -> None:
    """An interrupted refinement must go on with the very same one."""
    config = DreamBcConfig(steps=2, batch_size=6)
    first = dream_bc(small_policy(), MODELS, (store, GOOD), config, tmp_path / "start", progress=False)
    again = dream_bc(small_policy(3), MODELS, (store, GOOD), config, tmp_path / "start", progress=False)
    torch.testing.assert_close(again.state_dict(), first.state_dict(), rtol=0, atol=0)


def test_without_steps_it_is_the_policy_itself(store: EpisodeStore, tmp_path: Path) -> None:
    before = small_policy()
    after = dream_bc(before, MODELS, (store, GOOD), DreamBcConfig(steps=0), tmp_path / "start", progress=False)
    torch.testing.assert_close(after.state_dict(), before.state_dict(), rtol=0, atol=0)


def test_frames_of_other_lengths_are_refused(store: EpisodeStore) -> None:
    with pytest.raises(ValueError, match="other frames than the episodes have"):
        Demonstrations(store, GOOD, 2).showing([torch.zeros(3, 3, 8, 8, dtype=torch.uint8)])
