"""Every command, by its words: where its function is and one line on what it does."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """`target` is ``module:function`` below ``world4rl.commands``; it is imported only when the command is called.

    `resumes`: interrupted, the same command goes on where it was; another starts over.
    """

    target: str
    summary: str
    resumes: bool = False

    def load(self) -> Callable[..., int | None]:
        module, function = self.target.split(":")
        loaded: Callable[..., int | None] = getattr(importlib.import_module(f"world4rl.commands.{module}"), function)
        return loaded


COMMANDS: dict[tuple[str, ...], Command] = {
    ("demo",): Command("demo:demo", "the whole loop: record, learn, dream, refine, deploy, report", resumes=True),
    ("collect",): Command(
        "collect:collect", "episodes in the simulator, by expert, policy or random motion", resumes=True
    ),
    ("dataset", "build"): Command("dataset:build", "recorded bags to a training store", resumes=True),
    ("dataset", "info"): Command("dataset:info", "what a store holds"),
    ("dataset", "validate"): Command("dataset:validate", "faults of recorded bags or of a store"),
    ("dataset", "verify"): Command("dataset:verify", "a store against its checksums"),
    ("dataset", "recover"): Command(
        "recover:recover", "bags of a killed recorder, or cut ones, closed again", resumes=True
    ),
    ("dataset", "export-lerobot"): Command("lerobot:export_lerobot", "a store as a LeRobotDataset v3.0"),
    ("dataset", "import-lerobot"): Command("lerobot:import_lerobot", "a LeRobotDataset v3.0 as a store"),
    ("train", "world-model"): Command(
        "train:world_model", "the diffusion world model, from all episodes", resumes=True
    ),
    ("train", "reward"): Command("train:reward", "the reward model, from labelled episodes", resumes=True),
    ("train", "bc"): Command("train:bc", "a policy by behaviour cloning, plain or filtered"),
    ("refine",): Command("refine:refine", "PPO in imagination, after the replay check", resumes=True),
    ("evaluate",): Command(
        "evaluate:evaluate", "success of a policy in the simulator, with its interval", resumes=True
    ),
    ("evaluate", "world-model"): Command(
        "evaluate_world_model:evaluate_world_model", "how true a world model is: errors, action sensitivity, outcomes"
    ),
    ("evaluate", "concordance"): Command(
        "concordance:concordance",
        "a refinement's policies imagined and real: bias, order, regret, reliability",
        resumes=True,
    ),
    ("benchmark", "metaworld"): Command(
        "benchmark:metaworld",
        "Meta-World's tasks, after the paper's protocol: a row for each task and seed",
        resumes=True,
    ),
    ("loop",): Command("loop:loop", "rounds of work, learning and refinement after a finished run", resumes=True),
    ("imagine",): Command("imagine:imagine", "a film of real next to imagined frames, and where they differ"),
    ("play",): Command("play:play", "steer a dream by keyboard, joystick or a file of actions"),
    ("calibrate-uncertainty",): Command(
        "uncertainty:calibrate_uncertainty", "what the disagreement of world models means in real error"
    ),
    ("calibrate-trust",): Command("trust:calibrate_trust", "how much surprise is normal, for the policy node"),
    ("run",): Command("run:run", "the ROS graph of a mode: sim_arm, real_arm, record, ..."),
    ("report",): Command("report:report", "one HTML page about a run folder"),
}


def find(words: list[str]) -> tuple[tuple[str, ...], Command] | None:
    """The command that the first words name."""
    for length in (2, 1):
        name = tuple(words[:length])
        if len(name) == length and name in COMMANDS:
            return name, COMMANDS[name]
    return None
