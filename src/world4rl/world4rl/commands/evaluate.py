"""`world4rl evaluate`: success of a policy in the simulator."""

from __future__ import annotations

import json
from pathlib import Path

from world4rl.commands.common import SeedOption, require_amounts
from world4rl.errors import CommandError, existing
from world4rl_data.durable import replace_file

PART = 50  # episodes between two savings
EPISODES = "episodes.json"  # what was simulated so far, in the record of the policy and settings that it is of


def evaluate(
    policy: Path,
    out: Path | None = None,
    task: str | None = None,
    episodes: int = 200,
    noise: float = 0.0,
    seed: SeedOption = 0,
    first: int | None = None,
    workers: int = 2,
) -> None:
    """Let a policy act by its mean from held-out start states and print its success with the 95 % interval.

    Two policies evaluated with the same start states can be compared pair by pair. Interrupted, it goes on.
    `world4rl evaluate world-model` measures a world model, `world4rl evaluate concordance` a refinement's dreams.

    Args:
        policy: Checkpoint folder.
        out: JSON file with seeds, success and steps; None writes POLICY.evaluation.json. More episodes go on from
            what is there of the same policy and settings; that of others is refused.
        task: press_button, push_cube, lift_cube or a task of Meta-World; None takes the one of the policy's contract.
        episodes: Number of start states.
        noise: Standard deviation of noise added to each action [action units, 1 = a full step].
        first: First start state (simulator seed); None takes the range that run --seed sets apart for evaluation.
        workers: Processes.
    """
    from world4rl.episodes.collect import evaluate as evaluate_policy
    from world4rl.episodes.simulation import task_named
    from world4rl.runs.record import Record, checkpoint_digest
    from world4rl.runs.seed_ranges import SeedRanges
    from world4rl_data.contract import TaskContract
    from world4rl_policy.actor_critic import KIND
    from world4rl_policy.statistics import wilson_interval
    from world4rl_wm.checkpoint import read_config

    require_amounts(episodes, workers, noise)
    read_config(existing(policy, "policy"), KIND)
    digest = checkpoint_digest(policy)
    contract = TaskContract.load(policy / "contract.yaml")
    task = task_named(task or task_of(contract.name))
    start = SeedRanges(seed).take("evaluate", episodes).start if first is None else first
    out = out or policy.with_name(policy.name + ".evaluation.json")
    settings = {"policy": str(policy), "digest": digest, "task": task, "noise": noise, "first": start}
    settings |= {"episodes": episodes}
    record = Record(out.with_suffix(".run"), "evaluate", settings, seed, told=("policy", "episodes"))
    kept = record.folder / EPISODES
    found: dict[str, list] = {"seeds": [], "success": [], "steps": []}
    if kept.is_file():
        found = json.loads(kept.read_text())
    if found["seeds"] != list(range(start, start + len(found["seeds"]))):
        raise CommandError(f"{kept} holds other start states than asked: remove {record.folder} to start over")
    while len(found["seeds"]) < episodes:
        begin = start + len(found["seeds"])
        seeds = range(begin, min(begin + PART, start + episodes))
        part = evaluate_policy(task, contract, policy, seeds, noise, workers).to_dict()
        found = {key: found[key] + part[key] for key in found}
        record.metric(episodes=len(found["seeds"]), successes=sum(found["success"]))
        replace_file(kept, json.dumps(found))
    found = {key: values[:episodes] for key, values in found.items()}
    replace_file(out, json.dumps(found))
    record.finish()
    successes = sum(found["success"])
    low, high = wilson_interval(successes, episodes)
    print(f"{policy}: {successes} of {episodes} ({successes / episodes:.1%}, 95 % {low:.1%} to {high:.1%}); {out}")


def task_of(contract: str) -> str:
    """The simulated task of a contract's name.

    Raises:
        CommandError: no simulated task has this contract.
    """
    from world4rl_sim.task_contracts import TASK_CONTRACTS

    for task, name in TASK_CONTRACTS.items():
        if name == contract:
            return task
    known = ", ".join(TASK_CONTRACTS)
    raise CommandError(
        f"contract '{contract}' belongs to no simulated task alone: give --task, one of {known} or a task of Meta-World"
    )
