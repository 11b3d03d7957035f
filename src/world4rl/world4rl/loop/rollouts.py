"""A round's real episodes: its policy at work, in this process or on the ROS graph."""

from __future__ import annotations

from collections.abc import Callable

from world4rl.episodes.collect import Behaviour
from world4rl.loop.round import Round
from world4rl.runs.run_folder import collect_into

Collector = Callable[[Round, str, range], None]
"""Collects the episodes of a round with these seeds into a store of it, by name; an interrupted call goes on."""


def rollouts(round_: Round, collect: Collector) -> None:
    """The policy at work, within the budget of real episodes."""
    seeds, held_back = round_.rollout_seeds, round_.held_back
    collect(round_, "fresh", seeds[:held_back])
    collect(round_, "rollouts", seeds[held_back:])


def in_process(round_: Round, store: str, seeds: range) -> None:
    """A `Collector`: in this process, with noise."""
    behaviour = Behaviour("policy", round_.first.preset.loop.noise, round_.start)
    collect_into(round_.run, store, behaviour, seeds, f"round {round_.number}, {store}")


def on_graph(round_: Round, store: str, seeds: range) -> None:
    """A `Collector`: over DDS, by the policy's mean action, to bags, to the store; what an interrupted attempt left is
    recorded anew.

    Its results tell when all are recorded: the store need not take every bag.
    """
    from world4rl.episodes.graph_episodes import deploy
    from world4rl_data.build import build_store

    run, results = round_.run, f"{store}.json"
    if not (run.path / results).is_file() or len(run.read(results).get("results", ())) < len(seeds):
        deploy(run.task, round_.start, len(seeds), seeds[0], run.path, run.progress, store)
    report = build_store(run.path / "bags" / store, run.path / "stores" / store, run.contract, progress=False)
    if report.skipped:
        print(report)
    if not len(run.store(store)):
        raise RuntimeError(f"no episode of the graph could be used: {report}. See {run.path}/log/{store}")
