"""What every test folder shares: the ``ros`` marker and a ROS domain of its own.

Tests marked ``ros`` need rclpy and the built interfaces. On a machine without them they are skipped and the run says so
at its end; with ``WORLD4RL_REQUIRE_ROS=1`` (``make test``, CI) a missing ROS stops the run instead.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from world4rl_bringup.domain import own_domain

DISCOVERY = ("ROS_DOMAIN_ID", "ROS_LOCALHOST_ONLY", "ROS_AUTOMATIC_DISCOVERY_RANGE")
_ROS_MODULES = ("rclpy", "world4rl_interfaces", "franka_msgs", "control_msgs")
_MODULE_MARK = re.compile(r"^pytestmark\s*=.*\bmark\.ros\b", re.MULTILINE)
_left_out: set[str] = set()  # a file that is asked for twice is collected twice


def _missing_ros() -> list[str]:
    return [name for name in _ROS_MODULES if importlib.util.find_spec(name) is None]


def _reason() -> str:
    names = ", ".join(_missing_ros())
    return f"needs ROS 2: cannot import {names} (run `make test`, or source your ROS and install/setup.bash)"


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("WORLD4RL_REQUIRE_ROS") == "1" and _missing_ros():
        raise pytest.UsageError(f"WORLD4RL_REQUIRE_ROS=1, but this run {_reason()}")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out files marked ``ros`` as a whole where ROS is absent: their imports would fail, not skip."""
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_") or not _missing_ros():
        return None
    if not _MODULE_MARK.search(collection_path.read_text(encoding="utf-8")):
        return None
    _left_out.add(collection_path.name)
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("ros") and _missing_ros():
            item.add_marker(pytest.mark.skip(reason=_reason()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left_out:
        terminalreporter.write_line(
            f"{len(_left_out)} ROS test files left out ({', '.join(sorted(_left_out))}): {_reason()}"
        )


@pytest.fixture(scope="module")
def ros_domain() -> Iterator[int]:
    """A free ``ROS_DOMAIN_ID`` (1 to 101), set in the environment with discovery on localhost only.

    Request it before ``rclpy.init`` and before starting processes; both read the environment.
    """
    with own_domain() as env, pytest.MonkeyPatch.context() as patch:
        for name in DISCOVERY:
            if name in env:
                patch.setenv(name, env[name])
            else:
                patch.delenv(name, raising=False)
        yield int(env["ROS_DOMAIN_ID"])


@pytest.fixture(scope="module")
def ros_context(ros_domain: int) -> Iterator[None]:
    """ROS in this process, in its default context, in a domain of its own."""
    import rclpy

    rclpy.init()
    yield
    rclpy.try_shutdown()
