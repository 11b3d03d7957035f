"""Parameters of the node `imagination`: names, defaults, meaning and ranges, and what is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.node import Node

from world4rl_data.parameter_messages import describe
from world4rl_wm.imagination.request import ImaginationLimits

ASK_THE_ACTION = "ask for fewer, or send it as a goal to the action imagine_rollouts"
TEXTS = {
    "world_model_checkpoint": ("", "folder of a world model; empty: load one later with ~/load_checkpoint"),
    "reward_checkpoint": ("", "folder of a reward model; empty: no success probabilities"),
    "policy_checkpoint": ("", "folder of a policy, for use_policy; empty: none"),
    "second_world_model_checkpoint": (
        "",
        "folder of another world model of the same contract: its disagreement becomes the uncertainty; empty: none",
    ),
    "device": ("auto", "where the models run: cpu, cuda, cuda:1 ...; auto: cuda where there is one"),
    "contract": ("", "name or path of the task contract that checkpoints must have; empty: any"),
    "stores_dir": ("", "folder that stores named by requests (context_source STORE) must lie in; empty: anywhere"),
    "path_colour": ("success_probability", "what the imagined path's colour tells: success_probability or uncertainty"),
}
WHOLE_NUMBERS = {
    "max_horizon": (100, "longest roll-out of one service request [control periods]"),
    "max_frames": (1000, "most frames of one service request, horizon x samples"),
    "action_max_horizon": (1000, "longest roll-out of one action goal [control periods]"),
    "action_max_frames": (10_000, "most frames of one action goal, horizon x samples"),
}
NUMBERS = {
    "max_seconds": (10.0, 0.01, 3600.0, "longest computing time of one service request [s], estimated beforehand"),
    "action_max_seconds": (300.0, 0.01, 86400.0, "longest computing time of one action goal [s], estimated beforehand"),
    "path_lifetime_s": (10.0, 0.0, 3600.0, "when viewers drop the imagined path [s]; 0: never"),
    "full_uncertainty": (0.1, 1e-4, 1.0, "uncertainty at which the imagined path is red [0..1 of the pixel range]"),
}


@dataclass(frozen=True)
class ImaginationParameters:
    """The values, as the node uses them; texts that are empty mean none."""

    texts: dict[str, str]
    service_limits: ImaginationLimits
    action_limits: ImaginationLimits
    path_lifetime_s: float
    full_uncertainty: float

    @property
    def stores_dir(self) -> Path | None:
        return Path(self.texts["stores_dir"]) if self.texts["stores_dir"] else None


def read_parameters(node: Node) -> ImaginationParameters:
    """Declare all of them on `node` and read them. Raises ValueError where a text is none of those allowed."""

    def declare(name: str, default: Any, text: str, *span: float) -> Any:
        return node.declare_parameter(name, default, describe(text, *span)).value

    texts = {name: declare(name, default, text) for name, (default, text) in TEXTS.items()}
    values: dict[str, Any] = {
        name: declare(name, default, text, 1, 100_000) for name, (default, text) in WHOLE_NUMBERS.items()
    }
    values |= {name: declare(name, default, text, low, high) for name, (default, low, high, text) in NUMBERS.items()}
    if texts["path_colour"] not in ("success_probability", "uncertainty"):
        raise ValueError(f"path_colour is {texts['path_colour']}: use success_probability or uncertainty")
    service, action = (
        ImaginationLimits(
            values[prefix + "max_horizon"],
            values[prefix + "max_frames"],
            values[prefix + "max_seconds"],
            prefix,
            instead,
        )
        for prefix, instead in (("", ASK_THE_ACTION), ("action_", "ask for fewer"))
    )
    return ImaginationParameters(texts, service, action, values["path_lifetime_s"], values["full_uncertainty"])
