"""How fast the world model dreams and learns, and how much of the processor that uses.

    python benchmarks/imagination.py --name amd-epyc      -> benchmarks/results/imagination-amd-epyc.json
    python benchmarks/imagination.py --device cuda --name h200

The network is that of a preset with random weights: what it dreams is noise, but it takes as long. Every case is
measured once in each of several rounds, so that the machine's moods fall on all of them; the median counts. With one
thread on a CPU the clock is the process's own CPU time: rates are per second of one core and bear other processes
beside them. With more threads, and on a GPU, it is the wall's. Beside the preset as it ships stand its alternatives
(convolutions, memory format, number format, torch.compile) and a denoiser of DIAMOND's published shape
(arXiv 2405.12399): no space-to-depth stem, four levels of 64 channels, three steps.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from imagination_parts.cases import Case, make_cases, random_store

from world4rl.presets import load_preset
from world4rl.runs.machine import machine
from world4rl_data.contract import TaskContract
from world4rl_wm.checkpoint import provenance
from world4rl_wm.training.memory import keep_freed_memory

RESULTS = Path(__file__).parent / "results"
LEAST_S = 0.25


class Clock:
    """Seconds of CPU where one thread works, else of the wall, when all work is done."""

    def __init__(self, device: torch.device, threads: int) -> None:
        self._cuda = device.type == "cuda"
        self.name = "wall" if self._cuda or threads > 1 else "CPU"

    def measure(self, case: Case) -> float:
        """Seconds for one time of a case's work, of as many in a row as fill `LEAST_S`: short ones would find caches
        that the case before has filled."""
        with case.context():
            started, times, spent = self._now(), 0, 0.0
            while spent < LEAST_S:
                case.work()
                times += 1
                spent = self._now() - started
            return spent / times

    def _now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter() if self.name == "wall" else time.process_time()


def peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


def run(options: argparse.Namespace) -> dict[str, Any]:
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    if device.type == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"  # training chooses its device by itself
        keep_freed_memory()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        store = random_store(Path(folder) / "store", TaskContract.load(options.contract))
        clock = Clock(device, options.threads)
        all_cases = make_cases(load_preset(options.preset), store, device, options.compile)
        seconds: dict[str, list[float]] = {case.name: [] for case in all_cases}
        for number in range(options.rounds + 1):
            for case in all_cases:
                took = clock.measure(case)
                if number:  # the first is to get warm
                    seconds[case.name].append(took)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    products = {case.name: case.gflops / median[case.name] for case in all_cases[:2]}
    pace = products[all_cases[0].name]
    rows = {
        case.name: {
            "per_s": round(case.amount / median[case.name], 1),
            "gflop_each": round(case.gflops, 3),
            "share_of_matrix_product": round(case.gflops * case.amount / median[case.name] / pace, 2),
        }
        for case in all_cases[2:]
    }
    return {
        "clock": clock.name,
        "gflop_per_s": {name: round(value, 1) for name, value in products.items()},
        "cases": rows,
        "peak_memory_mb": peak_memory_mb(device),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--preset", default="tiny", help="whose network it is")
    parser.add_argument("--contract", default="franka_sim_press", help="cameras and actions")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--rounds", type=int, default=5, help="times that every case is measured")
    parser.add_argument("--compile", action="store_true", help="torch.compile, too (minutes, and a C++ compiler)")
    parser.add_argument("--name", required=True, help="of the machine, for the file of results")
    options = parser.parse_args()
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    where = machine() | {"device": device, "threads": options.threads}
    setting = {name: getattr(options, name) for name in ("preset", "contract", "rounds")}
    origin = {key: value for key, value in provenance(None, {}).items() if key not in ("seed", "data", "machine")}
    result = {"benchmark": "imagination", "setting": setting, **run(options), "machine": where, **origin}
    path = RESULTS / f"imagination-{options.name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
