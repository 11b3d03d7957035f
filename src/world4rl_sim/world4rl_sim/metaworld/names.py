"""Meta-World's tasks by name, and the library behind them where it is installed. Light: imports no simulator."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from world4rl_data.contract import ContractError, TaskContract

from ..gl import choose_gl

REQUIREMENT = "metaworld==3.1.1"
CONTRACTS_DIR = (
    Path(__file__).parent / "contracts"
)  # here, not among those of the ROS graph: it never sees these topics
DEFAULT_CONTRACT = "metaworld_32"

TASKS = tuple(
    name
    for line in (
        "assembly-v3 basketball-v3 bin-picking-v3 box-close-v3 button-press-topdown-v3",
        "button-press-topdown-wall-v3 button-press-v3 button-press-wall-v3 coffee-button-v3 coffee-pull-v3",
        "coffee-push-v3 dial-turn-v3 disassemble-v3 door-close-v3 door-lock-v3 door-open-v3 door-unlock-v3",
        "hand-insert-v3 drawer-close-v3 drawer-open-v3 faucet-open-v3 faucet-close-v3 hammer-v3",
        "handle-press-side-v3 handle-press-v3 handle-pull-side-v3 handle-pull-v3 lever-pull-v3 pick-place-wall-v3",
        "pick-out-of-hole-v3 pick-place-v3 plate-slide-v3 plate-slide-side-v3 plate-slide-back-v3",
        "plate-slide-back-side-v3 peg-insert-side-v3 peg-unplug-side-v3 soccer-v3 stick-push-v3 stick-pull-v3",
        "push-v3 push-wall-v3 push-back-v3 reach-v3 reach-wall-v3 shelf-place-v3 sweep-into-v3 sweep-v3",
        "window-open-v3 window-close-v3",
    )
    for name in line.split()
)
"""Meta-World's names (Yu et al. 2019, arXiv 1910.10897; version 3 of the environments)."""

_POLICY_NAMES = {"peg-insert-side-v3": "PegInsertionSide"}  # every other expert is named like its task
_VERSION = re.compile(r"-v\d+$")


class MetaWorldMissing(RuntimeError):
    """The optional library is not installed."""


def full_name(task: str) -> str | None:
    """Meta-World's name of a task given with or without its version, None where there is no such task."""
    name = task if _VERSION.search(task) else f"{task}-v3"
    return name if name in TASKS else None


def short_name(task: str) -> str:
    """`door-lock` of `door-lock-v3`, as the literature writes it."""
    return _VERSION.sub("", task)


def load_contract(name_or_path: str | Path | None = None) -> TaskContract:
    """A contract of Meta-World's tasks: one of `CONTRACTS_DIR` (None: `metaworld_32`), or any YAML file by its path.

    Raises:
        ContractError: there is none, or it cannot be read.
    """
    shipped = {path.stem: path for path in sorted(CONTRACTS_DIR.glob("*.yaml"))}
    path = shipped.get(str(name_or_path or DEFAULT_CONTRACT), Path(name_or_path or ""))
    if not path.is_file():
        raise ContractError(
            f"no contract '{name_or_path}' of Meta-World: give a YAML file or one of {', '.join(shipped)}"
        )
    return TaskContract.load(path)


def environment_class(task: str) -> Any:
    """Meta-World's environment class of a task named in full.

    Raises:
        MetaWorldMissing: the library is not installed.
    """
    _require()
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    return ALL_V3_ENVIRONMENTS[task]


def expert_class(task: str) -> Any:
    """Meta-World's scripted policy of a task named in full: `SawyerDoorLockV3Policy` of `door-lock-v3`.

    Raises:
        MetaWorldMissing: the library is not installed.
    """
    _require()
    from metaworld import policies

    words = _POLICY_NAMES.get(task) or "".join(word.capitalize() for word in short_name(task).split("-"))
    return getattr(policies, f"Sawyer{words}V3Policy")


def _require() -> None:
    choose_gl()  # reads and sets what mujoco looks at when it is imported
    try:
        import metaworld  # noqa: F401
    except ImportError as error:
        raise MetaWorldMissing(
            f"Meta-World's tasks need the optional library metaworld ({error}): pip install {REQUIREMENT}"
        ) from error
