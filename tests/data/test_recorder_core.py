"""The recorder without ROS: states, slow and full disks, crashes."""

from __future__ import annotations

import json
import shutil
import threading
import time

import mcap.writer
import pytest
from data_fakes import TYPES, messages
from mcap.stream_reader import StreamReader

from world4rl_data import episode_writer
from world4rl_data.bag_reader import EpisodeBag, find_bags
from world4rl_data.bag_writer import BagTopic, BagWriter
from world4rl_data.contract import TaskContract
from world4rl_data.convert import bag_to_episode
from world4rl_data.episode import Outcome
from world4rl_data.episode_record import BagError, EpisodeRecord
from world4rl_data.offered_qos import Offer, subscription_qos
from world4rl_data.recorder import EpisodeRecorder, RecorderConfig, RecorderError, result_of
from world4rl_data.recover import recover_bag
from world4rl_data.tap import Tap

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
    assert (episode.task, episode.seed, episode.success_index, len(episode)) == ("press the button!", 12, 2, 6)
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
    with EpisodeBag(recorder.stop(Outcome.FAILURE, 0)) as bag:
        assert bag.record.outcome == Outcome.FAILURE and bag.topics == {}


def test_discarded_episode_goes_to_the_trash_and_is_found_there_only(tmp_path):
    recorder = make_recorder(tmp_path)
    for _ in range(2):
        recorder.start("a", 0)
        place = recorder.uri
        recorder.push(TOPIC, 1, b"x")
        path = recorder.stop(Outcome.DISCARDED, 2)
        assert path == place.parent / ".trash" / place.name and not place.exists()
        with EpisodeBag(path) as bag:
            assert bag.record.outcome == Outcome.DISCARDED and bag.topics["/text"][1] == 1
    assert find_bags(tmp_path) == [] and len(find_bags(tmp_path / "bags" / ".trash")) == 2


def test_what_a_kill_during_the_closing_leaves_has_its_label_and_all_that_was_written(tmp_path, monkeypatch):
    """On a disk that is slow to take what waits in the queue, and after that to close the file."""
    gates = {name: threading.Event() for name in ("write", "finish")}
    reached = {name: threading.Event() for name in gates}
    write, written = BagWriter.write, []

    def write_slowly(writer, *args):
        if len(written) == 20:
            reached["write"].set()
            assert gates["write"].wait(20)
        write(writer, *args)
        written.append(args)

    def finish_slowly(writer):
        reached["finish"].set()
        assert gates["finish"].wait(20)
        finish(writer)

    finish = mcap.writer.Writer.finish
    monkeypatch.setattr(BagWriter, "write", write_slowly)
    monkeypatch.setattr(mcap.writer.Writer, "finish", finish_slowly)
    recorder = make_recorder(tmp_path, flush_s=0.0)
    record = recorder.start("press", 0)
    last = push_episode(recorder, steps=6)
    assert reached["write"].wait(20)
    closing = recorder.begin_stop(Outcome.SUCCESS, last, "fine")
    gates["write"].set()
    assert reached["finish"].wait(20)
    left = shutil.copytree(recorder.config.bags_dir, tmp_path / "killed")  # what SIGKILL would leave
    assert len(written) == 7 * 4 + 6
    gates["finish"].set()
    report = recover_bag(left / f"{record.episode_id}.partial")
    assert (report.messages, report.lost_messages) == (7 * 4 + 6, 0)
    with EpisodeBag(report.path) as bag:
        assert (bag.record.outcome, bag.record.stop_note, bag.record.stop_ns) == (Outcome.SUCCESS, "fine", last)
    killed, closed = bag_to_episode(report.path, PRESS), bag_to_episode(result_of(closing), PRESS)
    assert killed.success_index == closed.success_index and len(killed) == len(closed)


def test_next_episode_may_start_while_the_last_one_is_being_closed(tmp_path, monkeypatch):
    """A large bag takes the disk a while; a button pressed in that time must not be refused."""
    gate = threading.Event()
    close = BagWriter.close
    monkeypatch.setattr(BagWriter, "close", lambda *args: (gate.wait(5), close(*args))[1])
    recorder = make_recorder(tmp_path)
    recorder.start("a", 0)
    recorder.push(TOPIC, 1, b"first")
    first = recorder.begin_stop(Outcome.SUCCESS, 2)
    recorder.start("b", 3)
    recorder.push(TOPIC, 4, b"second")
    assert not first.done() and recorder.closing == {first: Outcome.SUCCESS}
    gate.set()
    closed = first.result(5)
    assert recorder.closing == {}
    for path, stamp in ((closed, 1), (recorder.stop(Outcome.FAILURE, 5), 4)):
        with EpisodeBag(path) as bag:
            assert [stamp for _, _, stamp, _ in bag.raw_messages()] == [stamp]


def test_losses_are_counted_per_topic_wherever_they_happen(tmp_path):
    recorder = make_recorder(tmp_path)
    recorder.lost("/text", 5)  # before the episode: not its loss
    recorder.start("a", 0)
    recorder.push(TOPIC, 1, b"x")
    recorder.lost("/text", 2)
    recorder.lost("/image", 1)
    assert recorder.status().dropped == 3 and recorder.dropped == {"/text": 2, "/image": 1}
    with EpisodeBag(recorder.stop(Outcome.SUCCESS, 2)) as bag:
        assert bag.record.dropped == {"/text": 2, "/image": 1}
    assert "3 messages dropped" in recorder.status().message


def test_full_disk_refuses_start_and_is_told_while_recording(tmp_path, monkeypatch):
    with pytest.raises(RecorderError, match="min_free_mb"):
        make_recorder(tmp_path, min_free_mb=1e12).start("a", 0)
    assert not list((tmp_path / "bags").iterdir())
    monkeypatch.setattr(episode_writer, "DISK_CHECK_S", 0.0)
    recorder = make_recorder(tmp_path, flush_s=0.01)
    recorder.start("a", 0)
    monkeypatch.setattr(episode_writer, "low_space", lambda *_: "only 1 MB free")
    deadline = time.monotonic() + 5
    while not recorder.trouble and time.monotonic() < deadline:
        time.sleep(0.01)
    assert recorder.status().message == "only 1 MB free"
    assert recorder.stop(Outcome.INTERRUPTED, 0).is_dir()


def test_slow_disk_drops_and_counts_instead_of_growing(tmp_path, monkeypatch):
    recorder = make_recorder(tmp_path, max_queue_mb=0.001)
    write = BagWriter.write
    gate = threading.Event()
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
    """Such a bag must not be closed as a whole one: mcap's writer counts and indexes what it could not write."""
    recorder = make_recorder(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(BagWriter, "write", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
        recorder.start("a", 0)
        recorder.push(TOPIC, 0, b"x")
        with pytest.raises(RecorderError, match=r"No space left.*world4rl dataset recover"):
            recorder.stop(Outcome.SUCCESS, 1)
    assert "No space left" in recorder.status().message and recorder.status().dropped == 1
    recorder.start("b", 2)
    recorder.push(TOPIC, 2, b"x")
    with EpisodeBag(recorder.stop(Outcome.SUCCESS, 3)) as bag:
        assert bag.topics["/text"][1] == 1


@pytest.mark.parametrize("flush_s", [0.0, 10.0])
def test_messages_that_could_not_be_written_are_counted_to_the_last_one(tmp_path, monkeypatch, flush_s):
    """Also those that waited in the queue when the end was asked for, and after there is room again."""
    recorder = make_recorder(tmp_path, flush_s=flush_s)
    gate = threading.Event()
    write = BagWriter.write

    def limited(bag, topic, log_ns, data, publish_ns=0):
        gate.wait(5)
        if 40 <= log_ns < 45:
            raise OSError("No space left on device")
        write(bag, topic, log_ns, data, publish_ns)

    monkeypatch.setattr(BagWriter, "write", limited)
    recorder.start("a", 0)
    partial = recorder.uri.with_name(recorder.uri.name + ".partial")
    for i in range(100):
        recorder.push(TOPIC, i, bytes(200))
    closed = recorder.begin_stop(Outcome.SUCCESS, 100)
    gate.set()
    with pytest.raises(RecorderError, match="could not close"):
        result_of(closed)
    assert recorder.dropped == {"/text": 60} and recorder.status().dropped == 60
    saved = recover_bag(partial)
    assert saved.messages + saved.lost_messages == 40
    with EpisodeBag(saved.path) as bag:
        assert bag.record.dropped == {"/text": 60} and bag.record.outcome == Outcome.INTERRUPTED
        assert sum(count for _, count in bag.topics.values()) == saved.messages


def test_what_was_lost_before_the_recorder_was_killed_stays_known(tmp_path):
    recorder = make_recorder(tmp_path, flush_s=0.01)
    recorder.start("a", 0)
    recorder.lost("/image", 3)
    partial = recorder.uri.with_name(recorder.uri.name + ".partial")
    deadline = time.monotonic() + 5
    while not EpisodeRecord.load(partial).dropped and time.monotonic() < deadline:
        time.sleep(0.01)
    assert EpisodeRecord.load(partial).dropped == {"/image": 3}
    recorder.stop(Outcome.INTERRUPTED, 1)


def test_killed_recorder_leaves_a_partial_that_is_named_and_readable_to_the_last_flush(tmp_path):
    writer = BagWriter(tmp_path / "e", flush_s=0.0)
    writer.add_topic(TOPIC)
    for i in range(3):
        writer.write("/text", i, b"hello")
        writer.flush_if_due()
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


R, L = True, True  # reliable, latched


@pytest.mark.parametrize(
    ("offers", "wanted", "note"),
    [
        ([], (False, False), ""),
        ([Offer("a", R, False)], (True, False), ""),
        ([Offer("a", False, False)], (False, False), ""),
        ([Offer("a", R, L), Offer("b", R, L)], (True, True), ""),
        ([Offer("a", R, L), Offer("/x/b", R, False)], (True, False), "by /x/b"),
        ([Offer("a", R, False), Offer("/x/b", False, False)], (False, False), "best effort, because /x/b"),
    ],
)
def test_subscription_asks_only_for_what_all_publishers_offer_and_says_who_limits_it(offers, wanted, note):
    request = subscription_qos(offers)
    assert note in request.note and bool(note) == bool(request.note)
    if offers:
        assert request[:2] == wanted


def test_tap_counts_what_a_publisher_sent_in_vain():
    """A best-effort image that the network lost never reaches the queue, yet the episode lacks it."""
    tap = Tap("/text", topic=TOPIC)

    def saw(publisher: bytes, number: int) -> int:
        return tap.saw(number, b"", {"publisher_gid": {"data": publisher}, "publication_sequence_number": number}, 0.0)

    assert [saw(b"a", 7), saw(b"a", 8), saw(b"b", 1), saw(b"a", 12), saw(b"b", 2)] == [0, 0, 0, 3, 0]
    tap.forget_numbers()
    assert saw(b"a", 40) == 0
    assert tap.saw(1, b"", {}, 0.0) == 0  # Humble says neither publisher nor number
    for publishers, lost in ((1, 5), (2, 0)):  # an rclpy that numbers messages and does not say whose they are
        tap = Tap("/text", topic=TOPIC, publishers=publishers)
        numbers = (3, 4, 10)
        assert sum(tap.saw(n, b"", {"publication_sequence_number": n}, 0.0) for n in numbers) == lost


def test_tap_keeps_the_newest_message_of_every_latched_publisher():
    tap = Tap("/static", topic=BagTopic("/static", "std_msgs/msg/String", "", transient_local=True))
    for publisher, data in ((b"a", b"1"), (b"b", b"2"), (b"a", b"3")):
        tap.saw(len(tap.latest), data, {"publisher_gid": {"data": publisher}}, 0.0)
    assert sorted(data for _, data in tap.latest.values()) == [b"2", b"3"]
    tap.latest.clear()
    for number, data in enumerate((b"1", b"2", b"1")):  # publishers unknown: different messages
        tap.saw(number, data, {}, 0.0)
    assert list(tap.latest.values()) == [(1, b"2"), (2, b"1")]
