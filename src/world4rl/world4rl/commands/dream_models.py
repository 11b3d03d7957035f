"""The store and the models that `imagine`, `play` and `calibrate-uncertainty` work with, from a run or one by one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from world4rl.errors import CommandError, existing

if TYPE_CHECKING:
    from world4rl_data.store import EpisodeStore
    from world4rl_wm.model.world_model import WorldModel
    from world4rl_wm.reward.model import RewardModel
    from world4rl_wm.uncertainty.ensemble import Ensemble

RunOption = Annotated[
    Path | None,
    tyro.conf.arg(
        name="run",
        help="Folder of `world4rl demo` or of a row of `world4rl benchmark metaworld`: gives all of the following not "
        "given.",
    ),
]
StoreOption = Annotated[
    Path | None, tyro.conf.arg(name="store", help="Training store with the episodes; of a run, its fresh ones.")
]
WorldModelOption = Annotated[
    Path | None, tyro.conf.arg(name="world-model", help="World-model checkpoint that dreams; of a run, its first one.")
]
RewardOption = Annotated[Path | None, tyro.conf.arg(name="reward", help="Reward-model checkpoint that judges.")]
EnsembleOption = Annotated[
    tuple[Path, ...],
    tyro.conf.arg(
        name="ensemble", help="World models of other training seeds that dream along for the uncertainty; of a run, b."
    ),
]
DeviceOption = Annotated[str, tyro.conf.arg(name="device", help="Where the models run: auto, cpu, cuda ...")]


@dataclass(frozen=True)
class DreamFolders:
    """Where store and world models lie; all of them exist."""

    store: Path
    world_model: Path
    ensemble: tuple[Path, ...]

    @classmethod
    def find(
        cls, run: Path | None, store: Path | None, world_model: Path | None, ensemble: tuple[Path, ...]
    ) -> DreamFolders:
        """What was given, and what `run` holds for the rest.

        Raises:
            CommandError: a folder is missing, or neither it nor a run was given.
        """
        if run is not None:
            models = existing(run, "run") / "checkpoints"
            store = store or run / "stores" / "check"
            if world_model is None and not ensemble and (models / "world_model_b").is_dir():
                ensemble = (models / "world_model_b",)
            world_model = world_model or models / "world_model_a"
        others = tuple(existing(path, "world model") for path in ensemble)
        return cls(given(store, "store"), given(world_model, "world-model"), others)

    def settings(self) -> dict[str, object]:
        """For a command's record."""
        paths = {"store": str(self.store), "world_model": str(self.world_model)}
        return paths | {"ensemble": [str(path) for path in self.ensemble]}


def given(path: Path | None, option: str) -> Path:
    """`path`, which must exist; CommandError where it does not, or where there is none."""
    if path is None:
        raise CommandError(
            f"give --{option}, or --run with the folder of a finished `world4rl demo` or row of `world4rl benchmark "
            "metaworld`"
        )
    return existing(path, option.replace("-", " "))


def reward_folder(run: Path | None, reward: Path | None) -> Path:
    """Where the reward model lies: as given, or that of a run."""
    return given(reward if reward or run is None else run / "checkpoints" / "reward_a", "reward")


@dataclass(frozen=True)
class DreamModels:
    """A store, who dreams and who judges; `told` says what the uncertainty is."""

    data: EpisodeStore
    world_model: WorldModel
    judge: RewardModel
    ensemble: Ensemble
    told: str

    @classmethod
    def load(cls, folders: DreamFolders, reward: Path, device: str) -> DreamModels:
        """Raises CheckpointError, ContractMismatch or StoreError where a folder is not what it should be."""
        from world4rl_data.store import EpisodeStore
        from world4rl_wm.devices import resolve_device
        from world4rl_wm.model.world_model import WorldModel
        from world4rl_wm.reward.model import RewardModel
        from world4rl_wm.uncertainty.ensemble_loading import ensemble_of, load_others

        data, place = EpisodeStore.open(folders.store), resolve_device(device)
        if not len(data):
            raise CommandError(f"{folders.store} holds no episodes: collect or record some first")
        model = WorldModel.load(folders.world_model, place, data.contract)
        judge = RewardModel.load(reward, place, data.contract)
        ensemble, told = ensemble_of(folders.world_model, load_others(model, folders.ensemble))
        return cls(data, model, judge, ensemble, told)
