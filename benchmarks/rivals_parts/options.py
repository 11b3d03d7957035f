"""Command line that the contests share."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from rivals_parts.contest import Contest

from world4rl.presets import load_preset
from world4rl_data.store import EpisodeStore

RESULTS = Path(__file__).resolve().parents[1] / "results"


def parser(description: str | None) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--store", type=Path, required=True, help="training store that the rivals learn from")
    found.add_argument("--fresh", type=Path, required=True, help="store of other, labelled episodes to measure on")
    found.add_argument("--minutes", type=float, default=4.0, help="of CPU for each rival and seed (default: 4)")
    found.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the trainings (default: 0 1 2)")
    found.add_argument("--preset", default="tiny", help="sizes and settings (default: tiny)")
    found.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="single settings of the preset")
    found.add_argument(
        "--out", type=Path, help="JSON file to write, or to go on with (default: results/NAME-TASK.json)"
    )
    return found


def contest(options: argparse.Namespace) -> Contest:
    """On one core: seconds of CPU then mean the same for every rival."""
    torch.set_num_threads(1)
    stores = EpisodeStore.open(options.store), EpisodeStore.open(options.fresh)
    return Contest(load_preset(options.preset, options.set), *stores, 60 * options.minutes)


def result_path(options: argparse.Namespace, name: str, learned: EpisodeStore) -> Path:
    tasks = "+".join(sorted({info.task for info in learned.infos}))
    return options.out or RESULTS / f"{name}-{tasks}.json"
