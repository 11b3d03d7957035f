"""A run and its config.yaml: the settings are written when it begins, and later it is found from its folder alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from world4rl.errors import CommandError
from world4rl.runs.outcomes import POLICIES
from world4rl.presets import given_settings, metaworld_preset, preset_of
from world4rl.runs.record import differences
from world4rl.runs.run_folder import Run
from world4rl_data.durable import replace_file
from world4rl_wm.checkpoint import CONTRACT

CONFIG, ROW = "config.yaml", "row.json"


def require_config(run: Path, config: dict[str, Any]) -> None:
    """Write the run's config.yaml, or hold it against what is there.

    Raises:
        CommandError: the folder holds a run of other settings.
    """
    path = run / CONFIG
    if path.is_file():
        recorded = yaml.safe_load(path.read_text())
        changed = differences(recorded | {"settings": given_settings(recorded.get("settings", {}))}, config)
        if changed:
            raise CommandError(
                f"{run} holds a run of other settings ({'; '.join(changed[:4])}): give another --run, or remove it"
            )
        return
    run.mkdir(parents=True, exist_ok=True)
    replace_file(path, yaml.safe_dump(config, sort_keys=False))


def load_run(path: Path, progress: bool = True, settings: Sequence[str] = ()) -> Run:
    """The run that `world4rl demo` made in `path`, or the finished row of `world4rl benchmark metaworld` there
    (RUN/seed-0/TASK), with the settings and the contract that it was made with; `settings` such as ``ppo.clip=0.1``
    come on top.

    Raises:
        CommandError: the folder holds no such run.
        PresetError: its settings cannot be used any more.
    """
    if (path / ROW).is_file():
        return _row(path, progress, settings)
    config = path / CONFIG
    if not config.is_file():
        raise CommandError(
            f"{path} holds no run: give the folder of `world4rl demo`, or RUN/seed-N/TASK of a finished row of "
            "`world4rl benchmark metaworld`"
        )
    values = yaml.safe_load(config.read_text())
    if not {"task", "seed", "preset", "settings"} <= values.keys():
        raise CommandError(f"{path} is not the run of one task: give one of its finished rows, such as seed-0/TASK")
    preset = preset_of(values["settings"], values["preset"], settings)
    return Run(path, values["task"], values["seed"], values["preset"], preset, progress, values.get("contract"))


def _row(path: Path, progress: bool, settings: Sequence[str]) -> Run:
    config = path.resolve().parents[1] / CONFIG  # a benchmark's settings lie above its seeds and tasks
    if not config.is_file():
        raise CommandError(f"{path} is a benchmark's row, but {config} with its settings is not there")
    values, row = yaml.safe_load(config.read_text()), json.loads((path / ROW).read_text())
    preset = preset_of(values["settings"], metaworld_preset(values["preset"]), settings)
    contract = path / "checkpoints" / POLICIES[0] / CONTRACT
    return Run(path, row["task"], row["seed"], values["preset"], preset, progress, str(contract))
