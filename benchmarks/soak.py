"""The whole simulated graph for a long time: rates, latencies, memory, descriptors, threads, bags.

    python benchmarks/soak.py --minutes 30

sim_arm in real time, gate, recorder, policy and imagination run with untrained models of the preset `tiny`'s size.
`deployment` records one episode after the other; a client asks for dreams every 10 s (short, long, cancelled) and
exchanges the checkpoints every 30 s. Prints a table, writes benchmarks/results/soak-<minutes>min.json, and ends with
exit code 1 when a bound of soak_parts/verdict.py is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import datetime, timezone
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

from world4rl.runs.machine import processor
from world4rl_bringup.domain import own_domain
from world4rl_bringup.graph import graph
from world4rl_bringup.options import GraphOptions
from world4rl_bringup.paths import import_path
from world4rl_bringup.running_graph import GraphError, RunningGraph
from world4rl_data.contract import TaskContract

ROOT = Path(__file__).resolve().parents[1]
TASK, CONTRACT = "press_button", "franka_sim_press"
SAMPLE_S = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder for the JSON file")
    args = parser.parse_args()
    from soak_parts.verdict import broken_bounds, table

    contract = TaskContract.load(CONTRACT)
    with tempfile.TemporaryDirectory(prefix="world4rl-soak-") as folder, own_domain() as env:
        os.environ.update(env)
        print(f"ROS_DOMAIN_ID {env['ROS_DOMAIN_ID']}, logs and bags in {folder}", file=sys.stderr)
        result = soak(Path(folder), contract, 60.0 * args.minutes)
        result["broken_bounds"] = broken_bounds(result, contract)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"soak-{args.minutes:g}min.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result, contract))
    print(f"\n{path}\n" + ("\n".join(f"BROKEN: {b}" for b in result["broken_bounds"]) or "all bounds hold"))
    return 1 if result["broken_bounds"] else 0


def soak(folder: Path, contract: TaskContract, seconds: float) -> dict[str, Any]:
    """Run the graph for `seconds` after it is up; everything that was measured."""
    from soak_parts.models import save_models

    checkpoints = save_models(folder, contract)
    options = GraphOptions(
        task=TASK,
        contract=CONTRACT,
        episodes=1_000_000,
        bags_dir=str(folder / "bags"),
        policy_checkpoint=str(checkpoints["policy_a"]),
        world_model_checkpoint=str(checkpoints["world_model"]),
        reward_checkpoint=str(checkpoints["reward"]),
    )
    running = RunningGraph(graph("deploy_sim", options), folder / "log", node_environment(folder))
    failure = ""
    measured: dict[str, Any] = {}
    try:
        with running:
            measured = measure(running, contract, checkpoints, seconds)
    except GraphError as error:
        failure = str(error)
        print(failure, file=sys.stderr)
    log = running.log_path.read_text(encoding="utf-8")
    from soak_parts.bags import look_over

    empty: dict[str, Any] = {"topics": {}, "latencies_ms": {}, "processes": {}, "requests": {"failed": []}}
    return {
        "benchmark": "soak",
        "minutes": seconds / 60.0,
        **machine(),
        **(measured or empty | {"simulated_seconds_per_second": 0.0, "executed_actions": 0, "rejected_actions": 0}),
        "episodes_begun_again": log.count("broke off, begun again"),
        "error_lines": [line for line in log.splitlines() if "[ERROR]" in line][:20],
        "graph_failure": failure,
        "bags": look_over(folder / "bags", contract),
    }


def measure(running: RunningGraph, contract: TaskContract, checkpoints: dict[str, Path], seconds: float) -> Any:
    """Sample the processes while listening and asking."""
    from soak_parts.listener_node import GraphListener, own_context
    from soak_parts.processes import ProcessSeries, sample_all
    from soak_parts.work import Requests

    from world4rl_bringup.client import World4RLClient

    own_context()
    listener = GraphListener(contract, "/world4rl")
    series: dict[str, ProcessSeries] = defaultdict(ProcessSeries)
    pids = running.pids | {"soak itself": os.getpid()}
    with World4RLClient() as client:
        client.wait_for_arm(lambda s: s.enabled, timeout_s=120.0)
        requests = Requests(client, checkpoints)
        listener.restart()
        started = time.monotonic()
        while (at_s := time.monotonic() - started) < seconds:
            sample_all(series, pids, at_s)
            print(f"\r{at_s / 60:5.1f} min, {listener.episodes} episodes", end="", file=sys.stderr, flush=True)
            if running.wait(timeout_s=min(SAMPLE_S, seconds - at_s)):
                raise GraphError("the deployment ended before its time")
        heard_s = time.monotonic() - started
        sample_all(series, pids, heard_s)
        requests.close()
    listener.close()
    topics = {
        topic: {"rate_hz": round(heard.count / heard_s, 3), "interval_ms": heard.gaps_ms.percentiles()}
        for topic, heard in listener.arrivals.items()
    }
    (clock_from, clock_to), (heard_from, heard_to) = listener.clock_s, listener.clock_heard_s
    latencies = listener.latencies_ms | requests.latencies_ms
    warm_up_s = seconds / 2  # caches, malloc's arenas and interned strings reach their size in some 500 episodes
    return {
        "simulated_seconds_per_second": round((clock_to - clock_from) / (heard_to - heard_from), 4),
        "topics": topics,
        "latencies_ms": {name: one.percentiles() for name, one in latencies.items()},
        "processes": {name: one.summary(warm_up_s) for name, one in series.items()},
        "warm_up_s": warm_up_s,
        "executed_actions": listener.executed,
        "rejected_actions": listener.rejected,
        "requests": {
            "answered": dict(requests.answered),
            "refused": dict(requests.refused),
            "failed": requests.failed,
        },
    }


def node_environment(folder: Path) -> dict[str, str]:
    """The nodes' environment; where world4rl_policy runs from source, with the entry point that it is found by."""
    env = {**os.environ, "PYTHONPATH": import_path(os.environ)}
    if not entry_points(group="world4rl.policies"):
        command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder)]
        subprocess.run(command, cwd=ROOT / "src" / "world4rl_policy", check=True)
        env["PYTHONPATH"] = os.pathsep.join([str(folder), env["PYTHONPATH"]])
    return env


def machine() -> dict[str, Any]:
    """Where and with what this was measured."""
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": {
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)),
            "load_at_start": round(os.getloadavg()[0], 2),
            "system": platform.platform(),
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "numpy", "mujoco", "diffusers", "mcap")},
        "ros": os.environ.get("ROS_DISTRO", "kilted, from wheels"),
        "rmw": os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp (default)"),
    }


if __name__ == "__main__":
    sys.exit(main())
