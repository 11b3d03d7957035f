"""Requests of every kind of wrongness, made from a seed: fields of world4rl_interfaces/srv/ImagineRollout."""

from __future__ import annotations

import array
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import small_models
from sensor_msgs.msg import Image

from world4rl_data.contract import TaskContract

MAX_HORIZON, MAX_FRAMES = 4, 8
NUMBERS = [0.0, 0.5, -1.0, 1.0, 1.0000001, 1.1, -7.0, 1e30, -1e30, float("nan"), float("inf"), float("-inf")]
SIZES = [0, 1, 2, 3, 16, 24, 33, 1000, 65_536, 2**31, 2**32 - 1]
ENCODINGS = ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "8UC1", "8UC3", "8UC4"]
JUNK = [
    "",
    "RGB8",
    "bayer_rggb8",
    "yuv422",
    "32FC1",
    "mono16",
    "jpeg",
    "smell8",
    "ü" * 40,
    "x" * 3000,
    "rgb8 ",
    "../rgb8",
]
SEEDS = [0, 1, -1, 2**31, -(2**31), 2**63 - 1, -(2**63)]
TASKS = ["", "", "lift", " ", "x" * 5000, "\u2028", "a/../b"]
COUNTS = [0, 1, 2, 3, 4, 5, 8, 9, 1000, 2**31, 2**32 - 1]


def make_stores(folder: Path, contract: TaskContract) -> list[str]:
    """Names of stores: good, damaged in many ways, and what is none."""
    good = small_models.small_store(folder / "good", contract)
    small_models.small_store(folder / "other", small_models.small_contract("other"))
    index = json.loads((good.path / "index.json").read_text())
    damaged: dict[str, Any] = {
        "list": [],
        "null": None,
        "number": 7,
        "bare": {},
        "format": {"format": index["format"]},
        "episodes": {**index, "episodes": [{"start": 0}]},
        "kinds": {**index, "episodes": [{**index["episodes"][0], "outcome": 99}]},
        "contract": {**index, "contract": {"name": 3}},
        "long": {**index, "episodes": [{**index["episodes"][0], "length": 10**9}]},
        "negative": {**index, "episodes": [{**index["episodes"][0], "length": -5}]},
    }
    for name, value in damaged.items():
        (folder / name).mkdir()
        (folder / name / "index.json").write_text(json.dumps(value))
    (folder / "binary").mkdir()
    (folder / "binary" / "index.json").write_bytes(bytes(range(256)))
    (folder / "folder" / "index.json").mkdir(parents=True)
    (folder / "circle").symlink_to(folder / "circle")
    inside = [str(path) for path in folder.iterdir()]
    outside = [
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/mem",
        "/",
        "..",
        "../../../../etc",
        "~root",
        "file:///etc",
        "http://a/b",
    ]
    odd = [
        "",
        " ",
        "a" * 5000,
        "a/" * 3000,
        "\u2028",
        "good\nbad",
        f"{folder}/../{folder.name}/good",
        f"file://{good.path}",
    ]
    return inside + outside + odd + [str(good.path)] * 4


@dataclass
class Fuzzer:
    """Changes some fields of a good request at random; the same seed gives the same requests."""

    contract: TaskContract
    stores: list[str]
    seed: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.picture = array.array("B", small_models.picture(self.seed).tobytes())
        self.changes: list[Callable[[dict[str, Any]], None]] = [
            lambda f: f.update(context_source=self.random.choice([0, 1, 2, 3, 7, 255])),
            lambda f: f.update(context=[self.image() for _ in range(self.random.randrange(10))]),
            lambda f: f.update(context=[self.good_image() for _ in range(self.random.randrange(10))]),
            lambda f: f.update(context_actions=self.numbers(self.random.choice([0, 1, 3, 6, 9, 12, 1000]))),
            lambda f: f.update(context_source=2, store_uri=self.random.choice(self.stores)),
            lambda f: f.update(store_index=self.random.choice(COUNTS)),
            lambda f: f.update(use_policy=self.random.random() < 0.5),
            lambda f: f.update(horizon=self.random.choice(COUNTS)),
            lambda f: f.update(actions=self.numbers(self.random.choice([0, 1, 3, 5, 6, 9, 12, 1000]))),
            lambda f: f.update(samples=self.random.choice(COUNTS)),
            lambda f: f.update(seed=self.random.choice([*SEEDS, self.random.randrange(-(2**63), 2**63)])),
            lambda f: f.update(return_frames=self.random.random() < 0.5),
            lambda f: f.update(task=self.random.choice(TASKS)),
        ]

    def request(self) -> dict[str, Any]:
        """Fields of the next request."""
        horizon = self.random.randint(1, 2)
        fields: dict[str, Any] = {
            "context_source": 1,
            "context": [self.good_image() for _ in self.contract.images],
            "horizon": horizon,
            "actions": [0.25] * horizon * self.contract.action_dim,
            "samples": self.random.randint(0, 2),
        }
        for change in self.random.sample(self.changes, self.random.randint(2, 5)):
            change(fields)
        return fields

    def numbers(self, count: int) -> array.array[float]:
        """Mostly good actions; in half of the lists one of any kind."""
        values = [self.random.uniform(-1, 1) for _ in range(count)]
        if count and self.random.random() < 0.5:
            values[self.random.randrange(count)] = self.random.choice(NUMBERS)
        return array.array("f", np.asarray(values, np.float32).tobytes())

    def good_image(self) -> Image:
        return Image(height=24, width=32, encoding="rgb8", step=96, data=self.picture)

    def image(self) -> Image:
        """One that is wrong somewhere, or happens to be right."""
        image = self.good_image()
        image.encoding = self.random.choice(ENCODINGS + JUNK)
        if self.random.random() < 0.5:
            image.height, image.width = self.random.choice(SIZES), self.random.choice(SIZES)
        if self.random.random() < 0.5:
            image.step = self.random.choice(SIZES)
        if self.random.random() < 0.5:
            image.data = self.picture[: self.random.choice([0, 1, 95, 96, 97, 768, 2303, 2304])]
        image.is_bigendian = self.random.choice([0, 1, 255])
        return image


def check_answer(fields: dict[str, Any], answer: Any, contract: TaskContract) -> bool:
    """Raise AssertionError unless `answer` is a whole dream or a refusal that says why; True for a dream."""
    if not answer.success:
        assert answer.message and "the dream failed" not in answer.message, (fields, answer.message)
        assert not (answer.frames or len(answer.success_probability) or len(answer.uncertainty) or len(answer.actions))
        assert not (len(answer.progress) or answer.task)
        return False
    number = fields["horizon"] * (fields["samples"] or 1)
    assert fields["horizon"] <= MAX_HORIZON and number <= MAX_FRAMES and not answer.message
    assert len(answer.frames) == (number if fields.get("return_frames", False) else 0)
    probability, spread, actions = (
        np.asarray(values) for values in (answer.success_probability, answer.uncertainty, answer.actions)
    )
    assert probability.shape == spread.shape == (number,) and actions.shape == (number * contract.action_dim,)
    assert len(answer.progress) in (0, number) and answer.uncertainty_kind == answer.UNCERTAINTY_NONE
    assert not answer.task and not fields.get("task"), "this world model is told none"
    assert ((probability >= 0) & (probability <= 1)).all() and (spread >= 0).all() and (abs(actions) <= 1).all()
    return True


def resident_bytes(pid: int | str = "self") -> int:
    """Memory that a process holds in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096
