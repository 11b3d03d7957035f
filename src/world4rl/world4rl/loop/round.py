"""A round of the loop: its folder, the policy that it begins with, its start states, and what its models learn from.

It lies below the run, in `RUN/loop/round-NN`, with stores and checkpoints as the run has them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from world4rl.runs.load_run import load_run
from world4rl.runs.run_folder import Run, joined_store, training_store
from world4rl_data.store import EpisodeStore

FOLDER = "loop"


@dataclass(frozen=True)
class Round:
    """Round `number`, from 1 on, of `episodes` real episodes; `before` is the round before it, None: the run `first`
    itself."""

    first: Run
    number: int
    episodes: int
    before: Round | None

    @cached_property
    def run(self) -> Run:
        """Its own folder, with the settings of `first`, but for the iterations of PPO."""
        preset = self.first.preset
        fewer = replace(preset, ppo=replace(preset.ppo, iterations=preset.loop.iterations))
        return replace(self.first, path=self.first.path / FOLDER / f"round-{self.number:02d}", preset=fewer)

    @property
    def previous(self) -> Run:
        """Whose policy and models this round goes on with: the round before it, or the run itself."""
        return self.before.run if self.before else self.first

    @property
    def start(self) -> Path:
        """The policy that this round deploys and refines."""
        return self.previous.checkpoint("refined")

    @property
    def start_success(self) -> list[bool]:
        """Success of that policy on the run's held-out start states."""
        return list(self.previous.read("evaluation.json" if self.before else "evaluation/refined.json")["success"])

    @property
    def held_back(self) -> int:
        """How many of its episodes no world model learns from: the replay check has them."""
        return round(self.first.preset.loop.check_share * self.episodes)

    @property
    def rollout_seeds(self) -> range:
        """Where its real episodes begin.

        Raises:
            ValueError: fewer start states are set apart for rounds.
        """
        return self.first.seeds.take("loop", self.number * self.episodes)[-self.episodes :]

    @property
    def judge_seeds(self) -> range:
        """Where the judge's dreams begin, of this round alone: on the start states of the rounds before the policy was
        chosen, and it began with the successes of the episodes that are held back.

        Raises:
            ValueError: fewer start states are set apart for the judge.
        """
        own = load_run(self.first.path).preset.selection.episodes  # `first` may have others, for its rounds alone
        few = self.first.preset.selection.episodes
        return self.first.seeds.take("select", own + self.number * few)[-few:]

    def training(self) -> EpisodeStore:
        """All episodes that world model and reward model learn from."""
        earlier = self.before.training() if self.before else training_store(self.first, "demonstrations", "practice")
        return joined_store(self.run.path / "stores" / "training", [earlier, self.run.store("rollouts")])

    def check(self) -> EpisodeStore:
        """Episodes that no world model has learned from, the newest policy's first."""
        earlier = self.before.check() if self.before else self.first.store("check")
        return joined_store(self.run.path / "stores" / "check", [self.run.store("fresh"), earlier])
