"""Who uses a config dataclass without a preset has the values of `tiny`: one system, whether a library or a command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from dream_rig import press_store

from world4rl.presets import load_preset
from world4rl.refinement.refine import RefineConfig, with_horizon
from world4rl.settings import CONTRACT_DECIDES, NETWORKS
from world4rl_wm.model.world_model import WorldModelConfig
from world4rl_wm.reward.calibration import RewardCalibration
from world4rl_wm.reward.model import RewardConfig

TINY = load_preset("tiny")
OTHERWISE: dict[str, Any] = {
    # A checkpoint of before such a field lacks it, and is to be what it was.
    "world_model.edm.noise_scale": 1.0,
    "world_model.still_change": 0.0,
    "reward.network.progress": False,
    # One dataclass stands in several places: its default is that of bc.training.
    "bc.filtered_training.steps": 600,
}
"""Defaults that differ from `tiny`, on purpose."""


def defaults(cls: type) -> dict[str, Any]:
    """Of the fields that have one."""
    made = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(cls)}
    return {name: value for name, value in made.items() if value is not MISSING}


def compared(config: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every setting of `tiny` that has a default somewhere, with its value there and that default."""
    known = defaults(WorldModelConfig if where == "world_model." else type(config))
    for name, value in vars(config).items():
        key = where + name
        if key in NETWORKS:
            own = defaults(NETWORKS[key])
            yield from ((f"{key}.{k}", value[k], own[k]) for k in own if k not in CONTRACT_DECIDES)
        elif is_dataclass(value):
            yield from compared(value, f"{key}.")
        elif name in known:
            yield key, value, known[name]


def test_defaults_are_those_of_tiny() -> None:
    found = {key: (value, default) for key, value, default in compared(TINY)}
    assert {"ppo.clip", "bc.training.steps", "bc.network.width", "world_model.training.state.unroll"} <= set(found)
    assert len(found) > 120
    differing = {key: default for key, (value, default) in found.items() if plain(value) != plain(default)}
    assert differing == OTHERWISE


def test_a_refinement_of_defaults_is_that_of_tiny(tmp_path: Path) -> None:
    """BC on dreams too, whose dataclass has the defaults of another training."""
    real = press_store(tmp_path / "store")
    assert with_horizon(RefineConfig(), real) == TINY.refine_config(real)


def test_a_reward_model_that_was_not_calibrated_cuts_where_calibration_does() -> None:
    assert RewardConfig(3).threshold == RewardCalibration().threshold


def plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
