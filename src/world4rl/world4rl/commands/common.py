"""Options that several commands share, and small helpers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import tyro

from world4rl.errors import CommandError
from world4rl_wm.training.processes import main_process

if TYPE_CHECKING:
    from world4rl_data.store import EpisodeStore

PresetOption = Annotated[
    str,
    tyro.conf.arg(
        name="preset",
        help="Settings: tiny (2 CPU cores), small (several), base or paper (GPU); for Meta-World metaworld/tiny and so "
        "on; or a YAML file.",
    ),
]
Overrides = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        name="set",
        metavar="KEY=VALUE ...",
        help="Settings that replace the preset's, one or more: --set ppo.iterations=20 ppo.clip=0.1.",
    ),
]
SeedOption = Annotated[int, tyro.conf.arg(name="seed", help="Seed of everything random.")]


def tell_other_preset(preset: str, store: EpisodeStore) -> None:
    """Say so where a shipped preset is made for other tasks than a store's: it would be accepted without a word."""
    from world4rl.presets import METAWORLD, preset_names

    name, asked = store.contract.name, preset.startswith(METAWORLD)
    fitting = preset.removeprefix(METAWORLD) if asked else METAWORLD + preset
    shipped = {*preset_names(), *preset_names(METAWORLD)}
    if asked != name.startswith("metaworld_") and {preset, fitting} <= shipped and main_process():
        tasks = "Meta-World's tasks" if asked else "other tasks than Meta-World's"
        print(f"the preset {preset} is made for {tasks}, {store.path} has the contract {name}: --preset {fitting} fits")


def require_amounts(episodes: int, workers: int, noise: float) -> None:
    """Raises CommandError for amounts that no episodes can be made with, such as noise that is not a number."""
    if episodes < 1 or workers < 1 or not 0 <= noise < math.inf:
        raise CommandError("--episodes and --workers must be at least 1, --noise a finite number of at least 0")
