"""Pictures that come after their stamp: an episode holds what the policy could have, not what was on its way."""

from __future__ import annotations

import dataclasses
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from data_fakes import PERIOD, TYPES, header, messages

from world4rl_data.bag_writer import BagTopic, BagWriter
from world4rl_data.contract import TaskContract
from world4rl_data.convert import bag_to_episode
from world4rl_data.episode import Outcome
from world4rl_data.episode_record import EpisodeRecord
from world4rl_data.observation import Observation, ObservationAssembler

PRESS = TaskContract.load("franka_sim_push")
PICTURES = {stream.topic for stream in PRESS.images}
MS = 1_000_000
TO_RECORDER = {True: 8 * MS, False: 1 * MS}  # a picture is longer on its way than an action decided on it


class Sent(NamedTuple):
    """A message, when it was sent, and its stamp [ns]."""

    sent_ns: int
    topic: str
    stamp_ns: int
    message: Any


def sent(latency_ms: tuple[float, float], steps: int = 20) -> list[Sent]:
    """An episode in the order of sending; each picture is sent some time after its stamp, drawn from the range."""
    rng = np.random.default_rng(3)
    episode = messages(PRESS, steps=steps, skip=range(2))  # actions begin when there are pictures
    delayed = [
        (stamp + round(rng.uniform(*latency_ms) * MS) * (topic in PICTURES), topic, stamp, m)
        for topic, stamp, m in episode
    ]
    return [Sent(*item) for item in sorted(delayed, key=itemgetter(0))]


def record(path: Path, stream: list[Sent], simulated: bool = False) -> Path:
    """A bag as the recorder makes it: under simulated time it knows of no sending, and hears with the clock's steps."""
    writer = BagWriter(path)
    for item in stream:
        kind = item.message.__msgtype__
        writer.add_topic(BagTopic(item.topic, kind, TYPES.generate_msgdef(kind, ros_version=2)[0]))
        received_ns = item.sent_ns + (PERIOD if simulated else TO_RECORDER[item.topic in PICTURES])
        data = bytes(TYPES.serialize_cdr(item.message, kind))
        writer.write(item.topic, received_ns, data, 0 if simulated else item.sent_ns)
    record = EpisodeRecord(path.name, "press", PRESS.hash, PRESS.to_dict(), outcome=Outcome.SUCCESS)
    return writer.close(record)


def live(stream: list[Sent]) -> list[Observation]:
    """What a node that gets the messages as they are sent has when each action is decided."""
    assembler, seen = ObservationAssembler(PRESS), []
    for item in stream:
        if item.topic == PRESS.executed_action_topic:
            seen.append(assembler.at(item.stamp_ns))
        else:
            assembler.push(item.topic, item.stamp_ns, item.message)
    return seen


@pytest.mark.parametrize("latency_ms", [(0, 0), (15, 25), (10, 60), (40, 60), (110, 130)])
def test_an_episode_holds_the_pictures_that_the_live_path_had(tmp_path, latency_ms):
    stream = sent(latency_ms)
    episode, seen = bag_to_episode(record(tmp_path / "e", stream), PRESS), live(stream)
    assert len(episode) == len(seen) == 18
    for t, observation in enumerate(seen):
        assert episode.stamps[t] == observation.stamp_ns
        np.testing.assert_array_equal(episode.proprio[t], observation.proprio)
        for name in episode.images:
            np.testing.assert_array_equal(episode.images[name][t], observation.images[name])


def test_the_last_observation_shows_the_end_however_late_its_picture_came(tmp_path):
    prompt, late = (bag_to_episode(record(tmp_path / n, sent(ms))) for n, ms in (("a", (0, 0)), ("b", (50, 50))))
    for name in prompt.images:
        np.testing.assert_array_equal(late.images[name][-1], prompt.images[name][-1])
        assert (late.images[name][-2] != prompt.images[name][-2]).any()


def test_under_simulated_time_a_picture_counts_from_its_stamp_whenever_the_recorder_heard_of_it(tmp_path):
    """The recorder's clock stands still between two steps of the simulator's, and may have heard of a step too many."""
    stream = sent((0, 0))
    real, simulated = (bag_to_episode(record(tmp_path / str(s), stream, simulated=s)) for s in (False, True))
    np.testing.assert_array_equal(simulated.stamps, real.stamps)
    for name in real.images:
        np.testing.assert_array_equal(simulated.images[name], real.images[name])


def test_an_action_stamped_as_its_picture_was_decided_on_it(tmp_path):
    """So the policy stamps where its clock is behind the camera's: never before what it decided on."""
    episodes = []
    for latency_ms in (0, 50):
        stream = []
        for item in sent((latency_ms, latency_ms)):
            if item.topic == PRESS.executed_action_topic:
                stamp = item.stamp_ns - item.stamp_ns % PERIOD  # the picture's
                message = dataclasses.replace(item.message, header=header(stamp))
                item = Sent(stamp + 52 * MS, item.topic, stamp, message)
            stream.append(item)
        episodes.append(bag_to_episode(record(tmp_path / str(latency_ms), stream)))
    for name in episodes[0].images:
        np.testing.assert_array_equal(episodes[0].images[name], episodes[1].images[name])


def test_a_camera_slower_than_the_control_period_costs_only_the_last_action(tmp_path):
    stream = sent((120, 120))
    last = max(item.stamp_ns for item in stream if item.topic == PRESS.executed_action_topic)
    cut = [item for item in stream if item.sent_ns <= last]
    assert len(bag_to_episode(record(tmp_path / "e", cut))) >= 14
