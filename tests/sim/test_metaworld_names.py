"""Meta-World's tasks and contracts by name, without its simulator."""

from __future__ import annotations

import sys

import pytest

from world4rl_data.contract import ContractError
from world4rl_sim.metaworld.names import MetaWorldMissing, environment_class, full_name, load_contract, short_name


def test_names_with_and_without_version() -> None:
    assert full_name("door-lock") == full_name("door-lock-v3") == "door-lock-v3"
    assert full_name("door-lock-v2") is full_name("press_button") is None
    assert short_name("door-lock-v3") == short_name("door-lock") == "door-lock"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "metaworld", None)
    with pytest.raises(MetaWorldMissing, match="pip install metaworld=="):
        environment_class("door-lock-v3")


def test_contracts_tell_the_length_of_an_episode() -> None:
    """30 steps for 2 CPU cores, the paper's 50 for the other; both last 1.875 s of simulated time."""
    for name, steps, size in (("metaworld_32", 30, 32), ("metaworld_64", 50, 64)):
        contract = load_contract(name)
        assert round(contract.max_episode_s * contract.control_rate_hz) == steps
        assert {s.height for s in contract.images} == {s.width for s in contract.images} == {size}
    with pytest.raises(ContractError, match="one of metaworld_32, metaworld_32_near, metaworld_64"):
        load_contract("metaworld_8")


def test_the_near_contract_only_looks_from_nearer() -> None:
    near, usual = load_contract("metaworld_32_near"), load_contract()
    assert [stream.name for stream in near.images] == ["front_near", "side_near"]
    assert {**near.to_dict(), "name": "", "images": []} == {**usual.to_dict(), "name": "", "images": []}
