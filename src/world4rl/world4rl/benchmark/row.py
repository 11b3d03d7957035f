"""One row of the Meta-World table: a task and a seed, from demonstrations to the evaluation on unseen start states.

The stages are the demo's (`world4rl.pipeline`), with demonstrations taken in-process instead of on the graph. They come
in two halves, because a world model over all tasks needs the episodes of every task first.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from world4rl import pipeline
from world4rl.episodes.collect import Behaviour
from world4rl.runs.concordance import imagined_and_real
from world4rl.runs.load_run import ROW
from world4rl.runs.run_folder import Run, collect_into, successes
from world4rl.runs.stages import Stages, Work
from world4rl.runs.summary import compared

MOST_ATTEMPTS = 3  # episodes of the expert for each demonstration asked for, at most


def expert_demonstrations(run: Run) -> None:
    """Episodes of Meta-World's scripted policy until there are enough successful ones.

    Raises:
        RuntimeError: the expert hardly ever succeeds within an episode of this contract.
    """
    settings = run.preset.collect
    wanted = settings.demonstrations
    behaviour = Behaviour("expert", settings.demonstration_noise)
    seeds = run.seeds.take("demonstrate", MOST_ATTEMPTS * wanted)
    taken, have = 0, 0
    while have < wanted and taken < len(seeds):
        batch = seeds[taken : taken + wanted - have]
        collect_into(run, "demonstrations", behaviour, batch, "demonstrations")
        taken += len(batch)
        have = len(successes(run.store("demonstrations")))
    if have < wanted:
        raise RuntimeError(
            f"{run.task}: the expert succeeded in {have} of {taken} episodes, {wanted} demonstrations are asked for. "
            "Give a contract with longer episodes, less collect.demonstration_noise, or fewer collect.demonstrations"
        )


def undecidable(run: Run) -> bool:
    """Whether the fresh episodes lack one of the two outcomes: then no replay check can pass and no dream is needed."""
    store = run.store("check")
    found = len(successes(store))
    return min(found, len(store) - found) < max(1, run.preset.replay_check.limits.min_episodes)


def world_models(run: Run) -> None:
    """Two world models of this task alone with their reward models."""
    if not undecidable(run):
        pipeline.world_models(run)


def readers(run: Run) -> None:
    """The reward models of this task that read the dreams of the world models over all tasks."""
    if not undecidable(run):
        pipeline.reward_models(run)


def start_policy(run: Run) -> None:
    """Filtered BC that has also seen its successes dreamed, where there is a dream."""
    if not undecidable(run):
        pipeline.start_policy(run)


def replay_check(run: Run) -> None:
    """Does the dream tell success from failure? Undecided where the fresh episodes have one outcome only."""
    if not undecidable(run):
        pipeline.replay_check(run)
        return
    from world4rl_wm.measures.replay_check import undecided

    store = run.store("check")
    found = len(successes(store))
    check = undecided(found, len(store) - found, run.preset.replay_check.limits)
    run.write("replay_check.json", check.to_dict())
    print(f"replay check: {check.reason}")


def refinement(run: Run) -> None:
    """PPO in the dream where the check allows it; else filtered BC is kept."""
    if not undecidable(run):
        pipeline.refinement(run)
        return
    shutil.copytree(run.checkpoint("filtered_bc"), run.checkpoint("refined"), dirs_exist_ok=True)
    run.write("refinement.json", not_refined(run.read("replay_check.json")["reason"]))


def not_refined(reason: str) -> dict[str, Any]:
    """What stands in refinement.json where nobody could dream."""
    values: dict[str, Any] = dict.fromkeys(
        [*(f"{who}_{whom}" for who in ("imagined", "judged") for whom in ("before", "start", "refined")), "start_kl"]
    )
    return values | {"iteration": 0, "reason": reason, "kept_start_policy": True}


GATHER: dict[str, Work[Run]] = {
    "demonstrations": (expert_demonstrations, 15),
    "behaviour cloning": (pipeline.behaviour_cloning, 15),
    "practice": (pipeline.practice, 45),
    "scout policy": (pipeline.scout_policy, 30),
    "scout practice": (pipeline.scout_practice, 30),
    "fresh episodes": (pipeline.check_episodes, 50),
    "filtered BC": (pipeline.filtered_bc, 30),
}
OWN_MODELS: dict[str, Work[Run]] = {"world models": (world_models, 600)}
SHARED_MODELS: dict[str, Work[Run]] = {"reward models": (readers, 90)}
CONCLUDE: dict[str, Work[Run]] = {
    "start policy": (start_policy, 60),
    "replay check": (replay_check, 30),
    "refinement": (refinement, 400),
    "evaluation": (pipeline.evaluation, 150),
    "imagined against real": (imagined_and_real, 120),
}
"""Stage, what it does, and its usual seconds with the preset `metaworld/tiny` on 2 cores."""


def all_finished(runs: Iterable[Run]) -> bool:
    """Whether all of these rows are there."""
    return all((run.path / ROW).is_file() for run in runs)


def do_stages(run: Run, part: Mapping[str, Work[Run]], shared: bool) -> dict[str, float]:
    """Do the stages of `part` that this row has not done yet; returns the seconds that each of its stages took."""
    models = SHARED_MODELS if shared else OWN_MODELS
    run.path.mkdir(parents=True, exist_ok=True)
    stages = Stages.of(run.path, GATHER | models | CONCLUDE)
    stages.do(part, run)
    return stages.wall_s


def trajectories(run: Run) -> dict[str, int]:
    """Real episodes for the world model by who acted in them; of the expert those that succeeded, as asked for."""
    practised = Counter(info.source for info in run.store("practice").infos)
    return {"expert": len(successes(run.store("demonstrations"))), **practised}


def write_row(run: Run, wall_s: Mapping[str, float], model: Mapping[str, Any]) -> dict[str, Any]:
    """Put the row together, write it to the run's folder and return it; `model` tells about a shared world model."""
    row = compared(run) | {
        "contract": run.contract.name,
        "episode_steps": round(run.contract.max_episode_s * run.contract.control_rate_hz),
        "trajectories": trajectories(run),
        "world_model": dict(model),
        "wall_s": dict(wall_s),
    }
    run.write(ROW, row)
    return row
