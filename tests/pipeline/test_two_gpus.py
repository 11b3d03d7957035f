"""The two dreamers of a run are trained side by side, each on a GPU of its own where there are two."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from world4rl.benchmark.metaworld import train_shared_world_model
from world4rl.runs.dreamers import train_dreamer, train_reader, update_dreamer

JOBS: dict[Callable[..., None], Callable[[str], tuple[Any, ...]]] = {
    train_dreamer: lambda name: (None, name, 0),
    train_reader: lambda name: (None, name, 0),
    update_dreamer: lambda name: (None, name, 0, None, None),
    train_shared_world_model: lambda name: ((), name, 0, 1),
}
"""What runs side by side, and its arguments for a dreamer."""


class Placed(Exception):
    """Ends a job where it takes its GPU, before it has looked at anything."""


@pytest.mark.parametrize("work", JOBS)
@pytest.mark.parametrize(("count", "taken"), [(1, [0, 0]), (2, [0, 1]), (4, [0, 1])])
def test_each_dreamer_is_trained_on_its_own(
    work: Callable[..., None], count: int, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_device(index: int) -> None:
        raise Placed(index)

    with_gpus(monkeypatch, "cuda", count, set_device)
    for name, index in zip("ab", taken, strict=True):
        with pytest.raises(Placed) as placed:
            work(*JOBS[work](name))
        assert placed.value.args == (index,)


def test_without_a_gpu_none_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from world4rl_wm.training.devices import take_gpu

    with_gpus(monkeypatch, "cpu", 0, lambda _: pytest.fail("a GPU was asked for"))
    take_gpu(1)


def with_gpus(monkeypatch: pytest.MonkeyPatch, kind: str, count: int, set_device: Callable[[int], None]) -> None:
    """A machine with so many GPUs, on which this process computes on a device of this kind."""
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    state = SimpleNamespace(device=torch.device(kind))
    monkeypatch.setattr("world4rl_wm.training.devices.process_state", lambda: state)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "set_device", set_device)
