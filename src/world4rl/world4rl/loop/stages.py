"""The stages of a round: each is done once, so that an interrupted loop goes on where it was."""

from __future__ import annotations

from functools import partial

from world4rl.loop.refinement import RIVAL, refinement
from world4rl.loop.rollouts import Collector, rollouts
from world4rl.loop.round import Round
from world4rl.runs.dreamers import DREAMERS, update_dreamer
from world4rl.runs.evaluation import evaluate_once
from world4rl.runs.parallel import in_parallel
from world4rl.runs.run_folder import joined_store, successes
from world4rl.runs.stages import Stages, Work


def filtered_bc(round_: Round) -> None:
    """A policy that imitates every success so far, this round's too: a start for practice, and the rival that needs no
    dream."""
    from world4rl_policy.bc import train_and_save

    run, preset = round_.run, round_.run.preset
    store = joined_store(run.path / "stores" / "training+check", [round_.training(), round_.check()])
    network, config, out = preset.policy_config(run.contract), preset.bc.filtered_training, run.checkpoint(RIVAL)
    train_and_save(store, successes(store), out, network, config, run.seed, run.progress, "filtered BC")


def models(round_: Round) -> None:
    """Both pairs of world model and reward model learn further on the enlarged store."""
    run, before = round_.run, round_.previous.path / "checkpoints"
    training, _ = round_.training(), round_.check()  # written before two processes read them
    seed = 10 * round_.number + run.seed
    in_parallel(update_dreamer, [(run, name, seed + i, training.path, before) for i, name in enumerate(DREAMERS, 1)])


def evaluation(round_: Round) -> None:
    """Filtered BC and the round's policy on the run's held-out start states; what stayed is not measured twice."""
    run, rival, own = round_.run, f"evaluation/{RIVAL}.json", "evaluation.json"
    evaluate_once(run, run.checkpoint(RIVAL), run, rival)
    result = run.read("refinement.json")
    if not result["kept_start_policy"]:
        evaluate_once(run, run.checkpoint("refined"), run, own)
    else:
        run.write(own, run.read(rival) if result["stays"] == RIVAL else {"success": round_.start_success})


def stages(collect: Collector) -> dict[str, Work[Round]]:
    """Stage, what it does, and its usual seconds with the preset `tiny` on 2 cores; `collect`: how real episodes are
    made."""
    return {
        "roll-outs": (partial(rollouts, collect=collect), 10),
        "filtered BC": (filtered_bc, 20),
        "models": (models, 200),
        "refinement": (refinement, 120),
        "evaluation": (evaluation, 50),
    }


def do_stages(round_: Round, collect: Collector) -> dict[str, float]:
    """Do the stages that are left; returns the seconds that each of all took."""
    round_.run.path.mkdir(parents=True, exist_ok=True)
    work = stages(collect)
    progress = Stages.of(round_.run.path, work)
    progress.do(work, round_)
    return progress.wall_s
