"""One node of the graph, as data: what ``launch`` and the runner both start."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

# The seconds that a node gets to end in order, with launch and the runner alike.
SIGTERM_AFTER_S = 15.0  # after SIGINT
CLOSING_S = 60.0  # the recorder's instead: a slow disk (5 MB/s) takes that long to swallow what its queue may hold
SIGKILL_AFTER_S = 3.0  # after SIGTERM
ORPHAN_S = 5.0  # after the SIGINT that follows the runner's own death, instead of both

ParameterValue = bool | int | float | str | Sequence[str]


@dataclass(frozen=True)
class NodeSpec:
    """A node to start: everything that decides its command line, and nothing about who starts it.

    ``parameter_files`` are read in order and ``parameters`` last, so a later one wins. Only what was asked for stands
    in ``parameters``; defaults live in the package's ``params/<name>.yaml``. ``lifecycle`` nodes are configured and
    activated after they start. A node that ``finishes`` has a job with an end: its exit with code 0 ends the graph in
    order; any other node that ends by itself ends it as a failure, unless it is not ``essential`` (a window that a user
    closes). ``install`` says how to get a program of another project, for the message where it is missing.
    ``sigterm_after_s``: how long it may take to end after SIGINT.
    """

    package: str
    executable: str
    name: str
    namespace: str = "/world4rl"
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    parameter_files: tuple[Path, ...] = ()
    remappings: tuple[tuple[str, str], ...] = ()
    lifecycle: bool = False
    finishes: bool = False
    essential: bool = True
    install: str = ""
    arguments: tuple[str, ...] = ()
    log_level: str = "info"
    sigterm_after_s: float = SIGTERM_AFTER_S

    def __post_init__(self) -> None:
        if not self.namespace.startswith("/"):
            raise ValueError(f"namespace of node {self.name} must start with a slash, got {self.namespace!r}")

    @property
    def full_name(self) -> str:
        """The node's name in the ROS graph, such as ``/world4rl/recorder``."""
        return f"{self.namespace.rstrip('/')}/{self.name}"

    @property
    def orphan_s(self) -> float:
        """What it gets to end in order where its runner was killed: its own time where it has one, else little, as a
        gate left behind is a second one beside the arm."""
        return self.sigterm_after_s if self.sigterm_after_s > SIGTERM_AFTER_S else ORPHAN_S

    @property
    def module(self) -> str:
        """The Python module that holds the node's ``main``, for machines where the package is not installed."""
        return f"{self.package}.{self.executable}_node"

    @property
    def ros_arguments(self) -> tuple[str, ...]:
        """What follows ``--ros-args`` besides name, namespace, parameters and remappings.

        With ``ROS_SECURITY_ENABLE=true`` also the enclave, named as the node, that docs/sros2.md makes keys for.
        """
        secured = os.environ.get("ROS_SECURITY_ENABLE", "").lower() == "true"
        return ("--log-level", self.log_level, *(("--enclave", self.full_name) if secured else ()))


def write_parameters(spec: NodeSpec, folder: Path) -> Path | None:
    """Write ``spec.parameters`` as a ROS parameter file into ``folder``; None where there are none.

    A file keeps the types: ``-p name:=value`` would read the string "07" as a number.
    """
    if not spec.parameters:
        return None
    values = {key: list(v) if isinstance(v, tuple) else v for key, v in spec.parameters.items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{spec.name}.yaml"
    path.write_text(yaml.safe_dump({spec.full_name: {"ros__parameters": values}}), encoding="utf-8")
    return path


def command_line(spec: NodeSpec, executable: Sequence[str], parameter_folder: Path) -> list[str]:
    """The argument vector of the node's process, in the order in which ``launch_ros`` writes it.

    ``executable`` is the program (one entry for an installed script, several for ``python -m``). Writes the inline
    parameters to ``parameter_folder``.
    """
    words = [*executable, *spec.arguments, "--ros-args", *spec.ros_arguments]
    words += ["-r", f"__node:={spec.name}", "-r", f"__ns:={spec.namespace}"]
    inline = write_parameters(spec, parameter_folder)
    for path in (*spec.parameter_files, *([inline] if inline else [])):
        words += ["--params-file", str(path)]
    for source, target in spec.remappings:
        words += ["-r", f"{source}:={target}"]
    return words
