"""From picture to action: delay and regularity of the real policy node over DDS, on two cores.

    python benchmarks/policy_latency.py                      # ten minutes, two 64x64 cameras
    python benchmarks/policy_latency.py --camera 640x480     # as cameras send them; the contract still wants 64x64
    python benchmarks/policy_latency.py --trust --reload-s 15

Doubles stand in for the robot, each a process of its own: two cameras at 30 Hz, pose and fingers at 100 Hz. The policy
has the size of the preset `tiny` and untrained weights, which take as long as trained ones. Delays are counted from the
stamp of the older of the two pictures to the action's departure and to its arrival at another process, by the system's
clock.
Written to benchmarks/results/policy-latency-<camera>[-trust][-reload].json.
"""

from __future__ import annotations

import argparse
import array
import bisect
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import SetBool

from world4rl.runs.machine import processor
from world4rl_bringup.domain import own_domain
from world4rl_data.contract import TaskContract
from world4rl_interfaces.msg import Action
from world4rl_interfaces.srv import LoadCheckpoint

RESULTS = Path(__file__).parent / "results"
PROFILE = Path(__file__).parents[1] / "src/world4rl_bringup/config/fastdds_large_messages.xml"
SIZE = 64  # what the policy sees [pixels]
CAMERA_HZ, ARM_HZ = 30.0, 100.0
SETTLE_S = 5.0  # actions of the first seconds do not count
CORES = 2
CONFIGURE, ACTIVATE = 1, 3
MS = 1e-6  # of a nanosecond


def make_contract() -> TaskContract:
    """Two cameras of 64x64, position and finger, 10 Hz."""
    values = TaskContract.load("franka_sim_press").to_dict()
    values["name"] = "latency"
    for stream in values["images"]:
        stream["height"] = stream["width"] = SIZE
    return TaskContract.from_dict(values)


# -- doubles -----------------------------------------------------------------------------------------------------------


def at_rate(hz: float, work: Callable[[], None]) -> None:
    """Call `work` at a steady rate until SIGTERM; late calls are not made up for."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        work()
        due = max(due + 1 / hz, time.monotonic())


def cameras(width: int, height: int, log: Path) -> None:
    """Both cameras; on SIGTERM the stamps of all pairs of pictures go to `log`, one line `older newer` [ns] each."""
    node = rclpy.create_node("cameras")
    contract = make_contract()
    publishers = [node.create_publisher(Image, stream.topic, 1) for stream in contract.images]
    rng = np.random.default_rng(0)
    pictures = [array.array("B", rng.integers(0, 256, height * width * 3, np.uint8).tobytes()) for _ in range(4)]
    sent: list[tuple[int, int]] = []

    def shoot() -> None:
        stamps = []
        for publisher in publishers:
            now = node.get_clock().now()
            picture = Image(height=height, width=width, encoding="rgb8", step=3 * width)
            picture.header.stamp, picture.data = now.to_msg(), pictures[len(sent) % len(pictures)]
            publisher.publish(picture)
            stamps.append(now.nanoseconds)
        sent.append((stamps[0], stamps[-1]))

    at_rate(CAMERA_HZ, shoot)
    log.write_text("".join(f"{a} {b}\n" for a, b in sent))


def arm() -> None:
    """Pose and fingers."""
    node, contract = rclpy.create_node("arm"), make_contract()
    pose = node.create_publisher(PoseStamped, contract.proprioception[0].topic, 1)
    fingers = node.create_publisher(JointState, contract.proprioception[1].topic, 1)

    def tell() -> None:
        stamp = node.get_clock().now().to_msg()
        where, hand = PoseStamped(), JointState(name=["left", "right"], position=[0.0, 0.0])
        where.header.stamp = hand.header.stamp = stamp
        pose.publish(where)
        fingers.publish(hand)

    at_rate(ARM_HZ, tell)


# -- the measurement ---------------------------------------------------------------------------------------------------


def make_models(folder: Path, trust: bool) -> dict[str, str]:
    """Checkpoints and contract of the policy node, as its parameters."""
    import torch

    from world4rl.presets import load_preset
    from world4rl_policy.actor_critic import GaussianPolicy
    from world4rl_policy.surprise import parts_of
    from world4rl_policy.trust_limit import TrustLimit
    from world4rl_wm.checkpoint_identity import weights_digest
    from world4rl_wm.model.world_model import WorldModel

    contract, preset = make_contract(), load_preset("tiny")
    contract.save(folder / "contract.yaml")
    for seed, name in enumerate(("policy", "other_policy")):
        torch.manual_seed(seed)
        GaussianPolicy(preset.policy_config(contract), contract).save(folder / name)
    parameters = {"contract": str(folder / "contract.yaml"), "checkpoint": str(folder / "policy")}
    if trust:
        path = WorldModel(preset.world_model_config(contract), contract).save(folder / "world_model")
        # a limit that noise never reaches: here only the work counts
        TrustLimit(dict.fromkeys(parts_of(contract), 1.0), 1e6, 3, weights_digest(path), 0, 0, 0, (0.0, 1.0)).save(path)
        parameters["world_model_checkpoint"] = str(path)
    return parameters


class Observer:
    """Calls the node's services, and takes note of actions and diagnostics."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("observer")
        contract = make_contract()
        self.actions: list[tuple[int, int, int]] = []  # stamp, departure, arrival [ns]
        self.diagnostics: dict[str, str] = {}
        self._executed = self.node.create_publisher(Action, contract.executed_action_topic, 1)
        self.node.create_subscription(Action, contract.action_topic, self._on_action, 10)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 1)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(5)
        self.node.destroy_node()

    def _on_action(self, action: Action, info: Any) -> None:
        stamp = action.header.stamp.sec * 1_000_000_000 + action.header.stamp.nanosec
        self.actions.append((stamp, info["source_timestamp"], info["received_timestamp"]))
        self._executed.publish(action)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        if message.status[0].name == "world4rl: policy":
            self.diagnostics = {pair.key: pair.value for pair in message.status[0].values}

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """The answer of a service; RuntimeError unless it is success."""
        client = self.node.create_client(kind, name)
        future = client.call_async(request) if client.wait_for_service(60) else None
        end = time.monotonic() + 120
        while future is None or not future.done():
            if future is None or time.monotonic() > end:
                raise RuntimeError(f"{name} does not answer: see the policy node's output")
            time.sleep(0.02)
        answer = future.result()
        if not answer.success:
            raise RuntimeError(f"{name} refused: {getattr(answer, 'message', '')}")
        return answer


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen]:
    """A Python process; ended with SIGTERM."""
    started = subprocess.Popen([sys.executable, *words])
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def usage(pid: int) -> tuple[float, float]:
    """CPU seconds so far and resident memory [MB] of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the graph for the time asked for; what came out."""
    parameters, log = make_models(folder, args.trust), folder / "stamps.txt"
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    with ExitStack() as stack:
        node = stack.enter_context(process("-m", "world4rl_policy.policy_node", "--ros-args", *words))
        observer = Observer()
        for transition in (CONFIGURE, ACTIVATE):
            request = ChangeState.Request()
            request.transition.id = transition
            observer.call(ChangeState, "/policy/change_state", request)
        stack.enter_context(process(__file__, "--double", "arm"))
        double = stack.enter_context(
            process(__file__, "--double", "cameras", "--camera", args.camera, "--log", str(log))
        )
        observer.call(SetBool, "/policy/enable", SetBool.Request(data=True))
        time.sleep(SETTLE_S)
        begin_ns, (cpu, memory) = time.time_ns(), usage(node.pid)
        reloads = 0
        while time.time_ns() - begin_ns < args.minutes * 60e9:
            time.sleep(args.reload_s or 1.0)
            if args.reload_s:
                uri = str(folder / ("other_policy", "policy")[reloads % 2])
                observer.call(LoadCheckpoint, "/policy/load_checkpoint", LoadCheckpoint.Request(uri=uri))
                reloads += 1
        seconds, (cpu_end, memory_end) = (time.time_ns() - begin_ns) * 1e-9, usage(node.pid)
        double.terminate()
        double.wait(20)
        observer.close()
    actions = [action for action in observer.actions if action[0] >= begin_ns]
    found = evaluate(actions, log, seconds, make_contract().period_s)
    memory_told = {"start": round(memory, 1), "end": round(memory_end, 1)}
    more = {"node_cpu_share": round((cpu_end - cpu) / seconds, 3), "node_memory_mb": memory_told, "reloads": reloads}
    return found | more | {"node_diagnostics": observer.diagnostics}


def spread(values: np.ndarray) -> dict[str, float]:
    """Of milliseconds."""
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "max": round(float(values.max()), 2)}


def evaluate(actions: list[tuple[int, int, int]], log: Path, seconds: float, period_s: float) -> dict[str, Any]:
    """Delays of the actions from the pictures that they were decided on: the newest pair stamped before them."""
    pairs = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    newer = [pair[1] for pair in pairs]
    used = [pairs[bisect.bisect_right(newer, stamp) - 1][0] for stamp, _, _ in actions]
    departed, arrived = (np.array([action[i] for action in actions]) for i in (1, 2))
    gaps = np.diff(departed) * MS
    return {
        "seconds": round(seconds, 1),
        "actions": len(actions),
        "image_to_departure_ms": spread((departed - used) * MS),
        "image_to_arrival_ms": spread((arrived - used) * MS),
        "rate_hz": round((len(actions) - 1) / ((departed[-1] - departed[0]) * 1e-9), 3),
        "interval_std_ms": round(float(gaps.std()), 2),
        "interval_off_ms": spread(np.abs(gaps - 1e3 * period_s)),
        "skipped_periods": int(sum(round(gap / (1e3 * period_s)) - 1 for gap in gaps if gap > 1.5e3 * period_s)),
    }


def machine() -> dict[str, Any]:
    """What it ran on."""
    versions = {"python": platform.python_version()}
    for package in ("torch", "numpy", "rclpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    rmw = rclpy.get_rmw_implementation_identifier()
    return {"cpu": processor(), "cores_used": CORES, "rmw": rmw, "versions": versions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--camera", choices=["64x64", "640x480"], default="64x64", help="pictures as published")
    parser.add_argument("--trust", action="store_true", help="with a tiny world model as trust monitor")
    parser.add_argument("--reload-s", type=float, default=0.0, help="load another checkpoint every so many seconds")
    parser.add_argument("--out", type=Path, help="instead of the file in benchmarks/results")
    parser.add_argument("--double", choices=["cameras", "arm"], help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.double:
        rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
        width, height = map(int, args.camera.split("x"))
        return cameras(width, height, args.log) if args.double == "cameras" else arm()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # and of all processes started from here
    with own_domain() as env, tempfile.TemporaryDirectory() as folder:
        # pictures of 0.9 MB do not fit Fast DDS's default shared memory and would be lost by the dozen
        profiles = dict.fromkeys(("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"), str(PROFILE))
        os.environ.update(env | profiles)
        rclpy.init(args=[])
        settings = {
            "camera": args.camera,
            "trust": args.trust,
            "reload_s": args.reload_s,
            "minutes": args.minutes,
            "dds_profile": PROFILE.name,
        }
        result = {"benchmark": "policy_latency", "date": time.strftime("%Y-%m-%d"), "machine": machine()}
        result |= {"settings": settings | {"preset": "tiny", "control_hz": make_contract().control_rate_hz}}
        result |= measure(args, Path(folder))
        rclpy.shutdown()
    name = f"policy-latency-{args.camera}{'-trust' * args.trust}{'-reload' * bool(args.reload_s)}.json"
    path = args.out or RESULTS / name
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2), f"\n{path}", sep="")


if __name__ == "__main__":
    main()
