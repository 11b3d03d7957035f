"""`world4rl loop`: deploy, record, learn from it, refine again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import tyro

from world4rl.commands.common import Overrides
from world4rl.errors import CommandError


def loop(
    run: Annotated[Path, tyro.conf.Positional],
    rounds: int = 2,
    real_episodes: int = 100,
    on_graph: bool = False,
    settings: Overrides = (),
) -> None:
    """Go on with a finished run: its refined policy works in the simulator, the models learn from that, PPO again.

    In each round the newest policy acts from fresh start states, with noise. Most of these episodes enlarge the store
    that both world models and reward models then learn further from; the others are kept back for the replay check,
    together with earlier ones. Filtered BC learns anew from every success so far: practice begins with it or with the
    newest policy, whichever does better in the judge's dreams, and the table has it as the rival that needs no dream.
    Where the check fails the newest policy stays; where the judge sees no gain, the newest or filtered BC, whichever
    does better in its dreams.
    RUN/loop/round-NN has each round's stores, checkpoints and metrics, RUN/loop.json the table, which the run's report
    shows as well.
    Interrupted, the same command goes on; with more --rounds and as many episodes for each, it adds rounds.

    Args:
        run: Folder of a finished `world4rl demo`, or of a row of `world4rl benchmark metaworld` (RUN/seed-0/TASK).
        rounds: Rounds after the run itself.
        real_episodes: Real episodes of all rounds together. The measurement on held-out start states comes on top.
        on_graph: The policy works on the ROS graph, over DDS, recorded to bags in RUN/loop/round-NN/bags: by its mean
            action, without noise. Not with Meta-World's tasks, which have no graph.
    """
    from world4rl.loop import rollouts
    from world4rl.loop.refinement import NEWEST, RIVAL
    from world4rl.loop.round import FOLDER
    from world4rl.loop.run import RESULT, require_possible, run_loop
    from world4rl.presets import preset_values
    from world4rl.report.page import build_report
    from world4rl.runs.load_run import load_run, require_config
    from world4rl_sim.task_contracts import TASK_CONTRACTS

    if rounds < 1 or real_episodes < rounds:
        raise CommandError("--rounds must be at least 1, --real-episodes at least --rounds")
    loaded = load_run(run, settings=settings)
    each = real_episodes // rounds
    require_possible(loaded, rounds, each)
    if on_graph and loaded.task not in TASK_CONTRACTS:
        raise CommandError(f"{loaded.task} is a task of Meta-World, which has no graph: leave --on-graph out")
    config = {"episodes_per_round": each, "on_graph": on_graph, "settings": preset_values(loaded.preset)}
    config["practice_begins_with"] = [NEWEST, RIVAL]  # a loop of before there was a choice is not gone on with
    require_config(run / FOLDER, config)
    found = run_loop(loaded, rounds, each, rollouts.on_graph if on_graph else rollouts.in_process)
    print("\n".join(table(found["rounds"])))
    print(f"success by the mean action on {found['evaluation_episodes']} held-out start states; {run / RESULT}")
    print(f"report: {build_report(run)}")


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines for people, one for each round."""
    from world4rl.loop.refinement import NEWEST
    from world4rl_wm.measures.replay_check import rate_text

    heads = ("round  real episodes  J     kept        judged         success (95 %)          ", "filtered BC")
    lines = ["  ".join((*heads, "against the round before"))]
    for row in rows:
        low, high = row["ci95"]
        success = f"{row['success']:6.1%} ({low:.1%} to {high:.1%})  {row['filtered_bc_success']:11.1%}"
        if row["round"] == 0:
            lines.append(f"{0:5d}  {0:13d}  {'':5s} {'':11s} {'':14s} {success}")
            continue
        check, pair = row["replay_check"], row["against_before"]
        stayed = not row["iteration"] and row["stays"] == NEWEST
        kept = f"iter. {row['iteration']}" if row["iteration"] else "as before" if stayed else "filtered BC"
        after = row["judged_after"]  # None: the policy of before was kept, which was not dreamed
        judged = f"{row['judged_before']:.2f} -> {'-' if after is None else f'{after:.2f}'}"
        difference = f"{100 * pair['difference']:+.1f} points, p {pair['mcnemar_p']:.2f}" if not stayed else ""
        columns = f"{row['real_episodes']:13d}  {rate_text(check['j']):>5s} {kept:11s} {judged:14s} {success}"
        lines.append(f"{row['round']:5d}  {columns}  {difference}".rstrip())
    return lines
