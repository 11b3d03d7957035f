"""What becomes of a graph's processes when their runner is killed, without ROS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from world4rl_bringup.orphan_guard import OrphanGuard
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


# A node that ends by the first signal of the guard's, also where the tests' own parent has had SIGINT ignored (a
# background job of a shell that has no job control), which is handed down.
_NODE = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
print("up", flush=True)
time.sleep(600)
"""


def _started_node() -> subprocess.Popen[bytes]:
    node = subprocess.Popen([sys.executable, "-c", _NODE], start_new_session=True, stdout=subprocess.PIPE)
    assert node.stdout is not None and node.stdout.readline() == b"up\n"
    return node


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


def _runner_killed(guard: OrphanGuard) -> None:
    """Its threads end, and its pipe."""
    guard._dismissed.set()
    guard._looking.join()
    assert guard._shell.stdin
    guard._shell.stdin.close()
    guard._shell.wait(20.0)


# Makes a process group of its own number, leaves it, and makes it again, each time when it is told to.
_COMES_BACK = """
import os, sys

for group in (0, os.getpgid(os.getppid()), 0):
    os.setpgid(0, group)
    print("done", flush=True)
    sys.stdin.readline()
"""


def test_a_group_that_has_ended_is_not_ended_again_when_its_number_comes_back() -> None:
    guard, words = OrphanGuard(), [sys.executable, "-c", _COMES_BACK]
    gone, stays = (
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(2)
    )
    assert gone.stdin and gone.stdout and stays.stdout
    try:
        for process in (stays, gone):
            process.stdout.readline()  # type: ignore[union-attr]
            guard.watch(process.pid, 1.0)
        assert guard.watched == {stays.pid, gone.pid}
        gone.stdin.write("leave\n")
        gone.stdout.readline()
        end = time.monotonic() + 20.0
        while guard.watched != {stays.pid}:
            assert time.monotonic() < end, "the group that has ended is watched still"
            time.sleep(0.02)
        gone.stdin.write("come back\n")
        gone.stdout.readline()
        os.killpg(gone.pid, 0)  # there it is again
        _runner_killed(guard)
        assert stays.wait(20.0) != 0 and gone.poll() is None
    finally:
        for process in (stays, gone):
            process.kill()
            process.communicate()


def test_where_the_guards_shell_is_ended_another_one_guards_the_same() -> None:
    guard, node = OrphanGuard(), _started_node()
    first = guard.pid
    try:
        guard.watch(node.pid, 1.0)
        os.kill(first, signal.SIGKILL)
        end = time.monotonic() + 20.0
        while guard.pid == first:
            assert time.monotonic() < end, "no other shell"
            time.sleep(0.02)
        _runner_killed(guard)
        assert node.wait(20.0) == -signal.SIGINT
    finally:
        node.kill()
        node.communicate()


def test_a_guard_whose_shell_has_ended_is_dismissed_all_the_same() -> None:
    guard, node = OrphanGuard(), subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        guard._dismissed.set()  # nobody looks any more
        guard._looking.join()
        guard._shell.kill()
        guard._shell.wait()
        guard.watch(node.pid, 1.0)
        guard.dismiss()
        assert guard._shell.returncode == 0 and node.poll() is None
    finally:
        node.kill()
        node.wait()


def test_only_a_node_with_a_time_of_its_own_outlives_its_runner_for_long() -> None:
    gate = NodeSpec("world4rl_control", "arm_gate", "arm_gate")
    recorder = NodeSpec("world4rl_data", "recorder", "recorder", sigterm_after_s=CLOSING_S)
    assert (gate.orphan_s, recorder.orphan_s) == (ORPHAN_S, CLOSING_S)
