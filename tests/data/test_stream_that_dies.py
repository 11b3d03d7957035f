"""A camera that dies before the stop: what was judged there is not learned from the picture before it died."""

from __future__ import annotations

import re

import pytest
from data_fakes import PERIOD, START, messages, write_bag

from world4rl_data.build import build_store
from world4rl_data.contract import TaskContract
from world4rl_data.convert import ConvertConfig, bag_to_episode
from world4rl_data.episode import EpisodeError, Outcome
from world4rl_data.validate import judge_bag

PRESS = TaskContract.load("franka_sim_push")
WRIST = PRESS.images[1].topic


def stream(steps=40, dies_at=None, last_action=None):
    """Ten observations and actions a second; the wrist camera's last picture is of period `dies_at`."""
    for topic, stamp, message in messages(PRESS, steps=steps):
        period = (stamp - START) // PERIOD
        dead = topic == WRIST and dies_at is not None and period > dies_at
        over = topic == PRESS.executed_action_topic and last_action is not None and period > last_action
        if not dead and not over:
            yield topic, stamp, message


def record(path, outcome=Outcome.SUCCESS, stopped=40, **options):
    """Stopped by a person at this period; nothing but the stop tells when a success came."""
    stop_ns = START + stopped * PERIOD
    success_ns = options.pop("success_ns", stop_ns) if outcome == Outcome.SUCCESS else None
    return write_bag(
        path, PRESS, list(stream(**options)), outcome=outcome, stop_ns=stop_ns, success_stamp_ns=success_ns
    )


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.FAILURE, Outcome.UNLABELLED, Outcome.INTERRUPTED])
def test_an_episode_is_not_cut_down_to_what_came_before_its_camera_died(tmp_path, outcome):
    path = record(tmp_path / "bags" / "e", outcome, dies_at=10)
    with pytest.raises(EpisodeError, match=rf"in its last 2\.\d s.*wrist: newest message on {WRIST} is 3\.\d\d s old"):
        bag_to_episode(path)
    record(tmp_path / "bags" / "sound", outcome)
    assert judge_bag(path).faulty and not judge_bag(tmp_path / "bags" / "sound").faulty
    report = build_store(tmp_path / "bags", tmp_path / "store", progress=False)
    assert "e" not in report.added
    if outcome != Outcome.INTERRUPTED:
        assert report.added == ["sound"] and re.search(rf"left out e: .*{WRIST}.*record the episode again", str(report))


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.FAILURE])
def test_a_camera_that_ends_a_fraction_of_a_second_before_the_stop_costs_only_that(tmp_path, outcome):
    episode = bag_to_episode(record(tmp_path / "e", outcome, dies_at=35))
    assert len(episode) == 35
    assert episode.success_index == (35 if outcome == Outcome.SUCCESS else None)


def test_a_success_after_the_last_action_must_have_been_seen(tmp_path):
    """A gate that misses a camera lets no action through: then the actions end with the pictures."""
    with pytest.raises(EpisodeError, match=rf"its success looks like, 3\.7 s after the first action: wrist: .*{WRIST}"):
        bag_to_episode(record(tmp_path / "e", dies_at=10, last_action=11))
    seen = bag_to_episode(record(tmp_path / "seen", last_action=11))
    assert len(seen) == seen.success_index == 12
    failed = bag_to_episode(record(tmp_path / "failed", Outcome.FAILURE, dies_at=10, last_action=11))
    assert len(failed) == 10  # it was unsolved all the while


def test_a_success_that_came_before_the_camera_died_stays_where_it_was(tmp_path):
    seen_ns = START + 30 * PERIOD
    episode = bag_to_episode(record(tmp_path / "e", dies_at=36, success_ns=seen_ns))
    assert (len(episode), episode.success_index) == (36, 30)
    patient = ConvertConfig(max_cut_s=5.0)
    assert bag_to_episode(record(tmp_path / "f", dies_at=32, success_ns=seen_ns), config=patient).success_index == 30
    with pytest.raises(EpisodeError, match="its success looks like"):
        bag_to_episode(record(tmp_path / "g", dies_at=20, success_ns=seen_ns), config=patient)
