"""What other projects' packages start beside our nodes, as data: launch files to include, controllers to spawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from world4rl_bringup.paths import package_prefix
from world4rl_bringup.spec import NodeSpec


@dataclass(frozen=True)
class IncludeSpec:
    """A launch file of another package, for ``launch`` to include.

    ``name`` is what it stands for in messages ("the driver"), ``install`` how to get the package, ``instead`` the
    argument that does without it.
    """

    name: str
    package: str
    launch_file: str
    arguments: Mapping[str, str]
    install: str
    instead: str

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that must be installed."""
        return (self.package,)

    @property
    def path(self) -> Path | None:
        """The launch file; None where it or its package is not installed."""
        prefix = package_prefix(self.package)
        path = prefix / "share" / self.package / "launch" / self.launch_file if prefix else None
        return path if path and path.is_file() else None


@dataclass(frozen=True)
class SpawnerSpec:
    """Controllers for the driver's controller_manager to load, configure and activate, in this order.

    ``packages`` hold the controllers' plugins. The spawner ends when they are active; a failure ends the graph.
    """

    controllers: tuple[str, ...]
    packages: tuple[str, ...]
    name: str = "the motion controller"
    manager: str = "/controller_manager"
    timeout_s: int = 60
    install: str = "install ros2_control (apt: ros-$ROS_DISTRO-ros2-controllers) and build crisp_controllers"
    instead: str = "controller:=external and start one that follows the gate's commands yourself"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The spawner's command line, in words that Humble's and Jazzy's controller_manager know."""
        manager = ("--controller-manager", self.manager, "--controller-manager-timeout", str(self.timeout_s))
        return (*self.controllers, *manager)


Companion = IncludeSpec | SpawnerSpec


def missing(specs: Sequence[Companion | NodeSpec]) -> list[str]:
    """One reason for each spec whose package is not installed, with the mend."""
    reasons = []
    for spec in specs:
        if isinstance(spec, NodeSpec):
            if spec.install and package_prefix(spec.package) is None:
                reasons.append(f"{spec.name} needs {spec.package}, which is not installed: {spec.install}")
            continue
        absent = [package for package in spec.packages if package_prefix(package) is None]
        if absent:
            reasons.append(
                f"{spec.name} needs {' and '.join(absent)}, not installed here: {spec.install}, or say {spec.instead}"
            )
        elif isinstance(spec, IncludeSpec) and spec.path is None:
            reasons.append(f"{spec.name}: {spec.package} has no launch/{spec.launch_file}: {spec.install}")
    return reasons


def not_for_the_runner(specs: Sequence[Companion]) -> list[str]:
    """Why the runner cannot start these: it includes no launch files."""
    return [f"{spec.name} is started by ros2 launch only: use that, or say {spec.instead}" for spec in specs]
