"""The containers' files against what they start: files that are copied, launch arguments, health checks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from world4rl_bringup.graph import MODES, graph
from world4rl_bringup.spec import CLOSING_S, SIGKILL_AFTER_S

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]


def test_files_that_the_images_copy_and_run_are_there() -> None:
    for dockerfile in (ROOT / "docker").glob("*.Dockerfile"):
        text = dockerfile.read_text()
        copied = re.findall(r"^COPY (?:--\S+ )?(\S+) ", text, re.M)
        scripts = re.findall(r"\b(scripts/\w+\.sh)\b", text)
        assert copied and scripts, dockerfile.name
        for name in copied + scripts:
            assert (ROOT / name).exists(), f"{dockerfile.name}: {name}"
        assert "pip install" not in text, "the scripts that make uses install, so that both stay the same"


DRIVER = {"ROBOT_IP": "172.16.0.2", "FRONT_SERIAL": "831612073525", "WRIST_SERIAL": "845112070123"}  # as documented
CHECKPOINTS = {"POLICY_CHECKPOINT": "/data/my runs/policy", "WORLD_MODEL_CHECKPOINT": "/data/world_model"}


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """What compose makes of `${NAME}`, `${NAME:-default}`, `${NAME:?error}` and `${NAME:+replacement}`, also nested."""
    innermost = re.compile(r"\$\{(\w+)(?:(:[-?+])([^${}]*))?\}")

    def value(found: re.Match[str]) -> str:
        name, rule, word = found.groups()
        given = environment.get(name, "")
        assert given or rule != ":?", f"{name}: {word}"
        return {":-": given or word, ":+": word if given else ""}.get(rule, given)

    while innermost.search(text):
        text = innermost.sub(value, text)
    return text


def words(command: str | list[str], environment: Mapping[str, str]) -> list[str]:
    """A service's command as the container gets it."""
    if isinstance(command, str):
        return shlex.split(interpolated(command, environment))
    return [interpolated(word, environment) for word in command]


@pytest.mark.parametrize("checkpoints", [{}, CHECKPOINTS])
def test_compose_starts_launch_files_with_arguments_that_they_have(checkpoints: dict[str, str]) -> None:
    started = {}
    for name, service in SERVICES.items():
        ros2, launch, package, file, *arguments = words(service["command"], DRIVER | checkpoints)
        assert (ros2, launch, package) == ("ros2", "launch", "world4rl_bringup")
        assert (ROOT / "launch" / file).is_file()
        mode = file.removesuffix(".launch.py")
        given = dict(argument.split(":=", 1) for argument in arguments)
        assert all(option and value for option, value in given.items()), f"{name}: ros2 launch refuses {arguments}"
        assert set(given) <= set(MODES[mode].options), name
        started[name] = given
    assert started["driver"]["robot_ip"] == DRIVER["ROBOT_IP"]
    learn = started["learn"]
    assert learn["start_driver"] == learn["start_cameras"] == "false", "the other container has them"
    assert {name.upper(): path for name, path in learn.items() if "checkpoint" in name} == checkpoints


@pytest.mark.parametrize("contract", ["", "/data/my lab/contract.yaml"])
def test_the_containers_read_the_same_contract(contract: str) -> None:
    """The driver's cameras, pictures and controller are those of the contract, as what the other one expects is."""
    environment = DRIVER | {"CONTRACT": contract, "DATA": "/home/lab/data"}
    for name, service in SERVICES.items():
        assert f"contract:={contract or 'franka_real'}" in words(service["command"], environment), name
        volumes = [interpolated(volume, environment).split(":") for volume in service["volumes"]]
        (data,) = [volume for volume in volumes if volume[1] == "/data"]
        assert data[0] == "/home/lab/data" and (name == "learn" or data[2] == "ro"), name


def test_an_arm_never_starts_again_by_itself_and_nobody_is_root() -> None:
    for name, service in SERVICES.items():
        assert service["restart"] == "no" and not service.get("privileged"), name
        assert service["ipc"] == service["network_mode"] == "host"
        profile = service["environment"]["FASTRTPS_DEFAULT_PROFILES_FILE"]
        assert (ROOT / profile.removeprefix("/world4rl/")).is_file(), "both images have the sources in /world4rl"
        assert service["stop_signal"] == "SIGINT", "the recorder closes its bag on SIGINT"
        grace_s = float(service["stop_grace_period"].removesuffix("s"))
        assert grace_s > CLOSING_S + SIGKILL_AFTER_S, "the nodes end before the container does"
        dockerfile = (ROOT / service["build"]["dockerfile"]).read_text()
        assert re.findall(r"^USER (.+)$", dockerfile, re.M)[-1] == "${USER_UID}:${USER_GID}"


def test_the_health_check_expects_nodes_that_are_started() -> None:
    words = SERVICES["learn"]["healthcheck"]["test"]
    expected = words[words.index("--expect") + 1 :]
    assert expected and set(expected) <= {spec.name for spec in graph("real_arm")}


def test_realtime_limits_are_those_that_compose_grants() -> None:
    limits = {
        line.split()[2]: int(line.split()[3]) for line in (ROOT / "docker/realtime.conf").read_text().splitlines()
    }
    granted = SERVICES["driver"]["ulimits"]
    assert granted["rtprio"] == limits["rtprio"] and granted["memlock"] >= limits["memlock"] * 1024
