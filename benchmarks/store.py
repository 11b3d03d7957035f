"""How fast the training store is built and read, against reading the bags directly.

    python benchmarks/store.py --name xeon        -> benchmarks/results/store-xeon.json

Bags are made as a real arm's recorder writes them: two cameras of 640x480 at 30 Hz, reduced to 64x64 at 10 Hz in the
store. Reading is by random windows of five pictures of both cameras, in batches. Every case is measured once in each of
several rounds, so that the machine's moods fall on all of them; the median counts. The clock is the CPU time of the one
process, so rates are per second of one core with all files in the system's cache, and bear other processes beside them.
Before the clock starts, bags and store are held to give the same pictures, pixel by pixel.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from store_parts.camera_bags import CameraBags
from store_parts.window_readers import WINDOW, Reader, from_bags, from_store, from_videos

from world4rl.runs.machine import processor
from world4rl_data.bag_reader import EpisodeBag
from world4rl_data.build import build_store
from world4rl_data.contract import TaskContract
from world4rl_data.lerobot.dataset import LeRobotDataset
from world4rl_data.lerobot.export import export_store
from world4rl_data.lerobot.layout import image_key
from world4rl_data.store import EpisodeStore
from world4rl_wm.model.frames import IN_MEMORY

RESULTS = Path(__file__).parent / "results"


def windows(store: EpisodeStore, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random episodes and first steps of windows that end within their episode."""
    episodes = rng.integers(0, len(store), count)
    last = np.array([store.infos[e].length + 1 - WINDOW for e in episodes])
    return episodes, rng.integers(0, last + 1)


def read_raw(bags: list[Path]) -> None:
    """Every message of every bag, decompressed and not decoded: the least that anybody who reads the bags must do."""
    for path in bags:
        with EpisodeBag(path) as bag:
            for _ in bag.raw_messages():
                pass


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def measure(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    contract = TaskContract.load("franka_real")
    made = CameraBags(contract)
    bags = [made.write(work / "bags" / f"e{i:02d}", options.steps) for i in range(options.bags)]
    bag_mb = sum(p.stat().st_size for p in (work / "bags").rglob("*") if p.is_file()) / 1e6
    build_store(work / "bags", work / "store", progress=False)
    store = EpisodeStore.open(work / "store")
    export_store(work / "store", work / "videos", progress=False)
    keys = [image_key(stream.name) for stream in contract.images]
    readers: dict[str, tuple[Reader, int]] = {  # with windows per batch: the rivals are slow
        "store, in memory": (from_store(store, IN_MEMORY), options.batch),
        "store, mapped files": (from_store(store, 0), options.batch),
        "LeRobot videos (PyAV)": (from_videos(LeRobotDataset(work / "videos"), keys), max(1, options.batch // 16)),
        "bags (mcap)": (from_bags(store), max(1, options.batch // 32)),
    }
    rng = np.random.default_rng(0)
    some = windows(store, 4, rng)
    for name in ("store, mapped files", "bags (mcap)"):
        np.testing.assert_array_equal(readers[name][0](*some), readers["store, in memory"][0](*some), err_msg=name)
    reading: dict[str, list[float]] = {name: [] for name in readers}
    building: dict[str, list[float]] = {"build the store": [], "read the bags (mcap), nothing decoded": []}
    for number in range(options.rounds):
        for name, (reader, count) in readers.items():
            repeat = options.batches if name.startswith("store") else 1
            drawn = [windows(store, count, rng) for _ in range(repeat)]
            seconds = timed(lambda r=reader, d=drawn: [r(*rows) for rows in d])  # type: ignore[misc]
            reading[name].append(seconds / (count * repeat))
        fresh = work / f"store{number}"
        building["build the store"].append(timed(lambda f=fresh: build_store(work / "bags", f, progress=False)))  # type: ignore[misc]
        building["read the bags (mcap), nothing decoded"].append(timed(lambda: read_raw(bags)))
        shutil.rmtree(fresh)
    window_mb = WINDOW * sum(store.row_bytes(f"images_{s.name}") for s in contract.images) / 1e6
    return {
        "data": {
            "bags": options.bags,
            "steps_each": options.steps,
            "bags_mb": round(bag_mb, 1),
            "store_mb": round(store.bytes / 1e6, 2),
            "window_mb": window_mb,
            "batch": options.batch,
        },
        "reading": rates(reading, window_mb, "bags (mcap)"),
        "building": rates(building, bag_mb, "read the bags (mcap), nothing decoded"),
    }


def rates(seconds: dict[str, list[float]], megabytes: float, rival: str) -> dict[str, dict[str, Any]]:
    """Megabytes per second of one core, and how many times the rival's, by medians; all rounds beside them."""
    least = statistics.median(seconds[rival])
    return {
        name: {
            "mb_per_core_s": round(megabytes / statistics.median(values), 2),
            "times_the_rival": round(least / statistics.median(values), 2),
            "ms": [round(1e3 * value, 3) for value in values],
        }
        for name, values in seconds.items()
    }


def machine() -> dict[str, Any]:
    packages = ("numpy", "torch", "mcap", "rosbags", "av", "opencv-python-headless")
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_average_1_min_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="of the machine, for the file of results")
    parser.add_argument("--bags", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="actions in each bag, at 10 Hz")
    parser.add_argument("--batch", type=int, default=64, help="windows")
    parser.add_argument("--batches", type=int, default=20, help="batches from the store in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="what else ran on the machine")
    options = parser.parse_args()
    torch.set_num_threads(1)
    where, work = machine(), Path(tempfile.mkdtemp(prefix="world4rl-store-"))
    try:
        result = {"benchmark": "store", "date": time.strftime("%Y-%m-%d"), "machine": where, **measure(options, work)}
    finally:
        shutil.rmtree(work)
    result |= {"rounds": options.rounds, "note": options.note}
    (RESULTS / f"store-{options.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
