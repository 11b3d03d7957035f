"""A bag's definition of a message holds every message inside it, so that readers without ROS can decode it."""

from __future__ import annotations

from pathlib import Path

import pytest
from rosbags.typesys import get_types_from_msg

from world4rl_data.message_definition import message_definition


def test_what_an_array_holds_is_defined_whatever_its_length_and_constants_are_no_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    folder = tmp_path / "share" / "lab_msgs" / "msg"
    folder.mkdir(parents=True)
    (folder / "Range.msg").write_text("float64 low\nfloat64 high\n")
    (folder / "Limits.msg").write_text(
        'uint8 FIRST=1\nstring NAME="a=b"\nRange[<=3] few # at most three\nlab_msgs/Range[2] pair\nstring<=8[] names\n'
    )
    text = message_definition("lab_msgs/msg/Limits")
    assert text.count("MSG: lab_msgs/Range\n") == 1
    assert set(get_types_from_msg(text, "lab_msgs/msg/Limits")) == {"lab_msgs/msg/Limits", "lab_msgs/msg/Range"}
