"""What the recorder loses and costs with two cameras (640x480 rgb8, 30 Hz) and two 1 kHz streams.

    python benchmarks/recorder.py --seconds 60

The publishers are processes of their own and send serialized messages made beforehand. What is counted are the messages
in the closed bag against those published, by their stamps; processor time and megabytes are the recorder's own.
Result: benchmarks/results/recorder-<seconds>s.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import rclpy
from rclpy.node import Node

from world4rl.runs.machine import processor
from world4rl_bringup.domain import own_domain
from world4rl_data.bag_reader import EpisodeBag
from world4rl_data.episode import Outcome
from world4rl_interfaces.srv import StartEpisode, StopEpisode

ROOT = Path(__file__).resolve().parents[1]
PROFILE = ROOT / "src/world4rl_bringup/config/fastdds_large_messages.xml"
PUBLISHER = Path(__file__).parent / "recorder_parts/publisher_node.py"
CONTRACT = "franka_sim_push"


class Caller:
    """Calls the recorder's services."""

    def __init__(self) -> None:
        self.node = Node("bench_caller")

    def call(self, kind: Any, name: str, request: Any) -> Any:
        client = self.node.create_client(kind, name)
        if not client.wait_for_service(60.0):
            raise SystemExit(f"{name} did not come up")
        future = client.call_async(request)
        rclpy.spin_until_future_complete(self.node, future, timeout_sec=300.0)
        answer = future.result()
        if answer is None or not answer.success:
            raise SystemExit(f"{name}: {answer.message if answer else 'no answer'}")
        return answer


def start_recorder(bags: Path, env: dict[str, str]) -> subprocess.Popen:
    words = [f"contract:={CONTRACT}", f"bags_dir:={bags}", "autostart:=true", "silence_s:=5.0", "start_timeout_s:=30.0"]
    options = [option for word in words for option in ("-p", word)]
    command = [sys.executable, "-m", "world4rl_data.recorder_node", "--ros-args", *options]
    return subprocess.Popen(command, env=env)


def start_publisher(kind: str, seconds: float, out: Path, env: dict[str, str]) -> subprocess.Popen:
    command = [sys.executable, str(PUBLISHER), kind, str(seconds), str(out)]
    return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, text=True)


def say(process: subprocess.Popen) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def measure(seconds: float, work: Path, env: dict[str, str]) -> dict[str, Any]:
    """One recording; returns what was sent, kept and spent."""
    outs = {kind: work / f"{kind}.json" for kind in ("camera", "state")}
    recorder = start_recorder(work / "bags", env)
    publishers = [start_publisher(kind, seconds, out, env) for kind, out in outs.items()]
    try:
        caller = Caller()
        uri = Path(caller.call(StartEpisode, "/start_episode", StartEpisode.Request(task="benchmark")).uri)
        time.sleep(1.0)
        probe, usage = psutil.Process(recorder.pid), []
        before, began = probe.cpu_times(), time.monotonic()
        for publisher in publishers:
            say(publisher)
        while not all(out.exists() for out in outs.values()):
            usage.append(probe.memory_info().rss / 1e6)
            if any(p.poll() is not None for p in (recorder, *publishers)):
                raise SystemExit("a process of the benchmark died")
            time.sleep(0.25)
        spent = probe.cpu_times()
        wall = time.monotonic() - began
        stop_at = time.monotonic()
        answer = caller.call(StopEpisode, "/stop_episode", StopEpisode.Request(outcome=int(Outcome.SUCCESS)))
        closing = time.monotonic() - stop_at
    finally:
        for process in publishers:  # they wait for stdin, not for signals
            process.kill()
            process.wait(30)
        recorder.terminate()
        recorder.wait(60)
    sent = [json.loads(out.read_text()) for out in outs.values()]
    result = kept(uri, sent) | {
        "seconds": seconds,
        "recorder_cpu_percent_of_one_core": round(
            100 * (spent.user + spent.system - before.user - before.system) / wall
        ),
        "recorder_memory_mb": round(max(usage)),
        "stop_to_closed_bag_s": round(closing, 2),
        "publishers_worst_lateness_s": {
            kind: round(s["worst_lateness_s"], 3) for kind, s in zip(outs, sent, strict=True)
        },
        "recorder_says": answer.message,
    }
    return result


def kept(bag_path: Path, sent: list[dict[str, Any]]) -> dict[str, Any]:
    """Messages in the bag of those that the publishers counted, by the stamps in them."""
    since = {topic: s["first_ns"] for s in sent for topic in s["published"]}
    published = {topic: n for s in sent for topic, n in s["published"].items()}
    counts: Counter[str] = Counter()
    size = 0
    with EpisodeBag(bag_path) as bag:
        for topic, _, _, data in bag.raw_messages(since):
            stamp = int.from_bytes(data[4:8], "little") * 10**9 + int.from_bytes(data[8:12], "little")
            if stamp >= since[topic]:
                counts[topic] += 1
                size += len(data)
        counted = bag.record.dropped
    span = max(n / (30.0 if "image" in topic else 1000.0) for topic, n in published.items())
    return {
        "published": published,
        "recorded": {topic: counts[topic] for topic in published},
        "lost": sum(published.values()) - sum(counts.values()),
        "losses_counted_by_the_recorder": counted,
        "messages_per_s": round(sum(counts.values()) / span),
        "mb_per_s_received": round(size / 1e6 / span, 1),
        "mb_per_s_written": round(sum(f.stat().st_size for f in bag_path.iterdir()) / 1e6 / span, 1),
    }


def machine() -> dict[str, Any]:
    """Where and with what this was measured."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_average_1_min_before": round(os.getloadavg()[0], 2),
        "nice": os.nice(0),
        "system": platform.platform(),
        "python": platform.python_version(),
        "ros": os.environ.get("ROS_DISTRO", "kilted (wheels)"),
        "versions": {name: version(name) for name in ("mcap", "zstandard", "rosbags", "numpy")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--profile", type=Path, default=PROFILE, help="Fast DDS profile; 'none' for the default")
    parser.add_argument("--note", default="", help="what else ran on the machine")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    where = machine()
    work = Path(tempfile.mkdtemp(prefix="world4rl-recorder-"))
    try:
        with own_domain() as env:
            if str(options.profile) != "none":
                old = os.environ.get("ROS_DISTRO") in ("humble", "jazzy")
                env[f"{'FASTRTPS' if old else 'FASTDDS'}_DEFAULT_PROFILES_FILE"] = str(options.profile)
            os.environ.update(env)
            rclpy.init()
            result = measure(options.seconds, work, env)
            rclpy.shutdown()
    finally:
        shutil.rmtree(work)
    result |= {"profile": options.profile.name, "machine": where, "note": options.note}
    out = options.out or ROOT / f"benchmarks/results/recorder-{options.seconds:.0f}s.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
