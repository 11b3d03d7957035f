"""Pose maths against scipy, and the promises the gate builds on."""

import numpy as np
import pytest

from world4rl_control import pose

scipy_rotation = pytest.importorskip("scipy.spatial.transform").Rotation


def _rotations(count: int) -> list:
    return list(scipy_rotation.random(count, rng=np.random.default_rng(0)))


def test_multiply_and_inverse_agree_with_scipy():
    for left, right in zip(_rotations(20), reversed(_rotations(20))):
        got = scipy_rotation.from_quat(pose.multiply(left.as_quat(), right.as_quat()))
        assert (got * (left * right).inv()).magnitude() < 1e-9
        np.testing.assert_allclose(
            pose.multiply(left.as_quat(), pose.inverse(left.as_quat())), (0, 0, 0, 1), atol=1e-12
        )


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-7, 1e-3, 1.0, 3.1])
def test_exp_and_log_invert_each_other_down_to_tiny_angles(angle):
    rotvec = np.array([0.6, -0.48, 0.64]) * angle
    np.testing.assert_allclose(pose.log(pose.exp(rotvec)), rotvec, atol=1e-12)
    np.testing.assert_allclose(pose.log(-pose.exp(rotvec)), rotvec, atol=1e-12, err_msg="q and -q are one rotation")
    np.testing.assert_allclose(pose.exp(rotvec), scipy_rotation.from_rotvec(rotvec).as_quat(), atol=1e-12)


def test_rotation_between_is_in_the_base_frame():
    start, end = (r.as_quat() for r in _rotations(2))
    turned = scipy_rotation.from_quat(pose.rotate_by(pose.rotation_between(start, end), start))
    assert (turned * scipy_rotation.from_quat(end).inv()).magnitude() < 1e-9
    about_z = pose.rotation_between(start, pose.rotate_by(np.array([0, 0, 0.3]), start))
    np.testing.assert_allclose(about_z, [0, 0, 0.3], atol=1e-9)


@pytest.mark.parametrize("quat", [np.zeros(4), np.array([np.nan, 0, 0, 1]), np.array([np.inf, 0, 0, 1])])
def test_what_is_no_orientation_is_refused(quat):
    with pytest.raises(ValueError, match="orientation"):
        pose.unit(quat)


def test_largest_fraction_finds_the_edge_from_below():
    assert pose.largest_fraction(lambda t: True) == 1.0
    found = pose.largest_fraction(lambda t: t <= 0.3)
    assert 0.3 - 1e-3 < found <= 0.3
