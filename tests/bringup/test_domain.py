"""A domain of one's own is one that nobody holds and that nobody has just left."""

from __future__ import annotations

from pathlib import Path

import pytest

from world4rl_bringup import domain
from world4rl_bringup.domain import own_domain


@pytest.fixture(autouse=True)
def four_domains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "_LOCK_FOLDER", tmp_path)
    monkeypatch.setattr(domain, "_DOMAINS", range(1, 5))


def taken() -> int:
    with own_domain({}) as env:
        return int(env["ROS_DOMAIN_ID"])


def test_a_domain_that_was_just_left_comes_last() -> None:
    """Killed nodes stay in sight on it for a while, and were taken for nodes of the next test."""
    assert [taken() for _ in range(5)] == [1, 2, 3, 4, 1]


def test_a_domain_that_is_held_is_not_given_again() -> None:
    with own_domain({}) as first, own_domain({}) as second:
        held = {first["ROS_DOMAIN_ID"], second["ROS_DOMAIN_ID"]}
        assert held == {"1", "2"}
        assert not {str(taken()) for _ in range(4)} & held


def test_none_left_is_told() -> None:
    with (
        own_domain({}),
        own_domain({}),
        own_domain({}),
        own_domain({}),
        pytest.raises(RuntimeError, match="are locked"),
    ):
        taken()
