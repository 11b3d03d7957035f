"""Presets: all settings of a run as YAML, read into the config dataclasses with every key checked."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from world4rl.settings import CONTRACT_DECIDES, MAY_BE_ZERO, NETWORKS, RISES_AND_FALLS, RUN_DECIDES, Preset
from world4rl_data.dotted import dotted
from world4rl_wm.training.state import LEAST_STEPS

PRESETS_DIR = Path(__file__).parent / "presets"
METAWORLD = "metaworld/"


class PresetError(ValueError):
    """A preset or an override that cannot be used; the message names the key and what is allowed."""


def preset_names(folder: str = "") -> list[str]:
    """Presets shipped with this package, smallest first; those of Meta-World are in the folder ``metaworld/``."""
    order = ["tiny", "small", "base", "paper"]
    names = sorted((p.stem for p in PRESETS_DIR.glob(f"{folder}*.yaml")), key=lambda n: (order + [n]).index(n))
    return [folder + name for name in names]


def load_preset(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Preset:
    """A shipped preset by name, or any YAML file by path; `overrides` such as ``ppo.iterations=20`` come on top.

    A file may say ``extends: tiny`` and then give only what differs.

    Raises:
        PresetError: no such preset, an unknown or missing key, a value of the wrong type or out of bounds, or PPO whose
            policy would never learn.
    """
    values = _read(name_or_path, ())
    for text in overrides:
        _override(values, text)
    preset: Preset = _build(Preset, values, "")
    ppo = preset.ppo
    if ppo.value_warm_up >= ppo.iterations:  # asked of what is new: there may be records of such a run
        raise PresetError(
            f"ppo.value_warm_up is {ppo.value_warm_up} of {ppo.iterations} iterations: the policy would never learn; "
            "give fewer, or more ppo.iterations"
        )
    return preset


def preset_of(values: Mapping[str, Any], base: str | Path, overrides: Sequence[str] = ()) -> Preset:
    """The preset of a run from its settings; those that came after the run was made are the preset `base`'s, and those
    of `RUN_DECIDES`, which records of earlier versions have, are left out.

    `overrides` come on top, as with `load_preset`.

    Raises:
        PresetError: as `load_preset`.
    """
    merged = given_settings(_merge(_read(base, ()), values))
    for text in overrides:
        _override(merged, text)
    return _build(Preset, merged, "")


def metaworld_preset(name: str) -> str:
    """Where a preset's settings for Meta-World are: `metaworld/tiny` of `tiny`; a file of one's own has them itself."""
    own = METAWORLD + name
    return own if _shipped(own).is_file() else name


def changed_settings(preset: Preset, name: str) -> dict[str, Any]:
    """How a preset differs from the shipped one `name`, which it was made of, and from `tiny` if it was made of a file:
    ``{"preset": "tiny", "changed": {"ppo.clip": 0.1}}``. What a network's own default decides is None."""
    base = name if _shipped(name).is_file() else "tiny"
    own, shipped = (dotted(preset_values(one)) for one in (preset, load_preset(_shipped(base))))
    changed = {key: own.get(key) for key in shipped | own if own.get(key) != shipped.get(key)}
    return {"preset": base, "changed": changed}


def preset_values(preset: Preset) -> dict[str, Any]:
    """Plain values of what a preset gives, for YAML or JSON; `load_preset` reads them back."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    return given_settings(plain(asdict(preset)))


def given_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those of `RUN_DECIDES`."""
    given = dict(values)
    for section, key in (name.split(".") for name in RUN_DECIDES):
        if isinstance(given.get(section), Mapping):
            given[section] = {name: value for name, value in given[section].items() if name != key}
    return given


def _shipped(name: str) -> Path:
    return PRESETS_DIR / f"{name}.yaml"


def _read(name_or_path: str | Path, seen: tuple[str, ...]) -> dict[str, Any]:
    path = Path(name_or_path)
    if not path.is_file():
        path = _shipped(str(name_or_path))
    if not path.is_file():
        raise PresetError(
            f"no preset '{name_or_path}': give the path of a YAML file or one of {', '.join(preset_names())}; "
            f"for Meta-World {', '.join(preset_names(METAWORLD))}"
        )
    if str(path) in seen:
        raise PresetError(f"{path} extends itself")
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise PresetError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise PresetError(f"{path} must hold sections such as collect and ppo, not {type(values).__name__}")
    base = values.pop("extends", None)
    return values if base is None else _merge(_read(base, (*seen, str(path))), values)


def _merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _override(values: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals:
        raise PresetError(f"override '{text}' must look like ppo.iterations=20")
    *sections, last = key.strip().split(".")
    target: Any = values
    for section in (*sections, last):
        if not isinstance(target, dict) or section not in target:
            known = ", ".join(target) if isinstance(target, dict) else "nothing below it"
            raise PresetError(f"override '{text}': no setting '{key.strip()}'; here there is {known}")
        parent, target = target, target[section]
    try:
        parent[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise PresetError(f"override '{text}' has a value that is not YAML") from error


def _build(cls: type, values: Any, where: str) -> Any:
    """A dataclass from a mapping that gives exactly its fields, but for those of `RUN_DECIDES`."""
    hints = typing.get_type_hints(cls)
    given = {key for key in hints if f"{where}.{key}" not in RUN_DECIDES}
    _require_keys(values, given, given, where)
    converted = {key: _convert(hints[key], value, f"{where}.{key}".strip(".")) for key, value in values.items()}
    try:
        return cls(**converted)
    except ValueError as error:  # a bound that the settings' own dataclass knows
        raise PresetError(f"{where}: {error}" if where and where not in str(error) else str(error)) from error


def _network(cls: type, values: Any, where: str) -> dict[str, Any]:
    """Keyword arguments of a network's config, without those that the contract decides."""
    hints = typing.get_type_hints(cls)
    allowed = set(hints) - set(CONTRACT_DECIDES)
    needed = {f.name for f in fields(cls) if f.default is MISSING and f.name in allowed}
    _require_keys(values, allowed, needed, where)
    return {key: _convert(hints[key], value, f"{where}.{key}") for key, value in values.items()}


def _require_keys(values: Any, allowed: set[str], needed: set[str], where: str) -> None:
    where = where or "the preset"
    if not isinstance(values, Mapping):
        raise PresetError(f"{where} must be a section with {', '.join(sorted(allowed))}, not {values!r}")
    unknown, missing = sorted(set(values) - allowed), sorted(needed - set(values))
    if unknown:
        raise PresetError(f"{where} has no setting {', '.join(map(str, unknown))}; it has {', '.join(sorted(allowed))}")
    if missing:
        raise PresetError(f"{where} lacks {', '.join(missing)}: give them, or start the file with `extends: tiny`")


def _convert(hint: Any, value: Any, where: str) -> Any:
    if where in NETWORKS:
        return _network(NETWORKS[where], value, where)
    if is_dataclass(hint):
        return _build(typing.cast(type, hint), value, where)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _either(args, value, where)
    if origin is typing.Literal:
        if value not in args:
            raise PresetError(f"{where} must be one of {', '.join(args)}, got {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise PresetError(f"{where} must be a list, got {value!r}")
        return tuple(_convert(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    return _scalar(hint, value, where)


def _either(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    """A value of a type, or None or a word where the hints allow it."""
    words = [word for hint in hints if typing.get_origin(hint) is typing.Literal for word in typing.get_args(hint)]
    if value in words or (value is None and type(None) in hints):
        return value
    inner = next(hint for hint in hints if hint is not type(None) and typing.get_origin(hint) is not typing.Literal)
    try:
        return _convert(inner, value, where)
    except PresetError as error:
        raise PresetError(f"{error}{''.join(f'; or {word}' for word in words)}") from None


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and not isinstance(value, bool):
        try:
            number = float(value)  # YAML reads 5e-4 as text
        except (TypeError, ValueError):
            raise PresetError(f"{where} must be a number, got {value!r}") from None
        if not math.isfinite(number):  # a limit that is not a number limits nothing
            raise PresetError(f"{where} must be a finite number, got {value!r}")
        return number
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise PresetError(f"{where} must be {'an integer' if kind is int else kind.__name__}, got {value!r}")
    least = 0 if where in MAY_BE_ZERO else LEAST_STEPS if where in RISES_AND_FALLS else 1
    if kind is int and value < least:
        raise PresetError(f"{where} must be at least {least}, got {value}")
    return value
