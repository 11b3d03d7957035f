"""Resumable training: everything a loop needs to go on is written atomically, in safetensors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from world4rl_wm.training.processes import main_process
from world4rl_wm.weights_file import require_numbers, write_weights

STATE = "state.safetensors"
"""The state's file in the folder of a training."""
LEAST_STEPS = 3
"""Of a training whose learning rate rises and falls (`one_cycle`)."""


class Remembers(Protocol):
    """Something that a loop keeps beside weights; what it remembers fits into JSON."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, values: dict[str, Any]) -> None: ...


class Keeps(Protocol):
    """Something that a loop keeps beside weights, in tensors by name: none, or others, from step to step."""

    def tensors(self) -> dict[str, Tensor]: ...

    def load_tensors(self, tensors: dict[str, Tensor]) -> None: ...


@dataclass
class TrainingState:
    """A model, its average and its optimiser, with the step they are at.

    `generators` by name: those whose random numbers a loop takes one after the other; `Draws` need no state. Where
    parts of the model have optimisers of their own, `optimizers` has the others by name. `notes` and `kept` by name:
    what else.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor] | None = None
    step: int = 0
    generators: dict[str, torch.Generator] = field(default_factory=dict)
    optimizers: dict[str, torch.optim.Optimizer] = field(default_factory=dict)
    notes: dict[str, Remembers] = field(default_factory=dict)
    kept: dict[str, Keeps] = field(default_factory=dict)

    def update_average(self, decay: float) -> None:
        """Exponential moving average of the weights, with a warm-up so that early steps do not linger."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        current = self.model.state_dict()
        if self.average is None:
            self.average = {k: v.detach().clone() for k, v in current.items()}
        for key, value in self.average.items():
            if value.is_floating_point():
                value.lerp_(current[key].detach(), 1 - decay)
            else:
                value.copy_(current[key])

    def save(self, path: Path, fingerprint: str) -> None:
        """Write `path` whole or not at all. `fingerprint` names the run it belongs to.

        Raises:
            DivergedError: the model or its average has weights that are NaN; what was there stays.
        """
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in (self.average or {}).items()}
        require_numbers(tensors, path)
        for prefix, optimizer in self._all_optimizers().items():
            for index, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"{prefix}.{index}.{name}": torch.as_tensor(value) for name, value in slots.items()}
        tensors |= {f"generator.{name}": generator.get_state() for name, generator in self.generators.items()}
        tensors |= {f"kept.{name}.{k}": v for name, kept in self.kept.items() for k, v in kept.tensors().items()}
        building = path.with_name(f"{path.name}.building")  # one name: what a killed process left is overwritten
        notes = {name: note.state_dict() for name, note in self.notes.items()}
        meta = {"step": str(self.step), "fingerprint": fingerprint, "notes": json.dumps(notes)}
        write_weights({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}, building, metadata=meta)
        building.replace(path)

    def restore(self, path: Path, fingerprint: str) -> bool:
        """Go on from `path` if it exists and belongs to the same run; returns whether it did. That of another run is
        left alone, and it is said, for whoever begins anew there overwrites it.

        Written on a GPU it is taken on a CPU too, or the other way round; there a device's own generators begin anew.
        """
        if not path.is_file():
            return False
        meta = _metadata(path)
        if meta.get("fingerprint") != fingerprint:
            if main_process():
                print(f"{path.parent} holds step {meta.get('step')} of other settings, data or weights: begun anew")
            return False
        tensors = load_file(path, device=str(next(self.model.parameters()).device))
        self.model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        now = self.model.state_dict()
        average = {k[8:]: v for k, v in tensors.items() if k.startswith("average.")}
        self.average = {k: _in_order_of(now[k], v) for k, v in average.items()} or None
        for prefix, optimizer in self._all_optimizers().items():
            _restore_optimizer(optimizer, {k: v for k, v in tensors.items() if k.startswith(f"{prefix}.")})
        for name, generator in self.generators.items():
            numbers = tensors[f"generator.{name}"].cpu()
            if numbers.shape == generator.get_state().shape:  # else it was that of another kind of device
                generator.set_state(numbers)
        for name, kept in self.kept.items():
            prefix = f"kept.{name}."
            kept.load_tensors({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        values = json.loads(meta.get("notes", "{}"))
        for name, note in self.notes.items():
            note.load_state_dict(values[name])
        self.step = int(meta["step"])
        return True

    def _all_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """By the prefix of their tensors' names in the file."""
        return {"optimizer": self.optimizer} | {f"optimizer-{name}": o for name, o in self.optimizers.items()}


def one_cycle(optimizer: torch.optim.Optimizer, learning_rate: float, steps: int, step: int = 0) -> OneCycleLR:
    """The one-cycle schedule of `steps` steps, as it stands after `step` of them.

    Raises:
        ValueError: fewer than `LEAST_STEPS` cannot rise and fall.
    """
    if steps < LEAST_STEPS:
        raise ValueError(
            f"a training of {steps} steps: its learning rate has to rise and fall, give at least {LEAST_STEPS}"
        )
    rising = max(0.1, 2 / steps)  # share of the steps
    schedule = OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=rising)
    if step:
        schedule = OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=rising, last_epoch=step - 1)
    return schedule


def default_generator(device: torch.device) -> torch.Generator:
    """The generator that dropout and other layers draw from on `device`."""
    return torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """From tensors by ``prefix.index.slot``."""
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        _, index, name = key.split(".", 2)
        slots.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, own in optimizer.state.items():  # fused optimisers go through memory, not through indices
        own.update({name: _in_order_of(parameter, v) for name, v in own.items() if v.shape == parameter.shape})


def _in_order_of(like: Tensor, value: Tensor) -> Tensor:
    """`value` with its numbers in memory as those of `like`: files hold them row by row."""
    return torch.empty_like(like).copy_(value)


def _metadata(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return dict(json.loads(file.read(size)).get("__metadata__", {}))
