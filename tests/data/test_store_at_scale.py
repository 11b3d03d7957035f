"""Stores of many bags and many gigabytes: parallel, incremental, checksummed, and read only where needed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from data_fakes import messages, write_bag
from store_made import SIM, made_episode, made_store

from world4rl.cli import main
from world4rl_data import build, workers
from world4rl_data.build import build_store
from world4rl_data.contract import TaskContract
from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore
from world4rl_data.store_index import FORMAT, write_index
from world4rl_data.store_rows import EpisodeInfo
from world4rl_data.store_verify import verify_store
from world4rl_data.workers import AHEAD, WorkerError, ordered

PUSH = TaskContract.load("franka_sim_push")
GIGABYTES = 100


def _bags(root, count):
    for n in range(count):
        write_bag(root / f"e{n:03d}", PUSH, list(messages(PUSH, steps=3, seed=n)))
    write_bag(root / "w", PUSH, list(messages(PUSH, steps=3, skip=range(3))))  # no action at all
    write_bag(root / "x", PUSH, list(messages(PUSH)), outcome=Outcome.INTERRUPTED)
    return root


def test_store_does_not_depend_on_the_number_of_processes(tmp_path):
    bags = _bags(tmp_path / "bags", 6)
    reports = [build_store(bags, tmp_path / f"s{n}", progress=False, workers=n) for n in (1, 2)]
    assert [len(r.added) for r in reports] == [6, 6] and reports[0].content_hash == reports[1].content_hash
    assert [sorted(p.name for p, _ in r.skipped) for r in reports] == [["w", "x"]] * 2
    files = [{p.name: p.read_bytes() for p in (tmp_path / f"s{n}").glob("*.bin")} for n in (1, 2)]
    assert files[0] == files[1] and len(files[0]) == 6


def test_only_new_bags_are_converted(tmp_path, monkeypatch):
    bags = _bags(tmp_path / "bags", 3)
    build_store(bags, tmp_path / "s", progress=False, workers=1)
    write_bag(bags / "e009", PUSH, list(messages(PUSH, steps=3, seed=9)))
    read = []
    convert = build.bag_to_episode
    monkeypatch.setattr(build, "bag_to_episode", lambda path, *rest: read.append(path.name) or convert(path, *rest))
    report = build_store(bags, tmp_path / "s", progress=False, workers=1)
    assert report.added == ["e009"] and report.already == 3 and set(read) == {"e009", "w"}


def _touch(folder, item):
    (folder / str(item)).touch()
    return 2**item


def test_results_come_in_order_and_few_are_ahead(tmp_path):
    given = 0
    for item, result in ordered(partial(_touch, tmp_path), range(40), workers=2):
        assert (item, result) == (given, 2**given)
        time.sleep(0.01)  # a slow taker: the processes wait for it
        assert len(list(tmp_path.iterdir())) - given <= 2 * AHEAD
        given += 1
    assert given == 40
    (_, fault), (_, fine) = ordered(int, ["x", "3"], workers=1)
    assert isinstance(fault, ValueError) and fine == 3


def test_verify_names_the_damaged_episode_and_the_index(tmp_path, capsys):
    store = made_store(tmp_path / "s")
    assert not verify_store(tmp_path / "s", workers=1, progress=False).damaged
    assert main(["dataset", "verify", str(tmp_path / "s"), "--workers", "1"]) == 0
    file = tmp_path / "s/images_wrist.bin"
    data = bytearray(file.read_bytes())
    data[store.infos[3].start * store.row_bytes("images_wrist") + 5] ^= 1
    file.write_bytes(data)
    assert main(["dataset", "verify", str(tmp_path / "s"), "--workers", "1"]) == 1
    told = capsys.readouterr().out
    assert "1 damaged" in told and "made-3: its bytes" in told and "bags/3" in told
    index = tmp_path / "s/index.json"
    index.write_text(index.read_text().replace('"outcome": 2', '"outcome": 1', 1))
    assert "index.json: its labels" in str(verify_store(tmp_path / "s", workers=1, progress=False))


def _sparse_store(path, rows):
    """A store whose files have their full size and no content: reading gives zeros, disk usage is next to nothing."""
    store = EpisodeStore.create(path, SIM)
    length = 99
    infos = [
        EpisodeInfo(f"e{n}", n * 100, length, "t", "expert", Outcome.FAILURE, None, n, "", "", "")
        for n in range(rows // 100)
    ]
    for name in ("images_front", "images_wrist", "actions", "proprio", "stamps", "sources"):
        with (path / f"{name}.bin").open("wb") as file:
            file.truncate(rows * store.row_bytes(name))
    write_index(path, SIM, infos)


def _resident_kb(name):
    """Kilobytes of a mapped file that this process has touched, from /proc/self/smaps; None where it is not mapped."""
    total = None
    with open("/proc/self/smaps") as maps:
        for line in maps:
            if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
                inside = line.rstrip().endswith(name)
            elif inside and line.startswith("Rss:"):
                total = (total or 0) + int(line.split()[1])
    return total


def _bytes_read():
    with open("/proc/self/io") as file:
        return int(re.search(r"rchar: (\d+)", file.read())[1])


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="counts what is read by Linux's /proc")
def test_100_gb_open_by_their_index_alone_and_a_batch_touches_its_own_pages(tmp_path):
    per_row = EpisodeStore.create(tmp_path / "empty", SIM)
    row_bytes = sum(per_row.row_bytes(name) for name in per_row._layout)
    rows = GIGABYTES * 10**9 // row_bytes // 100 * 100
    _sparse_store(tmp_path / "s", rows)
    before = _bytes_read()
    store = EpisodeStore.open(tmp_path / "s")
    assert store.bytes > 0.999e11 and len(store) == rows // 100
    index = (tmp_path / "s/index.json").stat().st_size
    assert _bytes_read() - before < index + 1e5, "opening reads the index and nothing else"
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(store), 64)
    batch = np.stack([store.frames(e, slice(10, 15)) for e in chosen])
    assert batch.shape == (64, 5, 6, 32, 32) and _bytes_read() - before < index + 1e5
    for name in ("images_front", "images_wrist"):
        touched = _resident_kb(str(tmp_path / f"s/{name}.bin"))
        # a window of 5 frames is 15 kB in a mapping that is filled 64 kB around what is touched
        assert 64 * 12 < touched < 64 * 2 * 64 + 1000, f"{name}: {touched} kB"
    assert _resident_kb(str(tmp_path / "s/actions.bin")) is None


def _edit_index(path, **changes):
    """Replace keys of a store's index; a key that becomes None goes."""
    index = json.loads((path / "index.json").read_text()) | changes
    (path / "index.json").write_text(json.dumps({k: v for k, v in index.items() if v is not None}))


def _make_older(path):
    """The store as a version before tasks were hashed wrote it; returns its content hash."""
    store = EpisodeStore.open(path)
    lines = [f"{e.digest} {e.source} {int(e.outcome)} {e.success_index}" for e in store.infos]
    content = hashlib.sha256("\n".join([store.contract.hash, *lines]).encode()).hexdigest()[:16]
    _edit_index(path, format="world4rl-store-1", content_hash=content)
    return content


def test_index_of_an_older_store_has_no_checksum_of_its_own_and_is_read(tmp_path):
    made_store(tmp_path / "s", 2)
    _make_older(tmp_path / "s")
    _edit_index(tmp_path / "s", content_hash=None)
    assert not verify_store(tmp_path / "s", workers=1, progress=False).damaged


@pytest.mark.parametrize("edited", [{"task": "lift the cube"}, {"source": "expert"}, {"success_index": 5}])
def test_every_label_counts_in_the_content_hash(tmp_path, edited):
    """A world model that is told the task learns otherwise from the same episodes under other tasks."""
    before = made_store(tmp_path / "s")
    _edit_index(tmp_path / "s", episodes=[asdict(before.infos[0]) | edited, *map(asdict, before.infos[1:])])
    assert EpisodeStore.open(tmp_path / "s").content_hash != before.content_hash
    assert "index.json: its labels" in str(verify_store(tmp_path / "s", progress=False))


def test_an_older_store_keeps_the_hash_that_its_checkpoints_know_until_it_grows(tmp_path):
    made_store(tmp_path / "s", 2)
    known = _make_older(tmp_path / "s")
    store = EpisodeStore.open(tmp_path / "s")
    assert store.content_hash == known and not verify_store(tmp_path / "s", progress=False).damaged
    text = (tmp_path / "s/index.json").read_text()
    (tmp_path / "s/index.json").write_text(text.replace('"outcome": 2', '"outcome": 1', 1))
    assert "index.json: its labels" in str(verify_store(tmp_path / "s", progress=False))
    (tmp_path / "s/index.json").write_text(text)
    with EpisodeStore.open(tmp_path / "s") as store:
        store.append(made_episode(2, 8, Outcome.UNLABELLED))
        assert store.content_hash != known
    grown = EpisodeStore.open(tmp_path / "s")
    assert grown.content_hash == store.content_hash == made_store(tmp_path / "new", 3).content_hash
    assert json.loads((tmp_path / "s/index.json").read_text())["format"] == FORMAT
    assert not verify_store(tmp_path / "s", progress=False).damaged


def _slow(seconds, item):
    time.sleep(seconds)
    return os.getpid()


_worked_s = 0.0


def _work(seconds, item):
    """Work by a clock that no busy machine holds up; that of another process is nobody's."""
    global _worked_s
    _worked_s += seconds
    return os.getpid()


def test_processes_are_started_only_where_they_pay(monkeypatch):
    monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=lambda: _worked_s))
    monkeypatch.setattr(workers, "TRIAL_S", 0.05)
    monkeypatch.setattr(workers, "WORTH_S", 0.2)
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda _: {0, 1})
    short = [pid for _, pid in ordered(partial(_work, 0.02), range(8), None)]
    assert set(short) == {os.getpid()}, "0.16 s of work"
    long = list(ordered(partial(_work, 0.02), range(40), None))
    assert [item for item, _ in long] == list(range(40))
    pids = [pid for _, pid in long]
    assert pids[0] == os.getpid() and os.getpid() not in pids[20:] and len(set(pids)) > 1


def _die(item):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_said():
    with pytest.raises(WorkerError, match="fewer --workers"):
        list(ordered(_die, range(3), workers=2))


PARENT = """
import sys, time
from functools import partial
from world4rl_data.workers import ordered
from test_store_at_scale import _slow
if __name__ == "__main__":
    for _, pid in ordered(partial(_slow, 0.01), range(10**6), workers=2):
        print(pid, flush=True)
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], env=env, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert os.path.exists(f"/proc/{child}")
    parent.kill()
    parent.wait()
    until = time.monotonic() + 30
    while os.path.exists(f"/proc/{child}") and time.monotonic() < until:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{child}")
    parent.stdout.close()


def test_a_store_that_was_replaced_or_has_grown_is_read_anew(tmp_path):
    made_store(tmp_path / "s", 2)
    assert verify_store(tmp_path / "s", progress=False).episodes == 2
    with EpisodeStore.open(tmp_path / "s") as store:
        store.append(made_episode(7, 5, Outcome.SUCCESS))
    found = verify_store(tmp_path / "s", progress=False)
    assert (found.episodes, found.damaged) == (3, [])
