"""Resumable training: everything a loop needs to go on is written atomically, in safetensors."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


@dataclass
class TrainingState:
    """A model, its average and its optimiser, with the step they are at (random numbers: see `Draws`)."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor] | None = None
    step: int = 0

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
        """Write `path` whole or not at all. `fingerprint` names the run it belongs to."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in (self.average or {}).items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in slots.items()}
        building = path.with_name(f"{path.name}.{os.getpid()}")
        meta = {"step": str(self.step), "fingerprint": fingerprint}
        save_file({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}, building, metadata=meta)
        building.replace(path)

    def restore(self, path: Path, fingerprint: str) -> bool:
        """Go on from `path` if it exists and belongs to the same run; returns whether it did."""
        if not path.is_file():
            return False
        meta = _metadata(path)
        if meta.get("fingerprint") != fingerprint:
            return False
        tensors = load_file(path, device=str(next(self.model.parameters()).device))
        self.model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        self.average = {k[8:]: v for k, v in tensors.items() if k.startswith("average.")} or None
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".", 2)
                slots.setdefault(int(index), {})[name] = value
        state = self.optimizer.state_dict()
        self.optimizer.load_state_dict({"state": slots, "param_groups": state["param_groups"]})
        self.step = int(meta["step"])
        return True


def _metadata(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return dict(json.loads(file.read(size)).get("__metadata__", {}))
