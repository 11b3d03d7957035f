"""Processes end with the command that has started them, for the same command begins anew what they were at."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE_S = 60.0
TRAINING = """
import multiprocessing, threading, time
from world4rl.runs.parallel import in_parallel

if __name__ == "__main__":
    threading.Thread(target=in_parallel, args=(time.sleep, [(600,), (600,)])).start()
    while len(multiprocessing.active_children()) < 2:
        time.sleep(0.01)
"""
COLLECTION = """
import multiprocessing
from world4rl.episodes.collect import Behaviour, collect
from world4rl.episodes.simulation import contract_for

if __name__ == "__main__":
    task = "press_button"
    episodes = collect(task, contract_for(task), Behaviour("random"), range(10**4), workers=2, progress=False)
    next(episodes)
"""
SIMULATORS = f"""
import multiprocessing, sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[2] / "benchmarks")!r})
from refinement_parts.simulators import SharedSimulators
from world4rl.episodes.simulation import contract_for

if __name__ == "__main__":
    task = "press_button"
    simulators = SharedSimulators(task, contract_for(task), 2, workers=2)
    simulators.reset([0, 1])
"""
TELL = """
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("parent", [TRAINING, COLLECTION, SIMULATORS], ids=["training", "collection", "simulators"])
def test_a_killed_parent_leaves_no_child_behind(parent: str, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text("import time\n" + parent.rstrip("\n") + TELL)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        children = [int(pid) for pid in process.stdout.readline().split()]
        assert len(children) == 2 and all(map(_runs, children))
        process.kill()
        process.wait()
    until = time.monotonic() + PATIENCE_S
    while any(map(_runs, children)) and time.monotonic() < until:
        time.sleep(0.1)
    left = [pid for pid in children if _runs(pid)]
    for pid in left:
        os.kill(pid, 9)
    assert not left


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
