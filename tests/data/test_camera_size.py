"""A contract may say how large its cameras' pictures are: others show another part of the view and are refused."""

from __future__ import annotations

import dataclasses

import pytest
from data_fakes import PERIOD, START, messages, write_bag

from world4rl_data.contract import TaskContract
from world4rl_data.convert import bag_to_episode
from world4rl_data.episode import EpisodeError
from world4rl_data.observation import Missing, Observation, ObservationAssembler
from world4rl_data.validate import validate_bag

PRESS = TaskContract.load("franka_sim_push")


def said(width, height):
    """The pretended cameras send 64x64."""
    front = dataclasses.replace(PRESS.images[0], camera=(width, height))
    return dataclasses.replace(PRESS, images=(front, PRESS.images[1]))


def test_without_it_a_contract_is_what_it_was():
    assert "camera" not in PRESS.to_dict()["images"][0] and PRESS.hash == "6a63a410c78981c7"
    other = said(64, 64)
    assert other.to_dict()["images"][0]["camera"] == [64, 64] and other.hash != PRESS.hash
    assert TaskContract.from_dict(other.to_dict()) == other
    assert PRESS.differences(other) == ["images.front.camera: absent here, [64, 64] there"]


@pytest.mark.parametrize(("size", "taken"), [((64, 64), True), ((64, 48), False), ((128, 128), False)])
def test_the_live_path_takes_this_size_only(size, taken):
    live = ObservationAssembler(said(*size))
    for topic, stamp, message in messages(PRESS, steps=1):
        if topic in live.contract.observation_topics:
            live.push(topic, stamp, message)
    seen = live.at(START + PERIOD)
    assert isinstance(seen, Observation if taken else Missing)
    if not taken:
        assert seen.reasons.keys() == {"front"} and f"64x64, the contract's camera sends {size[0]}x{size[1]}" in str(
            seen
        )


def test_a_bag_of_another_size_is_unfit_also_where_it_was_recorded_without_saying(tmp_path):
    path = write_bag(tmp_path / "e", PRESS, list(messages(PRESS)))
    assert len(bag_to_episode(path, said(64, 64))) == len(bag_to_episode(path)) == 5
    with pytest.raises(EpisodeError, match="the picture is 64x64, the contract's camera sends 640x480"):
        bag_to_episode(path, said(640, 480))
    own = write_bag(tmp_path / "own", said(640, 480), list(messages(PRESS)))
    assert "640x480" in validate_bag(own)[0].text
