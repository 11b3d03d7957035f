"""The models that imagination works with, loaded from checkpoint folders and exchanged while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from world4rl_data.contract import TaskContract
from world4rl_data.file_address import path_of
from world4rl_wm import protocols
from world4rl_wm.checkpoint import CONFIG, CheckpointError
from world4rl_wm.model import world_model
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.protocols import Policy
from world4rl_wm.reward import model as reward
from world4rl_wm.reward.model import RewardModel
from world4rl_wm.uncertainty.ensemble import Ensemble
from world4rl_wm.uncertainty.ensemble_loading import ensemble_of, misfit
from world4rl_wm.uncertainty.kind import UncertaintyMap


@dataclass
class LoadedModels:
    """World model, a second one that only judges the first, reward model and policy; each may be absent.

    `contract`, when given, is the only task contract whose checkpoints are accepted; otherwise the world model brings
    its own. `load_policy` makes a policy of a checkpoint folder and a device. `calibration` is what the disagreement of
    the two world models means, where `world4rl calibrate-uncertainty` has measured it.
    """

    device: str = "cpu"
    contract: TaskContract | None = None
    load_policy: Callable[[str, str], Policy] = protocols.load_policy
    world_model: WorldModel | None = None
    reward_model: RewardModel | None = None
    policy: Policy | None = None
    second_world_model: WorldModel | None = None
    calibration: UncertaintyMap | None = None
    _folder: Path | None = field(default=None, init=False)
    _second_folder: Path | None = field(default=None, init=False)

    @property
    def ensemble(self) -> Ensemble:
        """Who dreams along with the world model."""
        return Ensemble((self.second_world_model,), 0, self.calibration) if self.second_world_model else Ensemble()

    def load(self, uri: str) -> tuple[TaskContract, str]:
        """Load a checkpoint folder of any of the three kinds. What was loaded stays on failure.

        A folder without our config may be a policy that another package loads. A world model of another contract puts
        the other models out.

        Returns:
            The checkpoint's contract and a note on what was put out, empty where nothing was.

        Raises:
            CheckpointError, ContractError, ContractMismatch, LookupError, RuntimeError: what is wrong with the folder.
            ValueError: `uri` is no path and no file:// address.
        """
        path = path_of(uri)
        kind, not_ours = None, None
        try:
            kind = checkpoint_kind(path)
        except CheckpointError as error:
            if not path.is_dir():
                raise
            not_ours = error
        if kind == world_model.KIND:
            return self._load_world_model(path)
        needed = self.world_model.contract if self.world_model else self.contract
        if kind == reward.KIND:
            self.reward_model = RewardModel.load(path, self.device, needed)
            return self.reward_model.contract, ""
        try:
            policy = self.load_policy(str(path), self.device)
        except (LookupError, RuntimeError, ValueError, OSError) as error:
            if not_ours is None:
                raise
            raise CheckpointError(f"{not_ours}; nor is it another package's policy: {error}") from error
        if needed is not None:
            needed.require_same(policy.contract, f"checkpoint {path}")
        self.policy = policy
        return policy.contract, ""

    def load_second(self, uri: str) -> tuple[TaskContract, str]:
        """Load the world model that dreams along with the first; returns as `load`, with what the uncertainty tells.

        Raises:
            CheckpointError, ContractError, ContractMismatch: what is wrong with the folder, or that it does not fit.
            ValueError: `uri` is no path and no file:// address.
        """
        path = path_of(uri)
        first = self.world_model
        second = WorldModel.load(path, self.device, first.contract if first else self.contract)
        why = misfit(first, second) if first else ""
        if why:
            raise CheckpointError(f"{path} {why}: give two that were trained alike")
        self.second_world_model, self._second_folder = second, path
        return second.contract, self._calibrate()

    def _load_world_model(self, path: Path) -> tuple[TaskContract, str]:
        model = WorldModel.load(path, self.device, self.contract)
        notes = []
        for name in ("reward_model", "policy", "second_world_model"):
            other = getattr(self, name)
            if other is not None and other.contract.hash != model.contract.hash:
                setattr(self, name, None)
                notes.append(
                    f"the {name.replace('_', ' ')} was made for contract '{other.contract.name}' and is put out"
                )
        second = self.second_world_model
        why = misfit(model, second) if second else ""
        if why:
            self.second_world_model = None
            notes.append(f"the second world model {why}, and is put out")
        self.world_model, self._folder = model, path
        told = self._calibrate()
        return model.contract, "; ".join([*notes, told] if told else notes)

    def _calibrate(self) -> str:
        """Find what the disagreement of the two world models means; a sentence on it, empty where there is no pair."""
        self.calibration = None
        if self.second_world_model is None or self._folder is None or self._second_folder is None:
            return ""
        ensemble, told = ensemble_of(self._folder, [(self.second_world_model, self._second_folder)])
        self.calibration = ensemble.calibration
        return f"uncertainty: {told}"


def checkpoint_kind(path: Path) -> Any:
    """What a checkpoint folder says it holds; CheckpointError where it is none."""
    if not path.is_dir():
        raise CheckpointError(f"{path} is not a folder: give the checkpoint folder that training wrote")
    try:
        config = yaml.safe_load((path / CONFIG).read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path} is no checkpoint: {CONFIG} cannot be read ({error})") from error
    return config.get("kind") if isinstance(config, dict) else None
