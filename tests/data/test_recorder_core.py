"""The recorder without ROS: states, slow and full disks, crashes."""

from __future__ import annotations

import json

import pytest
from data_fakes import TYPES, messages
from mcap.stream_reader import StreamReader

from world4rl_data import recorder as recorder_module
from world4rl_data.bag_reader import EpisodeBag
from world4rl_data.bag_writer import BagTopic, BagWriter
from world4rl_data.contract import TaskContract
from world4rl_data.convert import bag_to_episode
from world4rl_data.episode import Outcome
from world4rl_data.episode_record import BagError
from world4rl_data.recorder import EpisodeRecorder, RecorderConfig, RecorderError, subscription_qos

PRESS = TaskContract.load("franka_sim_push")
TOPIC = BagTopic("/text", "std_msgs/msg/String", "string data\n")


def make_recorder(tmp_path, **config) -> EpisodeRecorder:
    return EpisodeRecorder(PRESS, RecorderConfig(tmp_path / "bags", **{"min_free_mb": 0.0, **config}))


def push_episode(recorder: EpisodeRecorder, **options) -> int:
    """Push a pretended episode; returns the stamp of its last message."""
    for topic, stamp, message in messages(PRESS, **options):
        kind = message.__msgtype__
        definition = TYPES.generate_msgdef(kind, ros_version=2)[0]
        recorder.push(BagTopic(topic, kind, definition), stamp, bytes(TYPES.serialize_cdr(message, kind)))
    return stamp


def test_recorded_episode_converts_and_says_when_success_came(tmp_path):
    recorder = make_recorder(tmp_path)
    record = recorder.start("press the button!", 5, operator_id="ann", note="seed=12")
    assert recorder.recording and recorder.uri.name == record.episode_id and not recorder.uri.exists()
    last = push_episode(recorder, steps=6)
    path = recorder.stop(Outcome.SUCCESS, last - 150_000_000, note="clean")
    assert path == tmp_path / "bags" / record.episode_id and path.name.startswith("press_the_button_")
    episode = bag_to_episode(path, PRESS)
    assert (episode.task, episode.seed, episode.success_index, len(episode)) == ("press the button!", 12, 5, 6)
    kept = json.loads((path / "episode.json").read_text())
    assert kept["operator_id"] == "ann" and kept["stop_note"] == "clean" and kept["outcome_name"] == "SUCCESS"
    assert kept["messages"]["/world4rl/executed_action"] == 6
    status = recorder.status()
    assert not status.recording and status.outcome == Outcome.SUCCESS and status.messages == 7 * 4 + 6


def test_stop_note_may_say_when_success_was_seen(tmp_path):
    """Who labels after some frames of rest knows better than the stamp of the call."""
    recorder = make_recorder(tmp_path)
    recorder.start("press", 0)
    last = push_episode(recorder, steps=6)
    path = recorder.stop(Outcome.SUCCESS, last, note=f"success_stamp_ns={last - 350_000_000}")
    assert bag_to_episode(path, PRESS).success_index == 3


@pytest.mark.parametrize("note", ["seed=-7", '{"seed": -7}', "ann, seed: -7"])
def test_seed_is_read_from_the_note(tmp_path, note):
    assert make_recorder(tmp_path).start("press", 0, note=note).seed == -7


def test_requests_out_of_turn_are_refused(tmp_path):
    recorder = make_recorder(tmp_path)
    with pytest.raises(RecorderError, match="start_episode first"):
        recorder.stop(Outcome.SUCCESS, 0)
    recorder.push(TOPIC, 0, b"ignored while idle")
    recorder.start("a", 0)
    with pytest.raises(RecorderError, match="is being recorded"):
        recorder.start("b", 0)
    with EpisodeBag(recorder.stop(Outcome.DISCARDED, 0)) as bag:
        assert bag.record.outcome == Outcome.DISCARDED and bag.topics == {}


def test_full_disk_refuses_start_and_is_told_while_recording(tmp_path, monkeypatch):
    with pytest.raises(RecorderError, match="min_free_mb"):
        make_recorder(tmp_path, min_free_mb=1e12).start("a", 0)
    assert not list((tmp_path / "bags").iterdir())
    monkeypatch.setattr(recorder_module, "_DISK_CHECK_S", 0.0)
    recorder = make_recorder(tmp_path, flush_s=0.01)
    recorder.start("a", 0)
    monkeypatch.setattr(EpisodeRecorder, "_low_space", lambda self: "only 1 MB free")
    deadline = recorder_module.time.monotonic() + 5
    while not recorder.trouble and recorder_module.time.monotonic() < deadline:
        recorder_module.time.sleep(0.01)
    assert recorder.status().message == "only 1 MB free"
    assert recorder.stop(Outcome.INTERRUPTED, 0).is_dir()


def test_slow_disk_drops_and_counts_instead_of_growing(tmp_path, monkeypatch):
    recorder = make_recorder(tmp_path, max_queue_mb=0.001)
    write = BagWriter.write
    gate = recorder_module.threading.Event()
    monkeypatch.setattr(BagWriter, "write", lambda *args: (gate.wait(5), write(*args)))
    recorder.start("a", 0)
    for i in range(20):
        recorder.push(TOPIC, i, bytes(200))
    gate.set()
    path = recorder.stop(Outcome.FAILURE, 20)
    with EpisodeBag(path) as bag:
        kept, lost = bag.topics["/text"][1], bag.record.dropped["/text"]
    assert 5 <= kept <= 7 and kept + lost == 20
    assert "dropped" in recorder.status().message and recorder.status().dropped == lost


def test_write_error_is_told_and_the_recorder_goes_on(tmp_path, monkeypatch):
    recorder = make_recorder(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(BagWriter, "write", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
        recorder.start("a", 0)
        recorder.push(TOPIC, 0, b"x")
        recorder.stop(Outcome.FAILURE, 1)
    assert "No space left" in recorder.status().message
    recorder.start("b", 2)
    recorder.push(TOPIC, 2, b"x")
    with EpisodeBag(recorder.stop(Outcome.SUCCESS, 3)) as bag:
        assert bag.topics["/text"][1] == 1


def test_killed_recorder_leaves_a_partial_that_is_named_and_readable_to_the_last_flush(tmp_path):
    writer = BagWriter(tmp_path / "e", flush_s=0.0)
    writer.add_topic(TOPIC)
    for i in range(3):
        writer.write("/text", i, b"hello")
    assert not (tmp_path / "e").exists()
    with pytest.raises(BagError, match="never closed"):
        EpisodeBag(tmp_path / "e.partial")
    with next((tmp_path / "e.partial").glob("*.mcap")).open("rb") as file:
        records = []
        try:
            for record in StreamReader(file).records:
                records.append(type(record).__name__)
        except Exception:  # the reader tells of the missing end, after everything that is there
            assert records
    assert records.count("Message") == 3


@pytest.mark.parametrize(
    ("publishers", "wanted"),
    [
        ([(True, False)], (True, False)),
        ([(False, False)], (False, False)),
        ([(True, True)], (True, True)),
        ([(True, True), (False, False)], (False, False)),
    ],
)
def test_subscription_asks_only_for_what_all_publishers_offer(publishers, wanted):
    assert subscription_qos(publishers) == wanted
