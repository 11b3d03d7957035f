"""Stand-ins for all programs of the graph, which write down how they were started; how to start and collect them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from world4rl_bringup.graph import graph
from world4rl_bringup.options import parse_options
from world4rl_bringup.paths import import_path

ROOT = Path(__file__).parents[2]
DOUBLES = Path(__file__).parent / "doubles"
PROGRAM = """#!{python}
import json, os, pathlib, sys, time, yaml
words, out = sys.argv[1:], pathlib.Path(os.environ["PARITY_OUT"])
files = [yaml.safe_load(open(words[i + 1])) for i, w in enumerate(words) if w == "--params-file"]
name = next(w for w in words if w.startswith("__node:="))[len("__node:="):]
parameters = {{}}
for file in files:
    for section in file.values():
        parameters.update(section["ros__parameters"])
remaps = [words[i + 1] for i, w in enumerate(words) if w in ("-r", "--remap")]
level = words[words.index("--log-level") + 1]
profile = os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE", "")
report = dict(program=sys.argv[0], remaps=sorted(remaps), parameters=parameters, level=level, profile=profile)
(out / (name + ".tmp")).write_text(json.dumps(report))
(out / (name + ".tmp")).rename(out / (name + ".json"))
while True:
    time.sleep(0.1)
"""
# What ros2 launch does with a file, without the command.
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = [tuple(word.split(":=", 1)) for word in sys.argv[2:]]
service = LaunchService(noninteractive=True)  # as ros2 launch without a terminal: SIGINT is handed on to the nodes
source = PythonLaunchDescriptionSource(sys.argv[1])
service.include_launch_description(IncludeLaunchDescription(source, launch_arguments=arguments))
sys.exit(service.run())
"""


def environment(folder: Path) -> dict[str, str]:
    """An environment whose nearest install prefix holds a stand-in for every node's program."""
    prefix = folder / "prefix"
    options = parse_options({"operator": "true", "policy": "true", "imagination": "true", "teleop": "joystick"})
    for spec in graph("sim_arm", options):
        if spec.install:  # a program of another project
            continue
        program = prefix / "lib" / spec.package / spec.executable
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(PROGRAM.format(python=sys.executable))
        program.chmod(0o755)
        marker = prefix / "share/ament_index/resource_index/packages" / spec.package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    found = os.pathsep.join([str(prefix), os.environ.get("AMENT_PREFIX_PATH", "")])
    return {
        **os.environ,
        "AMENT_PREFIX_PATH": found,
        "PYTHONPATH": import_path(os.environ),
        "ROS_LOG_DIR": str(folder),
    }


def with_doubles(env: dict[str, str]) -> dict[str, str]:
    """The environment with doubles of the robot's packages installed."""
    return {**env, "AMENT_PREFIX_PATH": f"{env['AMENT_PREFIX_PATH']}{os.pathsep}{DOUBLES}"}


def launch_command(mode: str, *arguments: str) -> list[str]:
    """The words that start a launch file of ours."""
    return [sys.executable, "-c", LAUNCH, str(ROOT / "launch" / f"{mode}.launch.py"), *arguments]


def collect(commands: list[list[str]], count: int, env: dict[str, str], out: Path) -> dict[str, Any]:
    """Run commands until ``count`` stand-ins have reported, then end them; the reports by node name."""
    out.mkdir()
    log = (out / "output").open("w+")
    running = [
        subprocess.Popen(words, env={**env, "PARITY_OUT": str(out)}, stdout=log, stderr=log) for words in commands
    ]
    end = time.monotonic() + 60
    while len(list(out.glob("*.json"))) < count and time.monotonic() < end:
        time.sleep(0.1)
    try:
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            process.wait(timeout=60)
    finally:
        for process in running:
            process.kill()
    reports = {path.stem: json.loads(path.read_text()) for path in out.glob("*.json")}
    assert len(reports) == count, (out / "output").read_text()
    return reports
