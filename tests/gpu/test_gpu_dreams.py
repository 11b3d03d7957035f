"""Dreams, what is measured on them and what is read off them are on a GPU what they are on the CPU: by the commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from alike import curve, on_both
from torch import Tensor

sys.path += [str(Path(__file__).parents[1] / name) for name in ("wm", "pipeline")]
from dream_rig import press_run, press_store
from made_episodes import made_episode, made_store
from measured_models import world_episode
from small_models import camera_image, picture, policy, reward_model, small_contract, small_store, world_model

from world4rl.cli import main
from world4rl.pipeline import uncertainty
from world4rl.play.session import PlaySession
from world4rl.presets import load_preset
from world4rl.runs.run_folder import Run
from world4rl.runs.summary import reward_confusion
from world4rl_data.store import EpisodeStore
from world4rl_policy.deploy import load_policy
from world4rl_wm.devices import resolve_device
from world4rl_wm.imagination.dream_stream import Watch
from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.imagination.imagined_path import ImaginedPaths
from world4rl_wm.imagination.key_frames import with_key_frames
from world4rl_wm.imagination.loaded_models import LoadedModels
from world4rl_wm.imagination.request import ContextSource, ImaginationLimits, ImagineRequest
from world4rl_wm.imagination.service import ImaginationService
from world4rl_wm.model.frames import StartStates
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.model import RewardModel
from world4rl_wm.uncertainty.ensemble import Ensemble
from world4rl_wm.uncertainty.kind import UncertaintyMap

CONTRACT = small_contract()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Two world models, reward models with and without progress, and a policy; stores, one with both outcomes and with
    episodes in pairs, one with key frames, one of noise."""
    episodes = [world_episode(CONTRACT, i, [0.3, -0.3, 0.3 + 0.02 * i], 2 if i % 2 else None) for i in range(4)]
    for number in range(4, 6):
        episodes.append(world_episode(CONTRACT, number, [0.3 if number % 2 else -0.3, 0.2], seed=2))
    made_store(tmp_path / "store", CONTRACT, episodes)
    made_store(tmp_path / "long", CONTRACT, [made_episode(CONTRACT, number, 8, 7) for number in range(2)])
    small_store(tmp_path / "noise", CONTRACT, (5, 3, 4, 6))
    first = world_model(CONTRACT)
    first.save(tmp_path / "wm_a")
    torch.manual_seed(1)
    WorldModel(first.config, CONTRACT).save(tmp_path / "wm_b")
    for name, progress in (("reward", True), ("verdict", False)):
        reward_model(CONTRACT, progress).save(tmp_path / name)
    policy(CONTRACT).save(tmp_path / "policy")
    return tmp_path


def command(*words: str) -> None:
    """On the GPU where there is one: that is every command's default."""
    assert main(list(words)) == 0


def models(work: Path, store: str = "store") -> list[str]:
    return ["--world-model", str(work / "wm_a"), "--ensemble", str(work / "wm_b"), "--store", str(work / store)]


def test_films_of_dreams(work: Path) -> None:
    """With a policy that sees nothing but the dream, and with another world model beside."""

    def imagine(out: Path) -> Any:
        words = [*models(work), "--reward", str(work / "verdict"), "--policy", str(work / "policy"), "--samples", "2"]
        command("imagine", *words, "--out", str(out / "dream.mp4"))
        return curve(out / "dream.run" / "metrics.jsonl")

    on_both(imagine, work)


def test_what_disagreement_means(work: Path) -> None:
    def calibrate(out: Path) -> Any:
        command("calibrate-uncertainty", *models(work, "noise"), "--bins", "3")
        return json.loads((work / "wm_a" / "uncertainty.json").read_text())

    on_both(calibrate, work)


def test_the_measures_of_a_world_model(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for the networks whose weights are not at hand, where those would be."""

    def perceptual(device: str) -> Any:
        return lambda predicted, real: (predicted.to(device).float() - real.to(device).float()).flatten(1).mean(1)

    def features(device: str) -> Any:
        def of(pictures: Tensor) -> Tensor:
            return pictures.to(device).float().mean((2, 3))

        return of

    monkeypatch.setattr("world4rl.model_measures.measure.load_lpips", perceptual)
    monkeypatch.setattr("world4rl.model_measures.measure.load_inception", features)

    def evaluate(out: Path) -> Any:
        words = ["--store", str(work / "store"), "--reward", str(work / "reward"), "--horizons", "1", "3"]
        command("evaluate", "world-model", str(work / "wm_a"), *words, "--out", str(out), "--every", "2")
        found = json.loads((out / "measures.json").read_text())
        assert set(found["not_computed"]) == {"fvd"}
        return {name: found[name] for name in ("groups", "counterfactual")}

    on_both(evaluate, work)


def test_how_much_surprise_is_normal(work: Path) -> None:
    def calibrate(out: Path) -> Any:
        words = [str(work / "noise"), "--world-model", str(work / "wm_a"), "--steps", "2"]
        command("calibrate-trust", *words)
        return json.loads((work / "wm_a" / "trust.json").read_text())

    on_both(calibrate, work)


def test_a_dream_played_by_hand(work: Path) -> None:
    """The policy is given one step of it."""

    def play(out: Path) -> Any:
        device = resolve_device("auto")
        model, judge = WorldModel.load(work / "wm_a", device), RewardModel.load(work / "reward", device)
        starts = StartStates.of(EpisodeStore.open(work / "store"), range(3))
        beside = Ensemble((WorldModel.load(work / "wm_b", device),), 1, UncertaintyMap((0.0, 1.0), (0.0, 0.5)))
        session = PlaySession(model, judge, beside, starts, first=1)
        session.step(np.array([0.5, -2.0, 0.0]))
        session.step(session.action_of(load_policy(str(work / "policy"), device)))
        return [(m.step, m.frame.astype(int).mean().item(), m.success, m.uncertainty) for m in session.moments]

    on_both(play, work)


def test_the_environment_in_which_a_policy_practises(work: Path) -> None:
    """Two world models, key frames, progress, a witness, uncertainty, and dreams that start anew one by one."""

    def practise(out: Path) -> Any:
        device = resolve_device("auto")
        a, b = (WorldModel.load(work / name, device) for name in ("wm_a", "wm_b"))
        judge = RewardModel.load(work / "reward", device)
        starts = with_key_frames(EpisodeStore.open(work / "long"), range(2), a.history)
        config = ImaginationConfig(
            4, 3, 1, max_uncertainty=0.9, uncertainty_penalty=0.1, progress_reward=0.5, key_frames=0.5
        )
        env = ImaginationEnv([a, b], [judge], starts, config, Ensemble((b,)), witness=judge)
        actor, found = load_policy(str(work / "policy"), device), []
        observation, told = env.reset(seed=1)
        for number in range(3):
            observation, *results, info = env.step(actor.act(observation))
            found.append([value.tolist() for value in (observation.mean((1, 2, 3, 4)), *results, *info.values())])
            if number == 1:
                mask = np.array([True, False, False, True])
                observation, told = env.reset(options={"reset_mask": mask})
        return [*found, told["start"].tolist()]

    on_both(practise, work)


def service(work: Path) -> ImaginationService:
    """As the imagination node has it: models named by folder, one exchanged for another, their pace measured."""
    loaded = LoadedModels(resolve_device("auto"), CONTRACT, load_policy)
    for name in ("wm_b", "wm_a", "reward", "policy"):
        loaded.load(str(work / name))
    loaded.load_second(str(work / "wm_b"))
    made = ImaginationService(loaded)
    made.dreamer.calibrate()
    return made


def test_the_imagination_service(work: Path) -> None:
    """From pictures and from a store, by actions and by a policy; with the lines that the arm draws."""
    given = {"context_source": ContextSource.GIVEN, "context": [camera_image(picture(i)) for i in range(4)]}
    stored = {"context_source": ContextSource.STORE, "store_uri": str(work / "store"), "store_index": 2}
    requests = [
        ImagineRequest(2, context_actions=[0.1] * 3, actions=[0.5] * 6, samples=2, **given),
        ImagineRequest(2, use_policy=True, **stored),
    ]
    tables = ("success_probability", "uncertainty", "actions", "progress")

    def answer(_: Path) -> Any:
        made, found = service(work), []
        for request in requests:
            paths = ImaginedPaths((0, 1, 2))
            watch = Watch(lambda step, paths=paths: paths.add(step) is None, paths.start)
            rollout = made.imagine(request, watch=watch).rollout
            assert rollout.frames.device == made.models.world_model.device
            found.append([getattr(rollout, name).tolist() for name in tables])
            found.append([rollout.frames.float().mean().item(), paths.points, paths.point_colours])
        return found

    on_both(answer, work)


@pytest.mark.ros
def test_the_imagination_nodes_answer(work: Path) -> None:
    """From the thread that does the node's work, as a message."""
    from builtin_interfaces.msg import Time

    from world4rl_interfaces.srv import ImagineRollout
    from world4rl_wm.ros.answer_messages import Answers

    asked = ImagineRollout.Request(context_source=ContextSource.STORE, store_uri=str(work / "store"), horizon=2)
    asked.use_policy, asked.return_frames = True, True

    def answer(_: Path) -> Any:
        response = ImagineRollout.Response()
        Answers(service(work), Time, print).imagine(asked, response, ImaginationLimits())
        assert response.success, response.message
        numbers = response.success_probability, response.uncertainty, response.actions, response.progress
        return [*(list(values) for values in numbers), float(np.mean([np.mean(f.data) for f in response.frames]))]

    on_both(answer, work)


def test_what_a_run_measures_by_itself(tmp_path: Path) -> None:
    """Its two world models' disagreement, and its reward model on fresh episodes."""
    press_store(tmp_path / "stores" / "check", (5, 3, 4, 6), won=(0, 1))
    run = Run(press_run(tmp_path, store=False), "press_button", 3, "tiny", load_preset("tiny"), progress=False)

    def measure(_: Path) -> Any:
        uncertainty(run)
        return [run.read("uncertainty.json"), reward_confusion(run)]

    on_both(measure, tmp_path)
