"""What every node says in the same way: its parameters, its diagnostics, its pictures, and types it does not know."""

from __future__ import annotations

import numpy as np
import pytest

from world4rl_data.image import decode_image
from world4rl_data.message_types import message_class

pytestmark = pytest.mark.ros


def test_a_picture_is_read_back_as_it_was() -> None:
    from world4rl_data.image_messages import rgb8_message

    whole = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    for rgb in (whole, whole[::2, ::-1]):  # also one that does not lie in one piece
        image = rgb8_message(rgb)
        assert np.array_equal(decode_image(image.encoding, image.height, image.width, image.step, image.data), rgb)


def test_a_parameter_has_the_range_of_its_type() -> None:
    from world4rl_data.parameter_messages import describe

    (whole,), (real,) = describe("", 1, 9).integer_range, describe("", 0.5, 9.0).floating_point_range
    assert (whole.from_value, whole.to_value, real.from_value, real.to_value) == (1, 9, 0.5, 9.0)
    plain = describe("what it is")
    assert not plain.integer_range and not plain.floating_point_range and plain.read_only
    assert not describe("", 0.0, 1.0, read_only=False).read_only


def test_diagnostics_warn_of_a_problem_only() -> None:
    from builtin_interfaces.msg import Time
    from diagnostic_msgs.msg import DiagnosticStatus

    from world4rl_data.diagnostic_messages import diagnostic_array

    for problem, level, message in (
        ("", DiagnosticStatus.OK, "idle"),
        ("disk full", DiagnosticStatus.WARN, "disk full"),
    ):
        array = diagnostic_array("recorder", Time(sec=3), problem, {"messages": 4}, well="idle")
        (status,) = array.status
        assert (status.level, status.message, array.header.stamp.sec) == (level, message, 3)
        assert [(pair.key, pair.value) for pair in status.values] == [("messages", "4")]


@pytest.mark.parametrize("name", ["Image", "sensor_msgs/msg/No", "nowhere/msg/Image", "plc::Telemetry", "a/b/c/d"])
def test_a_type_that_is_not_known_is_named(name: str) -> None:
    assert message_class("sensor_msgs/msg/Image").__name__ == "Image"
    with pytest.raises(ValueError, match=f"'{name}' is not known here .*package/msg/Name"):
        message_class(name)
