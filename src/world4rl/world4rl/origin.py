"""Where a run's result comes from: its settings, revision, date, data, machine and versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from world4rl.presets import changed_settings, metaworld_preset
from world4rl_sim.metaworld.names import TASKS as METAWORLD_TASKS

if TYPE_CHECKING:
    from world4rl.run_folder import Run

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


def machine() -> dict[str, Any]:
    """What this process computes on, and how busy that is."""
    import torch

    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.is_file() else []
    processors = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": processors[0] if processors else platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "nice": os.nice(0),
    }
