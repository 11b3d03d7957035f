"""Refinement follows its models to their device: whatever it makes without saying where would not be there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from dream_rig import policy, reward_model, world_model
from micro_refinement import curve, micro_refinement, micro_store
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from world4rl import dreamed
from world4rl.dream_bc import dream_bc
from world4rl.dreamed import Dreamer
from world4rl.refine import RefineConfig
from world4rl.rehearsal import Rehearsal
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import BcOptimisation, train_and_save, train_bc
from world4rl_policy.early_stopping import EarlyStopping
from world4rl_wm.model.frames import StartStates

MAKERS = (torch.arange, torch.as_tensor, torch.empty, torch.eye, torch.full, torch.linspace, torch.ones, torch.rand)
MAKERS += (torch.randint, torch.randn, torch.randperm, torch.tensor, torch.zeros)
CHECKED = ("world4rl.", "world4rl_policy.", "world4rl_wm.imagination.", "world4rl_wm.uncertainty.")


class Elsewhere(TorchFunctionMode):
    """Puts each tensor that refinement's own code makes without naming a device where no other tensor is, on `meta`.

    So does a GPU's user with a tensor that is left on the CPU: the first operation on both fails.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in MAKERS and "device" not in kwargs and self._checked(sys._getframe(1)):
            kwargs = {**kwargs, "device": "meta"}
        return function(*args, **kwargs)

    @staticmethod
    def _checked(caller: FrameType) -> bool:
        """Networks are made on the CPU and moved as a whole."""
        networks = caller.f_code.co_name == "__init__" and isinstance(caller.f_locals.get("self"), nn.Module)
        return caller.f_globals["__name__"].startswith(CHECKED) and not networks


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_check_finds_what_was_forgotten() -> None:
    forgetful: dict[str, Any] = {"__name__": "world4rl_policy.forgetful", "torch": torch}
    exec("def start(like):\n    return like + torch.zeros(2)\n", forgetful)
    assert forgetful["start"](torch.ones(2)).tolist() == [1.0, 1.0]
    with Elsewhere(), pytest.raises(RuntimeError, match="meta"):
        forgetful["start"](torch.ones(2))


def test_every_tensor_is_made_where_the_models_are(tmp_path: Path, one_thread: None) -> None:
    for name in ("plain", "checked"):
        micro_store(tmp_path / name)
    micro_refinement(tmp_path / "plain")
    with Elsewhere():
        micro_refinement(tmp_path / "checked", device="cpu")
    assert curve(tmp_path / "checked" / "out") == curve(tmp_path / "plain" / "out")


def test_the_loop_judges_its_starts_where_the_judge_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BC on dreams leaves its policy on the CPU; the judge has been loaded to the GPU, or here, as if it were one."""
    seen: list[str] = []

    def outcomes(policy: GaussianPolicy, *_: object) -> tuple[torch.Tensor, None]:
        seen.extend({parameter.device.type for parameter in policy.parameters()})
        return torch.tensor([True, False]), None

    monkeypatch.setattr(dreamed, "dreamed_outcomes", outcomes)
    store = micro_store(tmp_path)
    dream = Dreamer(world_model(0).to("meta"), reward_model().to("meta"))
    config, starts = RefineConfig(dream_bc=BcOptimisation(steps=0)), StartStates.of(store, [0, 1])
    kept = tmp_path / "start"
    start = Rehearsal(dream, dream, starts, starts, (store, [0, 1]), config, 0, False).start(policy(), kept)
    assert seen == ["meta"] and start.judged == 0.5
    assert {parameter.device.type for parameter in start.policy.parameters()} == {"cpu"}, "which refinement copies"


def test_bc_makes_every_tensor_where_its_policy_is(tmp_path: Path, one_thread: None) -> None:
    store, config = micro_store(tmp_path), BcOptimisation(steps=3, batch_size=6)
    trained = [policy(), policy()]
    dream_bc(trained[0], [world_model(0)], (store, [0, 1]), config, tmp_path / "plain", progress=False)
    with Elsewhere():
        dream_bc(trained[1], [world_model(0)], (store, [0, 1]), config, tmp_path / "checked", progress=False)
    plain, checked = (GaussianPolicy.load(tmp_path / name).state_dict() for name in ("plain", "checked"))
    torch.testing.assert_close(checked, plain, rtol=0, atol=0)


class Asked(Exception):
    """Ends a training at the first thing that it asks for on a device."""


class Nothing:
    """To imitate: says where it was asked for."""

    def sample(self, size: int, generator: torch.Generator, device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
        raise Asked(f"a sample on {device}")

    def batches(self, device: torch.device | str = "cpu") -> Iterator[tuple[Tensor, ...]]:
        raise Asked(f"batches on {device}")


def test_bc_asks_for_its_examples_where_its_policy_is() -> None:
    elsewhere = policy().to("meta")
    with pytest.raises(Asked, match="a sample on meta"):
        train_bc(Nothing(), elsewhere, progress=False)
    with pytest.raises(Asked, match="batches on meta"):
        train_bc(Nothing(), elsewhere, BcOptimisation(steps=0), progress=False)
    with pytest.raises(Asked, match="batches on meta"):
        EarlyStopping(Nothing(), 1, 1).look(elsewhere, 1, last=True)


def test_bc_learns_where_training_computes_and_bc_on_dreams_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU where there is one, or here, as if it were one."""

    def train(examples: object, learner: GaussianPolicy, *_: object) -> GaussianPolicy:
        raise Asked(f"a policy on {learner.std.device}")

    store = micro_store(tmp_path)
    monkeypatch.setattr("world4rl_policy.bc.process_device", lambda: torch.device("meta"))
    monkeypatch.setattr("world4rl_policy.bc.train_bc", train)
    monkeypatch.setattr("world4rl.dream_bc.train_bc", train)
    monkeypatch.setattr("world4rl.dream_bc.RealAndDreamed", lambda *_: Nothing())
    with pytest.raises(Asked, match="a policy on meta"):
        train_and_save(store, [0, 1], tmp_path / "bc", policy().config)
    models = [world_model(0).to("meta")]
    with pytest.raises(Asked, match="a policy on meta"):
        dream_bc(policy(), models, (store, [0, 1]), BcOptimisation(), tmp_path / "start")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu(tmp_path: Path) -> None:
    micro_store(tmp_path)
    result = micro_refinement(tmp_path, device="cuda")
    assert result.policy.std.device.type == "cuda" and result.iteration == 3
    assert [row["iteration"] for row in curve(tmp_path / "out")] == list(range(9))
