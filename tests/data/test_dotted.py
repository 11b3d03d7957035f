"""Contracts, presets and runs are held against each other by dotted names."""

from __future__ import annotations

from world4rl_data.dotted import dotted


def test_names_lead_to_every_value() -> None:
    settings = {
        "seed": 3,
        "ppo": {"clip": 0.2, "limit": None, "none": {}},
        "channels": [32, 64],
        "images": [{"name": "front", "height": 32}, {"height": 64}],
        "limits": [[0, 1]],
    }
    assert dotted(settings) == {
        "seed": 3,
        "ppo.clip": 0.2,
        "ppo.limit": None,
        "channels": [32, 64],
        "images.front.name": "front",
        "images.front.height": 32,
        "images.1.height": 64,
        "limits.0": [0, 1],
    }
