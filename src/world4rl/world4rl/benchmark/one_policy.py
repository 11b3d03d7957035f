"""One policy for all tasks of a seed, which is told the task: filtered BC on everybody's successes, then PPO in the
dreams of all tasks at once, beside the rows' own policies.

World models, reward models and episodes are the rows'. What the preset says holds for each task: with K tasks there are
K times the steps of behaviour cloning, and K times the dreams, in batches K times as large.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from world4rl.benchmark.row import not_refined, undecidable
from world4rl.runs.concordance import RESULT as CONCORDANCE
from world4rl.runs.concordance import Trial, measure_concordance
from world4rl.runs.evaluation import evaluate_policies
from world4rl.runs.load_run import ROW
from world4rl.runs.origin import origin
from world4rl.runs.outcomes import encode_outcomes
from world4rl.runs.run_folder import ResultFolder, Run, joined_store, successes, training_store
from world4rl.runs.stages import Stages, Work
from world4rl.runs.start_states import practice_starts, start_states
from world4rl_data.store import EpisodeStore
from world4rl_policy.statistics import compare, wilson_interval

if TYPE_CHECKING:
    from world4rl.refinement.dreamed import Dreamer
    from world4rl.refinement.refine import RefineConfig
    from world4rl.refinement.rehearsal import Rehearsal
    from world4rl_wm.model.frames import StartStates

FOLDER = "one-policy"
RESULT = "one_policy.json"
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
        from world4rl.refinement.refine import with_horizon

        config = with_horizon(self.runs[0].preset.refine_config(), self.real)
        ppo, bc, few = config.ppo, config.dream_bc, config.selection.episodes
        return replace(
            config,
            ppo=replace(ppo, minibatch_size=tasks * ppo.minibatch_size, bc_batch_size=tasks * ppo.bc_batch_size),
            imagination=replace(config.imagination, num_envs=tasks * config.imagination.num_envs),
            selection=replace(config.selection, episodes=tasks * few),
            dream_bc=replace(bc, steps=len(self.runs) * bc.steps),
        )

    def rehearsal(self, runs: Sequence[Run]) -> Rehearsal:
        """In the dreams of the tasks of `runs`; the successes of all tasks are imitated."""
        from world4rl.refinement.rehearsal import Rehearsal

        config, dream, judges = self.config(len(runs)), _dreamer(runs, "a"), _dreamer(runs, "b")
        episodes, real = _practised_episodes(self, runs), (self.real, successes(self.real))
        practised = practice_starts(self.real, config.imagination, dream.world_model, episodes)
        return Rehearsal(dream, judges, practised, _held_out(runs), real, config, self.seed, self.runs[0].progress)


def filtered_bc(one: OnePolicy) -> None:
    """BC on every real success of every task."""
    from world4rl_policy.bc import train_and_save

    first, good = one.runs[0], successes(one.real)
    network = replace(first.preset.policy_config(first.contract), tasks=one.tasks)
    config, count = first.preset.bc.filtered_training, len(one.runs)
    config = replace(config, steps=config.steps * count, evaluate_every=config.evaluate_every * count)
    out = one.checkpoint("filtered_bc")
    train_and_save(one.real, good, out, network, config, one.seed, first.progress, "filtered BC of all tasks")


def start_policy(one: OnePolicy) -> None:
    """Filtered BC, or what it has become once it has seen the successes of all tasks dreamed, whichever the judges of
    the tasks that have a dream see better; nothing where none has one."""
    from world4rl_policy.actor_critic import GaussianPolicy

    dreamed = [run for run in one.runs if not undecidable(run)]
    if dreamed:
        one.rehearsal(dreamed).start(GaussianPolicy.load(one.checkpoint("filtered_bc")), one.checkpoint("start"))


def replay_checks(one: OnePolicy) -> None:
    """Of each task by itself, for the one start policy; what was undecided for the row is so here."""
    from world4rl.refinement.checked_dream import check_dream
    from world4rl.runs.dreamers import dreamer
    from world4rl_policy.actor_critic import GaussianPolicy

    found = {}
    for run in one.runs:
        if undecidable(run):
            found[run.task] = run.read("replay_check.json")
            continue
        store, config, limits = run.store("check"), one.config(), run.preset.replay_check.limits
        start, starts = GaussianPolicy.load(one.checkpoint("start")), _held_out([run])
        checked = check_dream(
            dreamer(run, "a"), start, store, range(len(store)), config.imagination, limits, run.seed, starts=starts
        )
        found[run.task] = checked.check.to_dict()
        print(f"replay check of {run.task}: {checked.check.reason}")
    one.write("replay_checks.json", found)


def refinement(one: OnePolicy) -> None:
    """PPO in the dreams of every task whose check allows it, as cautious as the least sure of them asks for; one
    checkpoint is chosen by its mean success over these tasks in the judge's dreams."""
    from world4rl.refinement.refine import save_refinement
    from world4rl_policy.actor_critic import GaussianPolicy
    from world4rl_wm.measures.replay_check import ReplayCheck

    checks = one.read("replay_checks.json")
    practised = one.practised()
    if not practised:
        shutil.copytree(one.checkpoint("filtered_bc"), one.checkpoint("refined"), dirs_exist_ok=True)
        reasons = "; ".join(f"{task}: {check['reason']}" for task, check in checks.items())
        one.write("refinement.json", not_refined(reasons))
        return
    weakest = min((checks[run.task] for run in practised), key=lambda check: check["j"])
    start, before = (GaussianPolicy.load(one.checkpoint(name)) for name in ("start", "filtered_bc"))
    rehearsal = one.rehearsal(practised)
    result = rehearsal.refine(rehearsal.seen(start, before), ReplayCheck.from_dict(weakest), one.path / "refine")
    save_refinement(result, one.checkpoint("refined"), one.seed)
    one.write("refinement.json", result.to_dict())
    print(
        f"refinement of {len(practised)} of {len(one.runs)} tasks: iteration {result.iteration} kept ({result.reason})"
    )


def _practised_episodes(one: OnePolicy, runs: Sequence[Run]) -> list[int]:
    """Episodes that practice begins as, none of those that check: one task after the other, each as often."""
    fresh = {info.episode_id for run in runs for info in run.store("check").infos}
    groups = [
        [row for row, info in enumerate(one.real.infos) if info.task == run.task and info.episode_id not in fresh]
        for run in runs
    ]
    return [group[number % len(group)] for number in range(max(map(len, groups))) for group in groups]


def _held_out(runs: Sequence[Run]) -> StartStates:
    """Start states that nothing learns from, those that choose: one task after the other."""
    import torch

    from world4rl_wm.model.frames import StartStates

    parts = [start_states(run, run.seeds.take("select", run.preset.selection.episodes)) for run in runs]
    frames, proprio = (torch.stack(one, 1).flatten(0, 1) for one in zip(*((p.frames, p.proprio) for p in parts)))
    return StartStates(frames, proprio, np.stack([part.tasks for part in parts], 1).ravel())


def _dreamer(runs: Sequence[Run], name: str) -> Dreamer:
    """World model `name` of all tasks, with the reward models that read its dreams of each."""
    from world4rl.refinement.dreamed import Dreamer
    from world4rl.runs.dreamers import dreamer
    from world4rl_wm.reward.model import RewardModel
    from world4rl_wm.reward.task_rewards import TaskRewards

    first, models = dreamer(runs[0], name), {}
    for run in runs:
        models[run.task] = RewardModel.load(run.checkpoint(f"reward_{name}"), first.world_model.device)
    return Dreamer(first.world_model, TaskRewards(models))


def evaluation(one: OnePolicy) -> None:
    """Filtered BC and the refined policy from every task's held-out start states, those of its row."""
    for run in one.runs:
        evaluate_policies(run, one, POLICIES, f"evaluation/{run.task}")


def imagined_and_real(one: OnePolicy) -> None:
    """The policies that the judge has seen, in the dreams and in the simulator of every task that was practised."""
    episodes = one.runs[0].preset.evaluation.concordance_episodes
    for run in one.practised() if episodes else ():
        print(f"{run.task}: {measure_concordance(one.trial(run), episodes)['sentence']}")


STAGES: dict[str, Work[OnePolicy]] = {
    "filtered BC of all tasks": (filtered_bc, 30),
    "start policy": (start_policy, 60),
    "replay checks": (replay_checks, 30),
    "refinement": (refinement, 400),
    "evaluation": (evaluation, 100),
    "imagined against real": (imagined_and_real, 120),
}
"""Stage, what it does, and its usual seconds for each task with the preset `metaworld/tiny` on 2 cores."""


def one_policy(runs: Sequence[Run]) -> None:
    """Do all stages that are not done yet, and write the result; the rows of `runs` are finished."""
    one = OnePolicy.beside(runs)
    if (one.path / RESULT).is_file():
        print(f"seed {one.seed}, one policy for all tasks: done before")
        return
    print(f"== one policy for {', '.join(one.tasks)}, seed {one.seed}", flush=True)
    one.path.mkdir(parents=True, exist_ok=True)
    stages = Stages(one.path, {name: seconds * len(runs) for name, (_, seconds) in STAGES.items()})
    stages.do(STAGES, one)
    one.write(RESULT, [_row(one, run, stages.wall_s) for run in runs])


def _row(one: OnePolicy, run: Run, wall_s: Mapping[str, float]) -> dict[str, Any]:
    """What the one policy does in a task, compared with the policies of the task alone on the same start states."""
    check, refined = one.read("replay_checks.json")[run.task], one.read("refinement.json")
    found = {name: one.read(f"evaluation/{run.task}/{name}.json")["success"] for name in POLICIES}
    alone = {name: run.read(f"evaluation/{name}.json")["success"] for name in POLICIES}
    paired = {"refined_vs_filtered_bc": compare(found["filtered_bc"], found["refined"])}
    paired |= {f"{name}_vs_alone": compare(alone[name], found[name]) for name in POLICIES}
    pairs = {name: pair.to_dict() for name, pair in paired.items()}
    tried = f"concordance/{run.task}/{CONCORDANCE}"
    intervals = {name: wilson_interval(sum(success), len(success)) for name, success in found.items()}
    return {
        "task": run.task,
        "seed": run.seed,
        **{f"{name}_success": float(np.mean(success)) for name, success in found.items()},
        **{f"{name}_alone_success": float(np.mean(success)) for name, success in alone.items()},
        "episodes": len(found["refined"]),
        "ci95": intervals | {name.replace("_vs_", "_minus_"): pair["ci95"] for name, pair in pairs.items()},
        "paired": pairs,
        "outcomes": {name: encode_outcomes(success) for name, success in found.items()},
        "practised": bool(check["passed"]),
        "replay_check": check,
        "refinement": refined,
        **({"concordance": one.read(tried)} if (one.path / tried).is_file() else {}),
        "tasks": list(one.tasks),
        **origin(run),
        "wall_s": {f"{name}, this task's share": seconds / len(one.runs) for name, seconds in wall_s.items()},
    }


def one_policy_rows(path: Path) -> list[dict[str, Any]]:
    """Every result of one policy below a benchmark's folder, a row for each task and seed."""
    return [row for file in sorted(path.glob(f"seed-*/{FOLDER}/{RESULT}")) for row in json.loads(file.read_text())]


def all_rows_finished(runs: Sequence[Run]) -> bool:
    """Whether there is everything that one policy is made of."""
    return all((run.path / ROW).is_file() for run in runs)
