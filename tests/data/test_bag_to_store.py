"""Bags become episodes by the contract, exactly as the live path sees them, and unfit bags are refused by name."""

from __future__ import annotations

import dataclasses
import json
import re

import cv2
import numpy as np
import pytest
from data_fakes import PERIOD, START, TYPES, header, make, messages, write_bag
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader

from world4rl_data.bag_reader import EpisodeBag, find_bags
from world4rl_data.bag_writer import BagTopic, BagWriter
from world4rl_data.build import build_store
from world4rl_data.contract import ContractMismatch, TaskContract
from world4rl_data.convert import ConvertConfig, bag_to_episode
from world4rl_data.episode import EpisodeError, Outcome
from world4rl_data.episode_record import BagError, EpisodeRecord
from world4rl_data.info import describe, format_description
from world4rl_data.observation import Missing, ObservationAssembler, message_stamp
from world4rl_data.store import EpisodeStore
from world4rl_data.validate import judge_bag, validate_bag

PRESS = TaskContract.load("franka_sim_push")
LIFT = TaskContract.load("franka_sim_lift")


def test_bag_path_and_live_path_give_identical_tensors(tmp_path):
    stream = list(messages(PRESS, steps=6))
    episode = bag_to_episode(write_bag(tmp_path / "e", PRESS, stream, note="seed=7"), PRESS)
    live = ObservationAssembler(PRESS)
    seen = []
    for topic, stamp, message in stream:
        if topic == PRESS.executed_action_topic:
            seen.append(live.at(stamp))  # what a node knows when it decides
        else:
            live.push(topic, message_stamp(message, stamp + 1), message)
    seen.append(live.at(seen[-1].stamp_ns + PERIOD))
    assert len(seen) == len(episode) + 1 == 7
    for t, observation in enumerate(seen):
        np.testing.assert_array_equal(observation.proprio, episode.proprio[t])
        assert observation.stamp_ns == episode.stamps[t]
        for name in episode.images:
            np.testing.assert_array_equal(observation.images[name], episode.images[name][t])
    assert episode.proprio.dtype == seen[0].proprio.dtype and seen[0].frame.shape == (6, 32, 32)
    assert (episode.seed, episode.source, episode.success_index) == (7, "expert", 6)


def test_bag_decodes_without_our_reader(tmp_path):
    """Any ROS-free tool reads the bag: definitions are inside, metadata is rosbag2's version 8, chunks are zstd."""
    path = write_bag(tmp_path / "e", PRESS, list(messages(PRESS, steps=3)))
    with AnyReader([path]) as reader:
        actions = [c for c in reader.connections if c.topic == PRESS.executed_action_topic]
        values = [reader.deserialize(raw, c.msgtype).values for c, _, raw in reader.messages(actions)]
        assert len(values) == 3 and all(v.shape == (3,) for v in values)
    text = (path / "metadata.yaml").read_text()
    assert "version: 8" in text and "storage_identifier: mcap" in text
    with next(path.glob("*.mcap")).open("rb") as file:
        chunks = make_reader(file).get_summary().chunk_indexes
        assert chunks and all(c.compression == "zstd" for c in chunks)
    assert json.loads((path / "episode.json").read_text())["contract_hash"] == PRESS.hash


def test_observation_is_newest_at_or_before_the_stamp_and_not_too_old():
    live = ObservationAssembler(PRESS)
    early = list(messages(PRESS, steps=2))
    for topic, stamp, message in early:
        if topic != PRESS.executed_action_topic:
            live.push(topic, stamp, message)
    for at, frame in [(START, START), (START + PERIOD - 1, START), (START + PERIOD, START + PERIOD)]:
        assert live.at(at).image_stamp_ns == frame
    late = live.at(START + 2 * PERIOD + 250_000_001)
    assert isinstance(late, Missing) and set(late.reasons) == {"front", "wrist", "position", "finger"}
    assert "time-out 0.25 s" in str(late)
    assert "no message" in live.at(START - 1).reasons["front"]


def test_late_message_is_sorted_in_and_clock_reset_forgets():
    live = ObservationAssembler(dataclasses.replace(PRESS, proprioception=(), images=PRESS.images[:1]))
    topic = PRESS.images[0].topic
    image = next(m for t, _, m in messages(PRESS, steps=1) if t == topic)
    for stamp in (START, START + 2 * PERIOD, START + PERIOD):
        live.push(topic, stamp, image)
    assert live.at(START + PERIOD).image_stamp_ns == START + PERIOD
    live.push(topic, 5, image)
    assert isinstance(live.at(START + PERIOD), Missing) and live.at(5).image_stamp_ns == 5


def test_bad_pixels_and_values_are_reasons_not_crashes():
    live = ObservationAssembler(PRESS)
    for topic, stamp, message in messages(PRESS, steps=1):
        if topic == "/camera/camera/color/image_raw":
            message = dataclasses.replace(message, encoding="yuv422_unknown")
        if topic == "/franka_gripper/joint_states":
            message = dataclasses.replace(message, position=np.array([]))
        if topic == "/franka_robot_state_broadcaster/current_pose":
            message.pose.position.x = float("nan")
        if topic != PRESS.executed_action_topic:
            live.push(topic, stamp, message)
    missing = live.at(START)
    assert set(missing.reasons) == {"front", "finger", "position"}
    assert "cv_bridge" in missing.reasons["front"] and "position[0]" in missing.reasons["finger"]
    assert "not finite" in missing.reasons["position"]


def test_holds_become_zero_actions_with_the_hand_kept(tmp_path):
    values = np.array([0.5, 0.5, 0.5, 1.0], np.float32)
    stream = list(messages(LIFT, steps=6, skip=(2, 3), values=values))
    episode = bag_to_episode(write_bag(tmp_path / "e", LIFT, stream))
    np.testing.assert_array_equal(episode.actions[[2, 3]], np.tile([0, 0, 0, 1], (2, 1)))
    np.testing.assert_array_equal(episode.actions[[0, 1, 4, 5]], np.tile(values, (4, 1)))
    assert (np.diff(episode.stamps) == PERIOD).all()
    assert episode.action_sources.tolist() == [2] * 6, "a hold is of whoever the arm waits for"

    jitter = {START + PERIOD: 20_000_000, START + 4 * PERIOD: -20_000_000}  # 2.6 periods from one to the other
    late = [_acting_later(m, jitter.get(m[1] - 20_000_000, 0)) for m in stream]
    episode = bag_to_episode(write_bag(tmp_path / "late", LIFT, late))
    np.testing.assert_array_equal(episode.actions[[2, 3]], np.tile([0, 0, 0, 1], (2, 1)))
    assert len(episode) == 6 and np.abs(np.diff(episode.stamps) - PERIOD).max() <= 20_000_000


def _acting_later(message, late_ns):
    topic, stamp, said = message
    if topic == LIFT.executed_action_topic:
        stamp += late_ns
        said = dataclasses.replace(said, header=header(stamp))
    return topic, stamp, said


def test_an_episode_without_an_action_of_a_policy_is_of_no_policy(tmp_path):
    """A person who took over before the policy did anything: its name came with the actions of theirs."""
    action, policy = PRESS.executed_action_topic, {"policy_id": "bc"}
    stream = [(t, s, dataclasses.replace(m, **policy) if t == action else m) for t, s, m in messages(PRESS, source=1)]
    assert bag_to_episode(write_bag(tmp_path / "person", PRESS, stream)).policy_id == ""
    stream = list(messages(PRESS, source=3))
    assert bag_to_episode(write_bag(tmp_path / "policy", PRESS, stream)).policy_id == "bc"


def test_last_action_without_a_new_frame_is_dropped(tmp_path):
    """Recording stopped right after the last action: its effect was never seen, so nothing may be learned from it."""
    stream = [m for m in messages(PRESS, steps=4) if m[1] < START + 4 * PERIOD]
    episode = bag_to_episode(write_bag(tmp_path / "e", PRESS, stream))
    assert len(episode) == 3 and episode.success_index == 3


@pytest.mark.parametrize(
    ("seen", "stopped", "held", "index"),
    [
        (None, 9, 0, 6),
        (3, 9, 3, 3),  # dated
        (9, 10, 3, 6),
        (6, 6, 0, 6),  # only the stop tells
        (6, 6, 3, 3),
        (8, 8, 3, 5),  # stopped a while after the last action: what was before that may not have been solved yet
        (9, 9, 2, 6),
        (6, 6, 50, 0),
    ],
)
def test_success_index(tmp_path, seen, stopped, held, index):
    """In control periods: a person stops when the success has been there for a while, a program says when it came."""
    stop_ns, seen_ns = START + stopped * PERIOD, None if seen is None else START + seen * PERIOD
    watched = list(messages(PRESS, steps=stopped, skip=range(6, stopped)))  # six actions, and pictures up to the stop
    path = write_bag(tmp_path / "e", PRESS, watched, stop_ns=stop_ns, success_stamp_ns=seen_ns)
    config = ConvertConfig(success_hold_s=held * PERIOD / 1e9)
    assert bag_to_episode(path, config=config).success_index == index


def test_wrong_contract_names_the_field(tmp_path):
    path = write_bag(tmp_path / "e", PRESS, list(messages(PRESS)))
    data = PRESS.to_dict()
    data["actions"][0]["scale"] = 0.05
    with pytest.raises(ContractMismatch, match=r"actions\.dx\.scale: 0\.05 here, 0\.03 there"):
        bag_to_episode(path, TaskContract.from_dict(data))


def test_bags_are_read_anew_under_another_cut_where_it_is_asked_for(tmp_path):
    """Whoever records today may choose the networks' picture, the cameras and the limits tomorrow."""
    path = write_bag(tmp_path / "bags" / "e", PRESS, list(messages(PRESS, steps=6)))
    cut = dataclasses.replace(PRESS.images[0], crop=(4, 4, 20, 20), height=16, width=16)
    box = dataclasses.replace(PRESS.workspace, max_speed_m_s=0.01)
    other = dataclasses.replace(PRESS, name="small", images=(cut,), workspace=box, max_episode_s=9.0)
    own, read = bag_to_episode(path), bag_to_episode(path, other)
    assert set(read.images) == {"front"} and read.images["front"].shape[1:] == (16, 16, 3)
    np.testing.assert_array_equal(read.actions, own.actions)
    assert read.contract_hash == other.hash != own.contract_hash

    report = build_store(tmp_path / "bags", tmp_path / "store", other, progress=False)
    assert len(report.added) == 1 and EpisodeStore.open(tmp_path / "store").contract == other
    second = write_bag(tmp_path / "bags" / "f", PRESS, list(messages(PRESS, steps=6)))
    report = build_store(tmp_path / "bags", tmp_path / "store", progress=False)
    assert not report.added and report.skipped[0][0] == second
    assert re.search(r"images\.front\.height: 16 here, 32 there.*Give --contract", report.skipped[0][1])
    assert len(build_store(tmp_path / "bags", tmp_path / "store", other, progress=False).added) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"control_rate_hz": 20.0}, "control_rate_hz"),
        ({"robot": "other"}, "robot"),
        ({"images": (dataclasses.replace(PRESS.images[0], topic="/elsewhere"), PRESS.images[1])}, "images.front.topic"),
        ({"images": (dataclasses.replace(PRESS.images[0], name="top"), PRESS.images[1])}, "images.top.topic"),
        ({"executed_action_topic": "/elsewhere"}, "executed_action_topic"),
    ],
)
def test_what_a_message_means_cannot_be_read_otherwise(tmp_path, change, field):
    path = write_bag(tmp_path / "e", PRESS, list(messages(PRESS)))
    with pytest.raises(ContractMismatch, match=re.escape(field)):
        bag_to_episode(path, dataclasses.replace(PRESS, **change))


def _without_wrist(stream):
    return [m for m in stream if m[0] != PRESS.images[1].topic]


def _compress_wrist(stream, empty_at=None):
    for topic, stamp, message in stream:
        if topic == PRESS.images[1].topic:
            picture = cv2.imencode(".png", message.data.reshape(64, 64, 3))[1].ravel()
            kept = picture[:0] if stamp == empty_at else picture
            message = make("sensor_msgs/msg/CompressedImage", message.header, "png", kept)
        yield topic, stamp, message


def _hole(stream):
    return [m for m in stream if not (m[0] == PRESS.images[0].topic and START < m[1] <= START + 4 * PERIOD)]


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (_without_wrist(messages(PRESS)), "no messages on /wrist_camera"),
        (_compress_wrist(messages(PRESS)), "another type: /wrist_camera.* is sensor_msgs/msg/CompressedImage"),
        ([m for m in messages(PRESS) if "action" not in m[0]], "no messages on /world4rl/executed_action"),
        (messages(PRESS, values=np.array([0, np.nan, 0], np.float32)), "not finite in 'dy'"),
        (messages(PRESS, values=np.zeros(4, np.float32)), "4 values"),
        (messages(PRESS, source=0), r"Action\.source"),
        (_hole(messages(PRESS, steps=8)), "incomplete, first at step 3: front"),
        (messages(PRESS, steps=80, skip=range(2, 79)), "record without such a pause"),
    ],
)
def test_unfit_bag_is_refused_by_name_and_validate_agrees(tmp_path, stream, message):
    path = write_bag(tmp_path / "e", PRESS, list(stream))
    with pytest.raises(EpisodeError, match=message):
        bag_to_episode(path, PRESS)
    first = validate_bag(path, PRESS)[0]
    assert first.level == "error" and re.search(message, first.text)


def test_validate_is_silent_about_a_good_bag_and_warns_of_a_doubtful_one(tmp_path):
    assert validate_bag(write_bag(tmp_path / "good", PRESS, list(messages(PRESS))), PRESS) == []
    doubtful = write_bag(
        tmp_path / "doubtful", PRESS, list(messages(PRESS)), outcome=Outcome.UNLABELLED, dropped={"/x": 3}
    )
    assert [f.level for f in validate_bag(doubtful)] == ["warning", "warning"]


def _stamp_back(stream):
    """The second half's poses bear stamps of a clock that is 1 s behind: build keeps the first half only."""
    topic = PRESS.proprioception[0].topic
    for at, stamp, message in stream:
        if at == topic and stamp > START + 4 * PERIOD:
            message = dataclasses.replace(message, header=header(stamp - 10 * PERIOD))
        yield at, stamp, message


def _ends_early(stream):
    return [m for m in stream if not (m[0] == PRESS.images[1].topic and m[1] > START + 2 * PERIOD)]


@pytest.mark.parametrize(
    ("stream", "fit", "said"),
    [
        (messages(PRESS, steps=8), True, ""),
        (_stamp_back(messages(PRESS, steps=8)), True, "1 stamps earlier than the one before.* by 0.900 s"),
        (_ends_early(messages(PRESS, steps=8)), True, "wrist_camera.* was silent for 0.60 s at the end"),
        (_hole(messages(PRESS, steps=8)), False, "/camera/camera.* was silent for 0.50 s 0.00 s in .*1 such gap"),
    ],
)
def test_validate_names_gaps_and_clocks_that_run_back(tmp_path, stream, fit, said):
    verdict = judge_bag(write_bag(tmp_path / "e", PRESS, list(stream)))
    assert verdict.fit == fit, verdict.findings
    text = "\n".join(f.text for f in verdict.findings)
    assert re.search(said, text) if said else not text


@pytest.mark.parametrize(
    ("fields", "fit", "faulty"),
    [
        ({}, True, False),
        ({"outcome": Outcome.FAILURE, "dropped": {"/x": 3}}, True, False),
        ({"outcome": Outcome.INTERRUPTED}, False, False),
        ({"outcome": Outcome.DISCARDED}, False, False),
    ],
)
def test_validate_says_what_build_takes(tmp_path, fields, fit, faulty):
    write_bag(tmp_path / "bags" / "good", PRESS, list(messages(PRESS)))
    path = write_bag(tmp_path / "bags" / "e", PRESS, list(messages(PRESS, seed=1)), **fields)
    verdict = judge_bag(path)
    assert (verdict.fit, verdict.faulty) == (fit, faulty)
    assert ("e" in build_store(tmp_path / "bags", tmp_path / "store", progress=False).added) == fit


def test_validate_counts_what_left_the_bag_after_it_was_closed(tmp_path):
    path = write_bag(tmp_path / "e", PRESS, list(messages(PRESS)))
    record = json.loads((path / "episode.json").read_text())
    record["messages"][PRESS.executed_action_topic] += 4
    (path / "episode.json").write_text(json.dumps(record))
    assert judge_bag(path).faulty and "are not there" in str(judge_bag(path).findings)


def test_what_is_not_as_it_was_recorded_is_fit_for_neither(tmp_path):
    """Where actions were lost the arm moved, and the store would say that it held; the rest was copied badly."""
    for name, changed in (
        ("lost", {"dropped": {PRESS.executed_action_topic: 1}}),
        ("short", {"messages": {PRESS.executed_action_topic: 9}}),
        ("contract", {"contract_hash": "0" * 16}),
    ):
        path = write_bag(tmp_path / name / "e", PRESS, list(messages(PRESS, skip=(3,))))
        record = json.loads((path / "episode.json").read_text())
        (path / "episode.json").write_text(json.dumps(record | changed))
        write_bag(tmp_path / name / "sound", PRESS, list(messages(PRESS, seed=1)), dropped={"/camera/extra": 3})
        assert judge_bag(path).faulty and not judge_bag(path).fit
        assert build_store(tmp_path / name, tmp_path / f"store-{name}", progress=False).added == ["sound"]
    assert "1 executed actions were lost" in str(judge_bag(tmp_path / "lost" / "e").findings)


def test_a_message_that_does_not_fit_its_definition_costs_its_bag_alone(tmp_path):
    """As of a publisher that was built with another version of the message."""
    for name in ("a", "c"):
        write_bag(tmp_path / "bags" / name, PRESS, list(messages(PRESS, seed=ord(name))))
    writer = BagWriter(tmp_path / "bags" / "b")
    for topic, stamp, message in messages(PRESS):
        kind = message.__msgtype__
        data = bytes(TYPES.serialize_cdr(message, kind))
        writer.add_topic(BagTopic(topic, kind, TYPES.generate_msgdef(kind, ros_version=2)[0]))
        writer.write(topic, stamp, data[:20] if topic == PRESS.executed_action_topic else data)
    record = EpisodeRecord("b", "press", PRESS.hash, PRESS.to_dict(), outcome=Outcome.SUCCESS)
    path = writer.close(record)
    report = build_store(tmp_path / "bags", tmp_path / "store", progress=False)
    assert report.added == ["a", "c"]
    said = f"a message on {PRESS.executed_action_topic} does not fit its definition"
    assert said in str(report.skipped) and said in str(judge_bag(path).findings)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_truncated_bag_says_so(tmp_path, keep):
    path = write_bag(tmp_path / "e", PRESS, list(messages(PRESS, steps=30)))
    file = next(path.glob("*.mcap"))
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(BagError, match="truncated or damaged"):
        EpisodeBag(path)
    assert "truncated" in validate_bag(path)[0].text


def test_damaged_chunk_is_noticed_while_reading(tmp_path):
    path = write_bag(tmp_path / "e", PRESS, list(messages(PRESS, steps=30)))
    file = next(path.glob("*.mcap"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    file.write_bytes(bytes(data))
    with pytest.raises(BagError, match="cannot be read to its end"):
        bag_to_episode(path)


def test_build_takes_the_fit_reports_the_rest_and_adds_only_news(tmp_path):
    bags = tmp_path / "bags"
    write_bag(bags / "a", PRESS, list(messages(PRESS, seed=1)))
    write_bag(bags / "b", PRESS, list(messages(PRESS, seed=2, source=3)), outcome=Outcome.FAILURE)
    write_bag(bags / "c", PRESS, list(messages(PRESS)), outcome=Outcome.DISCARDED)
    write_bag(bags / "d", PRESS, _without_wrist(messages(PRESS)))
    write_bag(bags / "e", LIFT, list(messages(LIFT)))
    (bags / "f.partial").mkdir()
    report = build_store(bags, tmp_path / "store", PRESS, progress=False)
    assert report.added == ["a", "b"]
    reasons = {path.name: reason for path, reason in report.skipped}
    assert "DISCARDED" in reasons["c"] and "wrist" in reasons["d"] and "actions.gripper" in reasons["e"]
    assert "not closed" in reasons["f.partial"] and "left out d" in str(report)

    write_bag(bags / "g", PRESS, list(messages(PRESS, seed=3)))
    again = build_store(bags, tmp_path / "store", progress=False)
    assert again.added == ["g"] and again.already == 2
    store = EpisodeStore.open(tmp_path / "store")
    assert [i.policy_id for i in store.infos] == ["", "bc", ""] and store.content_hash == again.content_hash
    np.testing.assert_array_equal(store.actions(1), bag_to_episode(bags / "b").actions)

    summary = describe(store)
    assert summary["episodes"] == 3 and summary["steps"] == 15
    assert summary["episodes_by_source_and_outcome"] == {"expert SUCCESS": 2, "policy FAILURE": 1}
    assert "contract: franka_sim_push" in format_description(summary)


def test_build_leaves_out_the_one_bag_with_an_empty_picture(tmp_path):
    data = PRESS.to_dict()
    data["images"][1]["type"] = "sensor_msgs/msg/CompressedImage"
    contract = TaskContract.from_dict(data)
    for name, empty_at in (("a", None), ("b", START + 2 * PERIOD), ("c", None)):
        write_bag(tmp_path / "bags" / name, contract, list(_compress_wrist(messages(PRESS), empty_at)))
    report = build_store(tmp_path / "bags", tmp_path / "store", contract, progress=False)
    assert report.added == ["a", "c"]
    ((path, reason),) = report.skipped
    assert path.name == "b" and "first at step 2: wrist: compressed image is empty" in reason


def test_build_without_bags_says_what_to_do(tmp_path):
    with pytest.raises(BagError, match="record some"):
        build_store(tmp_path, tmp_path / "store", PRESS, progress=False)
    assert find_bags(tmp_path) == []
