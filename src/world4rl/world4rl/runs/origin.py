"""Where a run's result comes from: its settings, revision, date, data, machine and versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from world4rl.runs.machine import machine
from world4rl.presets import changed_settings, metaworld_preset
from world4rl_sim.metaworld.names import TASKS as METAWORLD_TASKS

if TYPE_CHECKING:
    from world4rl.runs.run_folder import Run

STORES = ("demonstrations", "practice", "check")


def origin(run: Run, stores: Sequence[str] = STORES) -> dict[str, Any]:
    """For the JSON file of a run's result; `stores`: those of the run that it was made of."""
    from world4rl_wm.checkpoint import provenance

    preset = metaworld_preset(run.preset_name) if run.task in METAWORLD_TASKS else run.preset_name
    made = provenance(run.seed, {name: run.store(name).content_hash for name in stores})
    return {
        "settings": changed_settings(run.preset, preset),
        "machine": machine() | {key: made[key] for key in ("machine", "python")},
        "versions": made["versions"],
        "provenance": {key: made[key] for key in ("created", "git_commit", "data")},
    }
