"""The shipped task contracts side by side."""

from __future__ import annotations

from pathlib import Path

from scripts.reference.tables import opening, table
from world4rl_data.contract import TaskContract


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _about(contract: TaskContract) -> list[tuple[str, str]]:
    box = contract.workspace
    return [
        ("robot, base frame", f"{contract.robot}, `{contract.base_frame}`"),
        ("control rate [Hz]", f"{contract.control_rate_hz:g}"),
        ("workspace low, high [m]", f"({_numbers(box.low)}), ({_numbers(box.high)})"),
        ("target ahead of the arm, at most [m], [rad]", f"{box.max_lag_m:g}, {box.max_lag_rad:g}"),
        ("step, at most [m], [rad]", f"{box.max_step_m:g}, {box.max_step_rad:g}"),
        ("speed, at most [m/s]", f"{box.max_speed_m_s:g}"),
        (
            "gripper",
            f"{contract.gripper.kind}" + (f", held {contract.gripper.fixed}" if contract.gripper.fixed else ""),
        ),
        ("poses", ", ".join(f"`{name}`" for name in contract.poses)),
        ("episode, action time-out [s]", f"{contract.max_episode_s:g}, {contract.action_timeout_s:g}"),
        ("hash", f"`{contract.hash}`"),
    ]


def _section(path: Path) -> str:
    contract = TaskContract.load(path)
    comment = [line.lstrip("# ") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    images = [
        (
            f"`{s.name}`",
            f"`{s.topic}`",
            f"`{s.type}`",
            f"{s.width}x{s.height}" + (f", cropped {list(s.crop)}" if s.crop else ""),
        )
        for s in contract.images
    ]
    numbers = [
        (f"`{s.name}`", f"`{s.topic}`", f"`{s.type}`", ", ".join(f"`{name}`" for name in s.fields))
        for s in contract.proprioception
    ]
    actions = [(f"`{a.name}`", a.unit, f"{a.scale:g}") for a in contract.actions]
    lines = [f"## {contract.name}", "", " ".join(comment), "", table(("what", "value"), _about(contract)), ""]
    lines += [table(("stream", "topic", "type", "size or fields"), images + numbers), ""]
    lines += [table(("action", "unit", "what 1 means per control period"), actions), ""]
    return "\n".join(lines)


def contracts_page(root: Path) -> str:
    """The page of all shipped contracts."""
    folder = root / "src/world4rl_data/world4rl_data/contracts"
    pieces = [opening("Task contracts", "`src/world4rl_data/world4rl_data/contracts`")]
    pieces.append(
        "What each field means: [interfaces](../interfaces.md#task-contract). One for your own robot: "
        "[bring your own robot](../own_robot.md).\n"
    )
    pieces += [_section(path) for path in sorted(folder.glob("*.yaml"))]
    return "\n".join(pieces).rstrip() + "\n"
