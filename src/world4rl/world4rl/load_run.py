"""A run from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from world4rl.commands.common import CommandError
from world4rl.presets import preset_of
from world4rl.run_folder import Run

CONFIG = "config.yaml"


def load_run(path: Path, progress: bool = True, settings: Sequence[str] = ()) -> Run:
    """The run that `world4rl demo` made in `path`, with its settings; `settings` such as
    ``ppo.clip=0.1`` come on top.

    Raises:
        CommandError: the folder holds no such run.
        PresetError: its settings cannot be used any more.
    """
    config = path / CONFIG
    if not config.is_file():
        raise CommandError(f"{path} holds no run: give the folder of `world4rl demo`")
    values = yaml.safe_load(config.read_text())
    if not {"task", "seed", "preset", "settings"} <= values.keys():
        raise CommandError(f"{path} is not the run of one task: give the folder of `world4rl demo`")
    preset = preset_of(values["settings"], values["preset"], settings)
    return Run(path, values["task"], values["seed"], values["preset"], preset, progress, values.get("contract"))
