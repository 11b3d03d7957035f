"""What becomes of a graph's processes when their runner is killed, without ROS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from world4rl_bringup.spec import CLOSING_S, ORPHAN_S, NodeSpec

# A runner: starts one process that hears no signal and one that is done only once that is gone, and is then killed.
_RUNNER = """
import subprocess, sys, time
from world4rl_bringup.orphan_guard import OrphanGuard

guard, rock_pid = OrphanGuard(), 0
for program, seconds in ((sys.argv[1], 1.0), (sys.argv[2], 60.0)):
    words = [sys.executable, "-c", program, sys.argv[3], str(rock_pid)]
    process = subprocess.Popen(words, start_new_session=True, stdout=subprocess.PIPE)
    process.stdout.readline()
    guard.watch(process.pid, seconds)
    rock_pid = rock_pid or process.pid
    print(process.pid, flush=True)
time.sleep(600)
"""
_ROCK = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
_RECORDER = """
import pathlib, signal, sys, time

def ended(pid):  # a zombie has
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True

def close(number, frame):
    while not ended(sys.argv[2]):
        time.sleep(0.05)
    time.sleep(0.5)
    pathlib.Path(sys.argv[1]).write_text("closed")
    raise SystemExit

signal.signal(signal.SIGINT, close)
print("up", flush=True)
time.sleep(600)
"""


def test_a_process_that_needs_its_time_gets_it_while_another_is_killed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    words = [sys.executable, "-c", _RUNNER, _ROCK, _RECORDER, str(closed)]
    runner = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    pids = [int(runner.stdout.readline()) for _ in range(2)]
    try:
        runner.kill()
        runner.wait()
        end = time.monotonic() + 30.0
        while not closed.exists():
            assert time.monotonic() < end, "it was killed before it had closed what it writes"
            time.sleep(0.05)
    finally:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # as it should be


def test_only_a_node_with_a_time_of_its_own_outlives_its_runner_for_long() -> None:
    gate = NodeSpec("world4rl_control", "arm_gate", "arm_gate")
    recorder = NodeSpec("world4rl_data", "recorder", "recorder", sigterm_after_s=CLOSING_S)
    assert (gate.orphan_s, recorder.orphan_s) == (ORPHAN_S, CLOSING_S)
