"""A world model of several tasks is told the one that is named, or known; what is told is in the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import small_models
import torch
from small_models import camera_image, picture, small_contract, small_store

from world4rl_wm.checkpoint import CheckpointError
from world4rl_wm.imagination.asked_task import asked_task
from world4rl_wm.imagination.dreamer import Imagined
from world4rl_wm.imagination.loaded_models import LoadedModels
from world4rl_wm.imagination.request import ContextSource, ImagineRequest, Refusal
from world4rl_wm.imagination.service import ImaginationService
from world4rl_wm.uncertainty.kind import UncertaintyMap

CONTRACT = small_contract()
TASKS = ("press", "push")


def service(*tasks: str, name: str = "small", progress: bool = False) -> ImaginationService:
    contract = small_contract(name)
    model, judge = small_models.world_model(contract, tasks=tasks), small_models.reward_model(contract, progress)
    return ImaginationService(LoadedModels(world_model=model, reward_model=judge))


def asked(of: ImaginationService, task: str = "", store: Path | None = None) -> Imagined:
    start = {"context_source": ContextSource.GIVEN, "context": [camera_image(picture(i)) for i in range(2)]}
    if store is not None:
        start = {"context_source": ContextSource.STORE, "store_uri": str(store)}
    return of.imagine(ImagineRequest(3, actions=[0.5] * 9, samples=2, task=task, **start))  # type: ignore[arg-type]


def test_the_named_task_decides_the_dream() -> None:
    of = service(*TASKS)
    push, press, again = (asked(of, task) for task in ("push", "press", "push"))
    assert (push.task, press.task) == ("push", "press")
    assert torch.equal(push.rollout.frames, again.rollout.frames)
    assert not torch.equal(push.rollout.success_probability, press.rollout.success_probability)


def test_dreams_from_no_noise_are_said_to_be_alike() -> None:
    of = service()
    model = of.models.world_model
    assert model is not None and not asked(of).note
    model.config = replace(model.config, edm=replace(model.config.edm, noise_scale=0.0))
    answer = asked(of)
    assert torch.equal(*answer.rollout.frames)
    assert "all dreams are alike: this world model samples from no noise" in answer.note


@pytest.mark.ros
def test_a_note_stands_in_a_good_answer() -> None:
    from builtin_interfaces.msg import Time

    from world4rl_interfaces.srv import ImagineRollout
    from world4rl_wm.ros.rollout_messages import fill_response

    response = ImagineRollout.Response()
    fill_response(response, replace(asked(service()), note="of note"), True, Time())
    assert response.success and response.message == "of note"


def test_left_empty_it_is_what_is_known(tmp_path: Path) -> None:
    """The stored episode's, else the contract's, else the only one; with several and nothing known it is not told."""
    stored = small_store(tmp_path / "push", CONTRACT, task="push").path
    unknown = small_store(tmp_path / "lift", CONTRACT, task="lift").path
    several = service(*TASKS)
    assert asked(several, store=stored).task == "push" and asked(several, "press", stored).task == "press"
    told, untold = asked(several, "push"), asked(several)
    assert untold.task == "" and asked(several, store=unknown).task == ""
    assert not torch.equal(told.rollout.success_probability, untold.rollout.success_probability)
    assert asked(service("press", "push", name="push")).task == "push"
    assert asked(service("lift")).task == "lift" and asked(service("lift"), store=stored).task == "lift"
    assert asked(service(), store=stored).task == "", "a model of one task is told none"


@pytest.mark.parametrize(
    ("tasks", "message"),
    [(TASKS, "task is 'lift', but the world model has learned press, push only"), ((), "leave task empty")],
)
def test_a_task_that_was_not_learned_is_refused_and_the_next_request_is_dreamt(
    tasks: tuple[str, ...], message: str
) -> None:
    of = service(*tasks)
    with pytest.raises(Refusal, match=message):
        asked(of, "lift")
    assert asked(of).complete


def test_models_that_dream_along_are_told_the_same(tmp_path: Path) -> None:
    first = small_models.world_model(CONTRACT, tasks=TASKS).save(tmp_path / "first")
    torch.manual_seed(3)
    other = small_models.world_model(CONTRACT, tasks=TASKS)
    other.task_table.vectors.weight.data.normal_()
    models = LoadedModels()
    models.load(str(first))
    models.load_second(str(other.save(tmp_path / "other")))
    of = ImaginationService(models)
    push, press = (asked(of, task).rollout.uncertainty for task in TASKS)
    assert bool((push > 0).all()) and not torch.equal(push, press)
    untold = small_models.world_model(CONTRACT).save(tmp_path / "untold")
    with pytest.raises(CheckpointError, match=r"is told tasks \(none\) that are not those of .* \(press, push\)"):
        models.load_second(str(untold))
    _, note = models.load(str(untold))
    assert models.second_world_model is None and "is told tasks (press, push)" in note and "is put out" in note


def test_progress_is_told_where_it_was_learned() -> None:
    known, unknown = asked(service(progress=True)), asked(service())
    assert known.tells_progress and known.rollout.progress.shape == (2, 3)
    assert 0 <= float(known.rollout.progress.min()) <= float(known.rollout.progress.max()) <= 1
    assert not unknown.tells_progress and unknown.judged
    silent = service()
    silent.models.reward_model = None
    assert not asked(silent).tells_progress


@pytest.mark.ros
def test_the_message_says_what_kind_of_uncertainty_it_holds() -> None:
    from builtin_interfaces.msg import Time

    from world4rl_interfaces.srv import ImagineRollout
    from world4rl_wm.ros.rollout_messages import fill_response

    of, answers = service(progress=True), []
    second = small_models.world_model(CONTRACT)
    second.denoiser.requires_grad_(False).apply(lambda part: [p.mul_(1.1) for p in part.parameters(recurse=False)])
    for other, calibration in ((None, None), (second, None), (second, UncertaintyMap((0.0, 0.5), (0.25, 0.5)))):
        of.models.second_world_model, of.models.calibration = other, calibration
        answers.append(ImagineRollout.Response())
        fill_response(answers[-1], asked(of), False, Time())
    assert [answer.uncertainty_kind for answer in answers] == [0, 1, 2]
    none, apart, error = (list(answer.uncertainty) for answer in answers)
    assert not any(none) and all(apart) and min(error) >= 0.25 and all(len(a.progress) == 6 for a in answers)


def test_the_request_comes_before_all_else() -> None:
    model = small_models.world_model(small_contract("press"), tasks=TASKS)
    assert asked_task("push", "press", model) == "push"
    assert asked_task("", "push", model) == "push" and asked_task("", "", model) == "press"


class TaskPolicy:
    """Pushes by 0.5, presses by -0.5, and has learned nothing else."""

    contract, history = CONTRACT, 2

    def __init__(self, value: float | None = None) -> None:
        self.value = value

    def for_task(self, task: str) -> TaskPolicy:
        if task not in ("push", "press"):
            raise ValueError(f"has not learned {task}")
        return TaskPolicy(0.5 if task == "push" else -0.5)

    def act(self, frames: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        assert self.value is not None
        return torch.full((len(frames), CONTRACT.action_dim), self.value)


def test_a_policy_of_several_tasks_is_told_too(tmp_path: Path) -> None:
    """The named task, else the stored episode's; also where the world model is told none."""
    stored = small_store(tmp_path / "push", CONTRACT, task="push").path
    unknown = small_store(tmp_path / "lift", CONTRACT, task="lift").path
    for of in (service(*TASKS), service()):
        of.models.policy = TaskPolicy()
        request = ImagineRequest(2, use_policy=True, context_source=ContextSource.STORE, store_uri=str(stored))
        assert of.imagine(request).rollout.actions.unique().tolist() == [0.5]
        with pytest.raises(Refusal, match="has not learned lift"):
            of.imagine(replace(request, store_uri=str(unknown)))
    several = service(*TASKS)
    several.models.policy = TaskPolicy()
    assert several.imagine(replace(request, task="press")).rollout.actions.unique().tolist() == [-0.5]
