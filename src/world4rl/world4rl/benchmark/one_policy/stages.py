"""The stages of one policy for several tasks, from filtered BC to its evaluation in every task.

What the preset says holds for each task: with K tasks there are K times the steps of behaviour cloning, and K times the
dreams, in batches K times as large.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

from world4rl.benchmark.one_policy.folder import POLICIES, OnePolicy
from world4rl.benchmark.one_policy.rehearsal import rehearsal
from world4rl.benchmark.row import not_refined, undecidable
from world4rl.runs.concordance import measure_concordance
from world4rl.runs.evaluation import evaluate_policies
from world4rl.runs.run_folder import successes
from world4rl.runs.stages import Stages, Work
from world4rl.runs.start_states import judge_starts


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
        rehearsal(one, dreamed).start(GaussianPolicy.load(one.checkpoint("filtered_bc")), one.checkpoint("start"))


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
        start, starts = GaussianPolicy.load(one.checkpoint("start")), judge_starts(run)
        checked = check_dream(
            dreamer(run, "a"), start, store, range(len(store)), starts, config.imagination, limits, run.seed
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
    rehearsed = rehearsal(one, practised)
    result = rehearsed.refine(rehearsed.seen(start, before), ReplayCheck.from_dict(weakest), one.path / "refine")
    save_refinement(result, one.checkpoint("refined"), one.seed)
    one.write("refinement.json", result.to_dict())
    print(
        f"refinement of {len(practised)} of {len(one.runs)} tasks: iteration {result.iteration} kept ({result.reason})"
    )


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


def do_stages(one: OnePolicy) -> dict[str, float]:
    """Do the stages that are left; returns the seconds that each of all took."""
    one.path.mkdir(parents=True, exist_ok=True)
    progress = Stages(one.path, {name: seconds * len(one.runs) for name, (_, seconds) in STAGES.items()})
    progress.do(STAGES, one)
    return progress.wall_s
