"""Bags cut anywhere come back with every complete chunk; nothing is deleted, nothing raises but a clear error."""

from __future__ import annotations

import contextlib
import json
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from data_fakes import TYPES, messages, write_bag
from mcap.exceptions import EndOfFile
from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader
from rosbags.highlevel import AnyReader

from world4rl.cli import main
from world4rl_data.bag_reader import EpisodeBag, find_bags
from world4rl_data.bag_writer import BagTopic, BagWriter
from world4rl_data.contract import TaskContract
from world4rl_data.convert import bag_to_episode
from world4rl_data.episode import Outcome
from world4rl_data.episode_record import BagError, EpisodeRecord
from world4rl_data.recover import find_damaged, recover_bag
from world4rl_data.validate import judge_bag

PRESS = TaskContract.load("franka_sim_push")
TOPIC = BagTopic("/text", "std_msgs/msg/String", "string data\n")


def made_record(name: str = "e") -> EpisodeRecord:
    return EpisodeRecord(name, "press", PRESS.hash, PRESS.to_dict(), start_ns=1)


def killed_bag(path: Path, steps: int = 8) -> list[tuple[str, int, bytes]]:
    """A bag that a recorder was writing when it was killed, flushed after every message; returns what it wrote."""
    writer = BagWriter(path, flush_s=0.0, record=made_record(path.name))
    written = []
    for topic, stamp, message in messages(PRESS, steps=steps):
        kind = message.__msgtype__
        writer.add_topic(
            BagTopic(topic, kind, TYPES.generate_msgdef(kind, ros_version=2)[0], type_hash=TYPES.hash_rihs01(kind))
        )
        written.append((topic, stamp, bytes(TYPES.serialize_cdr(message, kind))))
        writer.write(*written[-1])
        writer.flush_if_due()
    writer._file.close()  # what SIGKILL does to an open file: nothing more is written, the lock is free
    return written


def content(path: Path) -> list[tuple[str, int, bytes]]:
    with EpisodeBag(path) as bag:
        return [(topic, log_ns, data) for topic, _, log_ns, data in bag.raw_messages()]


def test_killed_recorders_bag_becomes_a_closed_one_for_all_readers(tmp_path):
    written = killed_bag(tmp_path / "e")
    report = recover_bag(tmp_path / "e.partial")
    assert report.path == tmp_path / "e" and report.messages == len(written) and report.lost_messages == 0
    assert report.seconds == pytest.approx(0.8)
    assert sorted(content(tmp_path / "e")) == sorted(written)
    episode = bag_to_episode(tmp_path / "e", PRESS)
    assert len(episode) == 8 and episode.outcome == Outcome.INTERRUPTED
    with EpisodeBag(tmp_path / "e") as bag:
        assert bag.record.contract_hash == PRESS.hash and "saved" in bag.record.recovered
    with AnyReader([tmp_path / "e"]) as reader:
        assert reader.message_count == len(written)
    text = (tmp_path / "e" / "metadata.yaml").read_text()
    assert "type_description_hash: RIHS01_" in text and "reliability: 1" in text
    assert [p.name for p in (tmp_path / ".trash").iterdir()] == ["e.partial"]  # the original is kept
    assert not (tmp_path / ".recovering").exists() and find_damaged(tmp_path) == []


def test_every_complete_chunk_comes_back_wherever_the_file_is_cut(tmp_path):
    """Property: for cuts at every chunk's edges and at random places, recovery gives exactly the complete chunks."""
    source = write_bag(tmp_path / "source", PRESS, list(messages(PRESS, steps=3)))
    partial = tmp_path / "p"
    killed_bag(partial, steps=3)
    rng = np.random.default_rng(3)
    for folder in (tmp_path / "p.partial", source):
        data = next(folder.glob("*.mcap")).read_bytes()
        ends = chunk_ends(data)
        edges = {end + shift for end, _ in ends for shift in (-1, 0, 1)} if len(ends) < 40 else set()
        cuts = sorted(edges | {0, 1, 8, 9, len(data) - 1} | set(map(int, rng.integers(0, len(data), 30))))
        for cut in cuts:
            check_cut(tmp_path / "work", folder, data, cut, [count for end, count in ends if end <= cut])


def chunk_ends(data: bytes) -> list[tuple[int, int]]:
    """(offset of its end, messages in it) of every chunk of a whole or unfinished file, counted by hand."""
    offset, ends = 8, []
    while offset + 9 <= len(data):
        opcode, length = data[offset], int.from_bytes(data[offset + 1 : offset + 9], "little")
        record = data[offset : offset + 9 + length]
        offset += 9 + length
        if opcode == 6:  # chunk
            count = 0
            with contextlib.suppress(EndOfFile):  # a file made of one chunk has no end
                for one in StreamReader(BytesIO(record), skip_magic=True).records:
                    count += isinstance(one, Message)
            ends.append((offset, count))
    return ends


def check_cut(work: Path, folder: Path, data: bytes, cut: int, whole_chunks: list[int]) -> None:
    shutil.rmtree(work, ignore_errors=True)
    bag = work / folder.name
    shutil.copytree(folder, bag)
    next(bag.glob("*.mcap")).write_bytes(data[:cut])
    try:
        report = recover_bag(bag)
    except BagError as error:
        pytest.fail(f"cut at {cut} of {len(data)}: {error}")  # episode.json is there: always recoverable
    assert report.messages == sum(whole_chunks), f"cut at {cut} of {len(data)}"
    with EpisodeBag(report.path) as recovered:
        assert sum(n for _, n in recovered.topics.values()) == report.messages
    promised = sum(json.loads((folder / "episode.json").read_text())["messages"].values())
    assert report.lost_messages == promised - report.messages
    assert next((work / ".trash").glob("*/*.mcap")).read_bytes() == data[:cut]


def test_damage_in_the_middle_costs_only_its_chunk(tmp_path):
    written = killed_bag(tmp_path / "e")
    file = next((tmp_path / "e.partial").glob("*.mcap"))
    data = bytearray(file.read_bytes())
    ends = [end for end, _ in chunk_ends(bytes(data))]
    index = len(ends) // 2
    inside = (ends[index - 1] + ends[index]) // 2 + 100
    data[inside : inside + 20] = bytes(20)
    file.write_bytes(bytes(data))
    report = recover_bag(tmp_path / "e.partial")
    assert report.messages == len(written) - 1 and report.lost_messages == 1 and report.fault


def test_an_episode_that_lost_actions_in_the_middle_is_not_learned_from(tmp_path):
    """The steps without them would look like holds; what is lost behind the end is not missed."""
    path = write_bag(tmp_path / "bags" / "e", PRESS, list(messages(PRESS, steps=150)), outcome=Outcome.SUCCESS)
    file = next(path.glob("*.mcap"))
    data = bytearray(file.read_bytes())
    ends = [end for end, _ in chunk_ends(bytes(data))]
    assert len(ends) > 2
    inside = (ends[0] + ends[1]) // 2
    data[inside : inside + 20] = bytes(20)
    file.write_bytes(bytes(data))
    recover_bag(path)
    assert EpisodeRecord.load(path).dropped[PRESS.executed_action_topic] > 0
    assert "executed actions were lost" in str(judge_bag(path).findings) and not judge_bag(path).fit


def test_cut_closed_bag_keeps_its_outcome_and_says_what_is_gone(tmp_path):
    path = write_bag(tmp_path / "e", PRESS, list(messages(PRESS, steps=150)), outcome=Outcome.SUCCESS)
    whole = content(path)
    file = next(path.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * 0.6)])
    assert find_damaged(tmp_path) == [path]
    report = recover_bag(path)
    assert 0 < report.messages < len(whole) and report.messages + report.lost_messages == len(whole)
    assert content(path) == whole[: report.messages]
    assert judge_bag(path).outcome == "SUCCESS"


def test_recorded_now_is_refused_and_untouched(tmp_path):
    writer = BagWriter(tmp_path / "e", record=made_record())
    with pytest.raises(BagError, match="is being recorded now"):
        recover_bag(tmp_path / "e.partial")
    assert main(["dataset", "recover", str(tmp_path)]) == 1
    writer.close(made_record())
    assert find_bags(tmp_path) == [tmp_path / "e"]


def test_without_episode_json_the_bag_itself_or_the_caller_says_what_it_is(tmp_path):
    killed_bag(tmp_path / "e")
    (tmp_path / "e.partial" / "episode.json").unlink()
    recover_bag(tmp_path / "e.partial")
    with EpisodeBag(tmp_path / "e") as bag:
        assert (bag.record.task, bag.record.outcome) == ("press", Outcome.INTERRUPTED)
    killed_bag(tmp_path / "f")
    file = next((tmp_path / "f.partial").glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:20])
    (tmp_path / "f.partial" / "episode.json").write_text("{")
    with pytest.raises(BagError, match="--contract"):
        recover_bag(tmp_path / "f.partial")
    assert recover_bag(tmp_path / "f.partial", PRESS).messages == 0


def test_recovery_cut_off_half_way_can_be_begun_again(tmp_path):
    written = killed_bag(tmp_path / "e")
    left = BagWriter(tmp_path / ".recovering" / "e")
    left._file.close()
    assert recover_bag(tmp_path / "e.partial").messages == len(written)
    killed_bag(tmp_path / "f")
    shutil.copytree(tmp_path / "f.partial", tmp_path / "kept.partial")
    recover_bag(tmp_path / "f.partial")
    (tmp_path / "kept.partial").rename(tmp_path / "f.partial")  # killed before the original was moved
    assert recover_bag(tmp_path / "f.partial").path == tmp_path / "f"
    assert find_damaged(tmp_path) == []


def test_command_recovers_a_folder_and_leaves_sound_bags_alone(tmp_path, capsys):
    sound = write_bag(tmp_path / "sound", PRESS, list(messages(PRESS)))
    before = {p: p.read_bytes() for p in sound.iterdir()}
    killed_bag(tmp_path / "e")
    assert main(["dataset", "validate", str(tmp_path)]) == 1
    assert "dataset recover" in capsys.readouterr().out
    assert main(["dataset", "recover", str(tmp_path)]) == 0
    assert "saved 44 messages (0.80 s), lost 0" in "".join(capsys.readouterr())
    assert {p: p.read_bytes() for p in sound.iterdir()} == before
    assert main(["dataset", "validate", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["checked"] == 2 and told["fit"] == 1
    unfit = next(e for e in told["episodes"] if not e["fit"])
    assert unfit["outcome"] == "INTERRUPTED" and any("recovered" in f["text"] for f in unfit["findings"])


def test_recovered_file_is_indexed(tmp_path):
    killed_bag(tmp_path / "e")
    report = recover_bag(tmp_path / "e.partial")
    with next(report.path.glob("*.mcap")).open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary.statistics.message_count == report.messages and summary.chunk_indexes
