"""The folder of one policy for several tasks, beside the folders of the rows that it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from world4rl.runs.concordance import Trial
from world4rl.runs.run_folder import ResultFolder, Run, joined_store, training_store
from world4rl_data.store import EpisodeStore

if TYPE_CHECKING:
    from world4rl.refinement.refine import RefineConfig

FOLDER = "one-policy"
POLICIES = ("filtered_bc", "refined")


@dataclass(frozen=True)
class OnePolicy(ResultFolder):
    """The folder of the one policy, with the finished rows `runs`, which share their world models."""

    runs: tuple[Run, ...]

    @classmethod
    def beside(cls, runs: Sequence[Run]) -> OnePolicy:
        """The one beside the folders of these rows."""
        return cls(runs[0].path.parent / FOLDER, tuple(sorted(runs, key=lambda run: run.task)))

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(run.task for run in self.runs)

    @property
    def seed(self) -> int:
        return self.runs[0].seed

    @cached_property
    def real(self) -> EpisodeStore:
        """All real episodes of all tasks, written once."""
        parts = [training_store(run, "demonstrations", "practice", "check") for run in self.runs]
        return joined_store(self.path / "stores" / "all", parts)

    def practised(self) -> list[Run]:
        """The rows whose tasks the replay check let it practise; known after that."""
        checks = self.read("replay_checks.json")
        return [run for run in self.runs if checks[run.task]["passed"]]

    def trial(self, run: Run) -> Trial:
        """Its refinement in the task of `run`, one of those that it practised."""
        out = replace(run, path=self.path / "concordance" / run.task)
        return Trial(self, run, out, self.config(len(self.practised())).imagination)

    def config(self, tasks: int = 1) -> RefineConfig:
        """The preset's, for a refinement in dreams of so many tasks; BC on dreams is of all tasks in any case."""
        config = self.runs[0].preset.refine_config(self.real)
        ppo, bc, few = config.ppo, config.dream_bc, config.selection.episodes
        return replace(
            config,
            ppo=replace(ppo, minibatch_size=tasks * ppo.minibatch_size, bc_batch_size=tasks * ppo.bc_batch_size),
            imagination=replace(config.imagination, num_envs=tasks * config.imagination.num_envs),
            selection=replace(config.selection, episodes=tasks * few),
            dream_bc=replace(bc, steps=len(self.runs) * bc.steps),
        )
