"""Checkpoint folders: weights in safetensors, everything else in readable text. Nothing is ever unpickled."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from world4rl_data.contract import TaskContract
from world4rl_wm.unfinished import unfinished
from world4rl_wm.weights_file import require_numbers, write_weights

WEIGHTS, CONFIG, CONTRACT = "model.safetensors", "config.yaml", "contract.yaml"
METRICS, PROVENANCE, EPISODES = "metrics.json", "provenance.json", "episodes.json"
MADE_BY = {
    "policy": "`world4rl train bc` or `refine`",
    "world_model": "`world4rl train world-model`",
    "reward_model": "`world4rl train reward`",
}
"""Kinds of checkpoints, and the commands that write them."""

Model = TypeVar("Model", bound=nn.Module)


class CheckpointError(RuntimeError):
    """A checkpoint is missing, damaged or of another kind."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds once read."""

    path: Path
    kind: str
    weights: dict[str, Tensor]
    config: dict[str, Any]
    contract: TaskContract
    metrics: dict[str, Any]

    def into(self, build: Callable[[dict[str, Any], TaskContract], Model], device: str | torch.device = "cpu") -> Model:
        """The model that `build` makes of the settings, with these weights, in evaluation mode.

        Raises:
            CheckpointError: the settings or the weights are not those of such a model.
        """
        try:
            model = build(self.config, self.contract)
            model.load_state_dict(self.weights)
        except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.path}: {CONFIG} and {WEIGHTS} do not make a {self.kind} "
                f"({type(error).__name__}: {error}); train or copy it again, or use the version that wrote it."
            ) from error
        return model.to(device).eval()


def provenance(seed: int | None, data_hashes: dict[str, str]) -> dict[str, Any]:
    """Versions, commit, seed and data a result came from."""
    packages = ("torch", "diffusers", "numpy", "mujoco", "gym-hil", "metaworld", "safetensors", "rosbags", "ros-rclpy")
    versions = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    git = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": versions,
        "git_commit": git.stdout.strip() or "unknown",
        "seed": seed,
        "data": data_hashes,
    }


def save_checkpoint(
    path: Path | str,
    kind: str,
    weights: dict[str, Tensor],
    config: dict[str, Any],
    contract: TaskContract,
    metrics: dict[str, Any] | None = None,
    seed: int | None = None,
    data_hashes: dict[str, str] | None = None,
    episodes: Iterable[str] | None = None,
) -> Path:
    """Write a checkpoint folder as a whole or not at all: it is built beside its place and renamed. Weights that are
    NaN are refused with DivergedError.

    `episodes`: what those that it was trained on are known by (`checkpoint_identity.known_by`); None: it does not tell.
    """
    path = Path(path)
    require_numbers(weights, path)
    building = path.with_name(f"{path.name}.building-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        write_weights({k: v.detach().cpu().contiguous() for k, v in weights.items()}, building / WEIGHTS)
        (building / CONFIG).write_text(yaml.safe_dump({"kind": kind, **config}, sort_keys=False))
        contract.save(building / CONTRACT)
        (building / METRICS).write_text(json.dumps(metrics or {}, indent=2))
        if episodes is not None:
            (building / EPISODES).write_text(json.dumps(sorted(set(episodes))))
        (building / PROVENANCE).write_text(json.dumps(provenance(seed, data_hashes or {}), indent=2))
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)  # on a full disk it is in the way of whatever comes next
        raise
    if path.exists():
        old = path.with_name(f"{path.name}.old-{os.getpid()}")
        path.rename(old)
        try:
            building.rename(path)
        except BaseException:
            old.rename(path)
            raise
        shutil.rmtree(old)
    else:
        building.rename(path)
    return path


def load_checkpoint(path: Path | str, kind: str, contract: TaskContract | None = None) -> Checkpoint:
    """Read a checkpoint folder.

    Raises:
        CheckpointError: a file is missing or unreadable, or the kind differs.
        ContractMismatch: it was made with another contract than `contract`.
    """
    path = Path(path)
    config = read_config(path, kind)
    try:
        weights = load_file(path / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): copy or train it again.") from error
    metrics_file = path / METRICS
    try:
        own = TaskContract.load(path / CONTRACT)
        metrics = json.loads(metrics_file.read_text()) if metrics_file.is_file() else {}
    except (ValueError, OSError) as error:  # a ContractError is one
        raise CheckpointError(f"{path} cannot be read ({error}): copy or train it again.") from error
    if contract is not None:
        contract.require_same(own, f"checkpoint {path}")
    return Checkpoint(path, kind, weights, config, own, metrics)


def read_config(path: Path, kind: str) -> dict[str, Any]:
    """The settings of a checkpoint folder, which must be of the `kind`; its weights are not read.

    Raises:
        CheckpointError: a file is missing, the settings are unreadable, or the kind differs.
    """
    missing = [name for name in (WEIGHTS, CONFIG, CONTRACT) if not (path / name).is_file()]
    if missing:
        raise CheckpointError(f"{path} is no checkpoint: {', '.join(missing)} missing. {_left_over(path)}")
    try:
        config = yaml.safe_load((path / CONFIG).read_text())
    except (yaml.YAMLError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): copy or train it again.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} cannot be read ({CONFIG} holds no settings): copy or train it again.")
    found = config.pop("kind", "unknown")
    if found != kind:
        mend = f": give the folder of {MADE_BY[kind]}" if kind in MADE_BY else ""
        raise CheckpointError(f"{path} holds a {found} checkpoint, but a {kind} is needed here{mend}.")
    return config


def _left_over(path: Path) -> str:
    """The mend for a missing checkpoint; a save killed between its two renames leaves the old one beside its place."""
    old = sorted(path.parent.glob(f"{path.name}.old-*"))
    if old:
        return f"An interrupted save left the one before it: rename {old[-1]} to {path.name}."
    return f"{unfinished(path) or 'Give the folder that training wrote'}."
