"""What the imagination's service costs over a direct call, and how it bears a storm of requests.

    python benchmarks/imagination_service.py                 the overhead -> results/imagination-service-overhead.json
    python benchmarks/imagination_service.py --fuzz 10000    wrong requests over DDS -> imagination-service-fuzz.json

Overhead: the same roll-out, same start, actions and seed, dreamt by `ImaginationService` in this process and asked of
the node in another process over DDS, in turns, so that the machine's moods fall on both. The networks are those of a
preset with random weights: what they dream is noise, but it takes as long.
"""

# ruff: noqa: E402 (the helpers of the tests are found after the path is set)
from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path[:0] = [str(ROOT / "tests" / "wm")]

import numpy as np
import torch
from imagination_graph import Client, connected_client, image_message, running_node
from small_models import camera_image

from world4rl.presets import load_preset
from world4rl.runs.machine import machine
from world4rl_bringup.domain import own_domain
from world4rl_data.contract import TaskContract
from world4rl_wm.imagination.loaded_models import LoadedModels
from world4rl_wm.imagination.request import ContextSource, ImagineRequest
from world4rl_wm.imagination.service import ImaginationService
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.model import RewardModel

CONTRACT = "franka_sim_press"


def measured_on() -> dict[str, Any]:
    """Where and with what this was measured."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        **machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ros": os.environ.get("ROS_DISTRO", ""),
        "rmw": os.environ.get("RMW_IMPLEMENTATION", "the default"),
    }


def statistics(seconds: list[float]) -> dict[str, float]:
    """Milliseconds."""
    ordered = 1000 * np.asarray(seconds)
    return {
        "median_ms": round(float(np.median(ordered)), 2),
        "p99_ms": round(float(np.percentile(ordered, 99)), 2),
        "fastest_ms": round(float(ordered.min()), 2),
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def compare(client: Client, here: ImaginationService, options: argparse.Namespace, frames: bool) -> dict[str, Any]:
    """One roll-out, direct and through the service, `options.requests` times each."""
    contract, horizon = TaskContract.load(CONTRACT), options.horizon
    pictures = [np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8) for i in range(len(contract.images))]
    actions = [0.25] * horizon * contract.action_dim
    asked = {"horizon": horizon, "actions": actions, "samples": options.samples, "seed": 5, "return_frames": frames}
    wanted = ImagineRequest(**asked, context_source=ContextSource.GIVEN, context=[camera_image(p) for p in pictures])
    message = {**asked, "context_source": 1, "context": [image_message(p) for p in pictures]}
    direct, served = [], []
    for number in range(options.requests + 3):
        seconds, imagined = timed(lambda: here.imagine(wanted))
        again, answer = timed(lambda: client.ask(**message))
        assert answer.success, answer.message
        difference = np.abs(imagined.rollout.success_probability.flatten().numpy() - answer.success_probability).max()
        assert difference < 1e-4, "the two must dream the same"
        if number >= 3:  # the first are to get warm
            direct.append(seconds)
            served.append(again)
    extra = sorted(s - d for s, d in zip(served, direct, strict=True))
    return {
        "frames_returned": frames,
        "answer_bytes": sum(len(image.data) for image in answer.frames),
        "direct": statistics(direct),
        "service": statistics(served),
        "ratio_of_medians": round(float(np.median(served) / np.median(direct)), 3),
        "ratio_of_fastest": round(min(served) / min(direct), 3),
        "overhead_median_ms": round(1000 * float(np.median(extra)), 2),
        "frames_per_s_direct": round(horizon * options.samples / float(np.median(direct)), 1),
        "frames_per_s_service": round(horizon * options.samples / float(np.median(served)), 1),
    }


def overhead(options: argparse.Namespace) -> dict[str, Any]:
    """All cases against one node."""
    contract, preset = TaskContract.load(CONTRACT), load_preset(options.preset)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        models = {
            "world_model": WorldModel(preset.world_model_config(contract), contract).save(Path(folder) / "world_model"),
            "reward": RewardModel(preset.reward_config(contract), contract).save(Path(folder) / "reward"),
        }
        here = ImaginationService(LoadedModels())
        for path in models.values():
            here.models.load(str(path))
        parameters = {f"{kind}_checkpoint": path for kind, path in models.items()} | {"max_seconds": 3600.0}
        with own_domain() as environment:
            os.environ.update(environment)
            with running_node(Path(folder), **parameters), connected_client() as client:
                cases = [compare(client, here, options, frames) for frames in (False, True)]
    setting = {name: getattr(options, name) for name in ("preset", "requests", "horizon", "samples")}
    return {"benchmark": "imagination-service-overhead", "setting": {**setting, "contract": CONTRACT}, "cases": cases}


def fuzz(options: argparse.Namespace) -> dict[str, Any]:
    """Wrong requests against a real node with small models: answers, memory and times."""
    import small_models
    from imagination_fuzz import MAX_FRAMES, MAX_HORIZON, Fuzzer, check_answer, make_stores, resident_bytes
    from imagination_graph import CONTRACT, good

    seconds, memory, dreams = [], [], 0
    with tempfile.TemporaryDirectory() as folder, own_domain() as environment:
        os.environ.update(environment)
        (Path(folder) / "stores").mkdir()
        fuzzer = Fuzzer(CONTRACT, make_stores(Path(folder) / "stores", CONTRACT), options.seed)
        models = small_models.save_all(Path(folder), CONTRACT)
        parameters: dict[str, object] = {f"{kind}_checkpoint": path for kind, path in models.items()}
        parameters |= {"max_horizon": MAX_HORIZON, "max_frames": MAX_FRAMES}
        with running_node(Path(folder), **parameters) as node, connected_client() as client:
            for number in range(options.fuzz):
                if number % max(1, options.fuzz // 20) == 0:
                    memory.append(round(resident_bytes(node.pid) / 2**20, 1))
                fields = fuzzer.request()
                took, answer = timed(lambda fields=fields: client.ask(**fields))  # type: ignore[misc]
                dreams += check_answer(fields, answer, CONTRACT)
                seconds.append(took)
            memory.append(round(resident_bytes(node.pid) / 2**20, 1))
            answer = client.ask(**good())
            assert answer.success, answer.message
    return {
        "benchmark": "imagination-service-fuzz",
        "setting": {"requests": options.fuzz, "seed": options.seed},
        "answered": len(seconds),
        "dreamt": dreams,
        "refused": len(seconds) - dreams,
        "answer": statistics(seconds),
        "node_memory_mib": memory,
        "growth_after_first_tenth_mib": round(memory[-1] - memory[2], 1),
        "good_request_afterwards": True,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200, help="pairs of roll-outs per case")
    parser.add_argument("--horizon", type=int, default=15, help="steps of a roll-out")
    parser.add_argument("--samples", type=int, default=1, help="dreams side by side")
    parser.add_argument("--preset", default="tiny", help="networks' sizes")
    parser.add_argument("--fuzz", type=int, default=0, help="send so many wrong requests instead")
    parser.add_argument("--seed", type=int, default=0, help="of the wrong requests")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    before = measured_on()
    result = {**(fuzz(options) if options.fuzz else overhead(options)), "machine": before}
    path = options.out or RESULTS / f"{result['benchmark']}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
