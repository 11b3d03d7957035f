"""The loop closed: the refined policy works in the simulator, the models learn from what it did, it is refined again.

Practice begins with the newest policy or with filtered BC on every success so far, whichever does better in the judge's
dreams.

A round has a folder of its own below the run, `RUN/loop/round-NN`, with stores and checkpoints as the run has them. Its
stages are done once each, so that an interrupted loop goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from world4rl.episodes.collect import Behaviour
from world4rl.runs.dreamers import DREAMERS, dreamer, require_dreamers, update_dreamer
from world4rl.runs.evaluation import evaluate_once
from world4rl.runs.load_run import load_run
from world4rl.runs.origin import origin
from world4rl.runs.parallel import in_parallel
from world4rl.runs.run_folder import Run, collect_into, joined_store, successes, training_store
from world4rl.runs.stages import Stages, Work
from world4rl.runs.start_states import practice_starts, start_states
from world4rl_data.store import EpisodeStore
from world4rl_policy.statistics import compare, wilson_interval

if TYPE_CHECKING:
    from world4rl.refinement.rehearsal import Rehearsal

FOLDER, RESULT = "loop", "loop.json"
NEWEST, RIVAL = "newest", "filtered_bc"


class Round:
    """Round `number`, from 1 on; `before` is the round before it, None: the run itself.

    `on_graph`: its policy works over DDS, by its mean action, recorded to bags; else in this process, with noise.
    """

    def __init__(self, first: Run, number: int, episodes: int, before: Round | None, on_graph: bool = False):
        self.first, self.number, self.episodes, self.before, self.on_graph = first, number, episodes, before, on_graph
        preset = replace(first.preset, ppo=replace(first.preset.ppo, iterations=first.preset.loop.iterations))
        self.run = replace(first, path=first.path / FOLDER / f"round-{number:02d}", preset=preset)
        self.held_back = round(preset.loop.check_share * episodes)

    @property
    def start(self) -> Path:
        """The policy that this round deploys and refines."""
        return (self.before.run if self.before else self.first).checkpoint("refined")

    @property
    def start_success(self) -> list[bool]:
        """Success of that policy on the run's held-out start states."""
        file = self.before.run.read("evaluation.json") if self.before else self.first.read("evaluation/refined.json")
        return list(file["success"])

    def training(self) -> EpisodeStore:
        """All episodes that world model and reward model learn from."""
        earlier = self.before.training() if self.before else training_store(self.first, "demonstrations", "practice")
        return joined_store(self.run.path / "stores" / "training", [earlier, self.run.store("rollouts")])

    def check(self) -> EpisodeStore:
        """Episodes that no world model has learned from, the newest policy's first."""
        earlier = self.before.check() if self.before else self.first.store("check")
        return joined_store(self.run.path / "stores" / "check", [self.run.store("fresh"), earlier])

    def rollouts(self) -> None:
        """The policy at work, within the budget of real episodes."""
        seeds = self.first.seeds.take("loop", self.number * self.episodes)[-self.episodes :]
        behaviour = Behaviour("policy", self.first.preset.loop.noise, self.start)
        for store, part in (("fresh", seeds[: self.held_back]), ("rollouts", seeds[self.held_back :])):
            if self.on_graph:
                self._deploy_into(store, part)
            else:
                collect_into(self.run, store, behaviour, part, f"round {self.number}, {store}")

    def _deploy_into(self, store: str, seeds: range) -> None:
        """Episodes on the graph, to bags, to a store; what an interrupted attempt left is recorded anew.

        Its results tell when all are recorded: the store need not take every bag.
        """
        from world4rl.episodes.graph_episodes import deploy
        from world4rl_data.build import build_store

        run, results = self.run, f"{store}.json"
        if not (run.path / results).is_file() or len(run.read(results).get("results", ())) < len(seeds):
            deploy(run.task, self.start, len(seeds), seeds[0], run.path, run.progress, store)
        report = build_store(run.path / "bags" / store, run.path / "stores" / store, run.contract, progress=False)
        if report.skipped:
            print(report)
        if not len(run.store(store)):
            raise RuntimeError(f"no episode of the graph could be used: {report}. See {run.path}/log/{store}")

    def models(self) -> None:
        """Both pairs of world model and reward model learn further on the enlarged store."""
        before = (self.before.run if self.before else self.first).path / "checkpoints"
        self.training(), self.check()  # written before two processes read them
        store, seed = self.run.path / "stores" / "training", 10 * self.number + self.first.seed
        in_parallel(update_dreamer, [(self.run, name, seed + i, store, before) for i, name in enumerate(DREAMERS, 1)])

    def filtered_bc(self) -> None:
        """A policy that imitates every success so far, this round's too: a start for practice, and the rival that needs
        no dream."""
        from world4rl_policy.bc import train_and_save

        run, preset = self.run, self.run.preset
        store = joined_store(run.path / "stores" / "training+check", [self.training(), self.check()])
        network, config, out = preset.policy_config(run.contract), preset.bc.filtered_training, run.checkpoint(RIVAL)
        train_and_save(store, successes(store), out, network, config, self.first.seed, run.progress, "filtered BC")

    def rehearsal(self) -> Rehearsal:
        """As the run's, but nothing of the episodes that are held back is imitated."""
        from world4rl.refinement.refine import with_horizon
        from world4rl.refinement.rehearsal import Rehearsal

        training, dream, judges = self.training(), dreamer(self.run, "a"), dreamer(self.run, "b")
        config, real = with_horizon(self.run.preset.refine_config(), training), (training, successes(training))
        practised = practice_starts(training, config.imagination, dream.world_model)
        judged = start_states(self.run, _judge_seeds(self.first, self.number))
        seed = self.first.seed + self.number
        return Rehearsal(dream, judges, practised, judged, real, config, seed, self.run.progress)

    def refinement(self) -> None:
        """Replay check, PPO in the updated dream, choice by the updated judge; else the policy stays as it was."""
        from world4rl.refinement.refine import save_refinement
        from world4rl_policy.actor_critic import GaussianPolicy
        from world4rl_wm.measures.replay_check import as_newest_allows, judge, rate_text

        run, check, rehearsal, limits = self.run, self.check(), self.rehearsal(), self.run.preset.replay_check.limits
        newest, rival = (
            rehearsal.start(GaussianPolicy.load(policy), run.checkpoint(f"start_{name}"))
            for name, policy in ((NEWEST, self.start), (RIVAL, run.checkpoint(RIVAL)))
        )
        chosen = rival if rival.judged > newest.judged else newest
        checked = rehearsal.check(chosen.policy, check, range(len(check)), limits)
        newest_few = len(run.store("fresh"))
        own = judge(checked.replayed.real_success[:newest_few], checked.success[:newest_few], limits)
        verdict = as_newest_allows(checked.check, own, limits)
        run.write("replay_check.json", verdict.to_dict() | {"newest_policy": own.to_dict()})
        print(f"replay check: {verdict.reason}; on the newest policy's {newest_few} episodes J = {rate_text(own.j)}")
        if not verdict.passed:
            chosen = newest  # a judge that dreams the same is not believed about starts either
        result = rehearsal.refine(chosen, verdict, run.path / "refine")
        save_refinement(result, run.checkpoint("refined"), rehearsal.seed)
        began, judged = RIVAL if chosen is rival else NEWEST, {NEWEST: newest.judged, RIVAL: rival.judged}
        run.write("refinement.json", result.to_dict() | {"start": began, "judged_starts": judged})
        print(f"round {self.number}: begun with {began}, iteration {result.iteration} kept ({result.reason})")

    def evaluation(self) -> None:
        """Filtered BC and the round's policy on the run's held-out start states; what stayed is not measured twice."""
        run, rival, own = self.run, f"evaluation/{RIVAL}.json", "evaluation.json"
        evaluate_once(run, run.checkpoint(RIVAL), run, rival)
        result = run.read("refinement.json")
        if not result["kept_start_policy"]:
            evaluate_once(run, run.checkpoint("refined"), run, own)
        else:
            run.write(own, run.read(rival) if result["start"] == RIVAL else {"success": self.start_success})

    def do(self) -> dict[str, Any]:
        """All stages that are left; returns the round's row of the table."""
        self.run.path.mkdir(parents=True, exist_ok=True)
        stages = Stages.of(self.run.path, STAGES)
        stages.do(STAGES, self)
        return self._row() | {"wall_s": stages.wall_s}

    def _row(self) -> dict[str, Any]:
        refinement, check = self.run.read("refinement.json"), self.run.read("replay_check.json")
        success, rival = (self.run.read(file)["success"] for file in ("evaluation.json", f"evaluation/{RIVAL}.json"))
        return {
            "round": self.number,
            "real_episodes": self.number * self.episodes,
            "training_episodes": len(self.training()),
            "replay_check": check,
            "start": refinement["start"],
            "judged_starts": refinement["judged_starts"],
            "iteration": refinement["iteration"],
            "reason": refinement["reason"],
            "judged_before": refinement.get("judged_before", refinement["judged_start"]),  # of before it was judged
            "judged_after": refinement["judged_refined"],
            **_rates(success, rival),
            "against_before": compare(self.start_success, success).to_dict(),
            "against_first": compare(self.first.read("evaluation/refined.json")["success"], success).to_dict(),
        }


STAGES: dict[str, Work[Round]] = {
    "roll-outs": (Round.rollouts, 10),
    "filtered BC": (Round.filtered_bc, 20),
    "models": (Round.models, 200),
    "refinement": (Round.refinement, 120),
    "evaluation": (Round.evaluation, 50),
}
"""Stage, what it does, and its usual seconds with the preset `tiny` on 2 cores."""


def _rates(success: Sequence[bool], rival: Sequence[bool]) -> dict[str, Any]:
    """Success of a round's policy and of filtered BC on the same episodes."""
    return {
        "success": sum(success) / len(success),
        "ci95": wilson_interval(sum(success), len(success)),
        "filtered_bc_success": sum(rival) / len(rival),
        "filtered_bc_ci95": wilson_interval(sum(rival), len(rival)),
        "against_filtered_bc": compare(rival, success).to_dict(),
    }


def _judge_seeds(first: Run, number: int) -> range:
    """Where the judge's dreams of a round begin, for that round alone: on the start states of the rounds before the
    policy was chosen, and it began with the successes of the episodes that are held back."""
    own = load_run(first.path).preset.selection.episodes  # `first` may have been given others, for its rounds alone
    few = first.preset.selection.episodes
    return first.seeds.take("select", own + number * few)[-few:]


def require_possible(first: Run, rounds: int, episodes: int) -> None:
    """Refuse what could not be finished.

    Raises:
        ValueError: the run is not finished, was measured otherwise or has no dream, `episodes` cannot be divided, or
            there are too few start states for so many rounds.
    """
    if not (first.path / "evaluation" / "refined.json").is_file():
        raise ValueError(f"{first.path} is not finished: go on with `world4rl demo --run {first.path}`")
    require_dreamers(first)
    measured, wanted = len(first.read("evaluation/refined.json")["success"]), first.preset.evaluation.episodes
    if measured != wanted:
        raise ValueError(
            f"evaluation.episodes is {wanted}, the run was measured on {measured}: the table needs the same"
        )
    if not 0 < round(first.preset.loop.check_share * episodes) < episodes:
        raise ValueError(f"{episodes} real episodes for a round: too few to learn from some and check on others")
    first.seeds.take("loop", rounds * episodes), _judge_seeds(first, rounds)


def run_loop(first: Run, rounds: int, episodes: int, on_graph: bool = False) -> dict[str, Any]:
    """Do `rounds` rounds of `episodes` real episodes each after the run `first`; writes loop.json.

    `on_graph`: as `Round`.

    Raises:
        ValueError: as `require_possible`.
    """
    require_possible(first, rounds, episodes)
    success, rival = (first.read(f"evaluation/{policy}.json")["success"] for policy in ("refined", RIVAL))
    rows: list[dict[str, Any]] = [{"round": 0, "real_episodes": 0, **_rates(success, rival)}]
    before: Round | None = None
    for number in range(1, rounds + 1):
        before = Round(first, number, episodes, before, on_graph)
        rows.append(before.do())
        told = {"task": first.task, "seed": first.seed, "rounds": rows, "episodes_per_round": episodes}
        table = told | {"evaluation_episodes": len(success)} | origin(first)
        first.write(RESULT, table)
    return table
