"""The whole loop: demonstrations on the graph, learning, dreaming, refinement, deployment, and what came of it.

`STAGES` is the table of contents. Every stage reads what earlier ones wrote into the run folder and writes its own part
whole or not at all, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from world4rl.episodes.collect import Behaviour
from world4rl.runs.concordance import imagined_and_real
from world4rl.runs.dreamers import DREAMERS, dreamer, train_dreamer, train_reader
from world4rl.runs.evaluation import evaluate_policies
from world4rl.runs.parallel import in_parallel
from world4rl.runs.run_folder import Run, collect_into, successes, training_store
from world4rl.runs.stages import Stages, Work
from world4rl.runs.start_states import judge_starts, practice_starts
from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore

if TYPE_CHECKING:
    from world4rl.refinement.checked_dream import CheckedDream
    from world4rl.refinement.checkpoint_choice import PracticeStart
    from world4rl.refinement.rehearsal import Rehearsal

CHECK_BATCH = 50


def demonstrations(run: Run) -> None:
    """Demonstrations of the scripted operator, over DDS, to bags, to a store."""
    from world4rl.episodes.graph_episodes import demonstrate
    from world4rl_data.build import build_store

    settings = run.preset.collect
    first = run.seeds.take("demonstrate", settings.demonstrations).start
    demonstrate(run.task, settings.demonstrations, first, settings.demonstration_noise, run.path, run.progress)
    store = run.path / "stores" / "demonstrations"
    report = build_store(run.path / "bags" / "demonstrations", store, run.contract, progress=False)
    if report.skipped:
        print(report)
    if not successes(EpisodeStore.open(store)):
        raise RuntimeError(f"no demonstration succeeded: {report}. See log/demonstrations/graph.log")


def behaviour_cloning(run: Run) -> None:
    """BC on the demonstrations."""
    from world4rl_policy.bc import train_and_save

    store, out = run.store("demonstrations"), run.checkpoint("bc")
    network, config = run.preset.policy_config(run.contract), run.preset.bc.training
    train_and_save(store, successes(store), out, network, config, run.seed, run.progress)


def practice(run: Run) -> None:
    """Roll-outs of the BC policy at several noise levels, and random motion: what the world model learns from."""
    settings = run.preset.collect
    levels, seeds = settings.policy_noise, run.seeds.take("train", settings.policy_episodes)
    share, left_over = divmod(len(seeds), len(levels))
    for number, noise in enumerate(levels):
        count = share + (number < left_over)
        part, seeds = seeds[:count], seeds[count:]
        behaviour = Behaviour("policy", noise, run.checkpoint("bc"))
        collect_into(run, "practice", behaviour, part, f"policy, noise {noise:g}")
    random = run.seeds.take("random", settings.random_episodes)
    collect_into(run, "practice", Behaviour("random"), random, "random motion")


def scout_policy(run: Run) -> None:
    """BC on the demonstrations and on the BC policy's own successes: it goes ahead where the refined policy will go."""
    from world4rl_policy.bc import train_and_save

    store = training_store(run, "demonstrations", "practice")
    network, config = run.preset.policy_config(run.contract), run.preset.bc.filtered_training
    out = run.checkpoint("scout")
    train_and_save(store, successes(store), out, network, config, run.seed, run.progress, "scout policy")


def scout_practice(run: Run) -> None:
    """Roll-outs of the scout policy: the world model is to be true where that policy goes."""
    settings = run.preset.collect
    behaviour = Behaviour("policy", settings.scout_noise, run.checkpoint("scout"))
    collect_into(run, "practice", behaviour, run.seeds.take("scout", settings.scout_episodes), "scout policy")


def check_episodes(run: Run) -> None:
    """Fresh episodes of the scout policy at the exploration noise of PPO, until there are enough of both outcomes."""
    settings = run.preset.replay_check
    behaviour = Behaviour("policy", run.preset.ppo.std, run.checkpoint("scout"))
    seeds = run.seeds.take("replay_check", settings.max_episodes)
    for first in range(0, len(seeds), CHECK_BATCH):
        collect_into(run, "check", behaviour, seeds[first : first + CHECK_BATCH], "fresh episodes")
        so_far = seeds[: first + CHECK_BATCH]  # of an interrupted stage the store holds more
        outcomes = [info.outcome for info in run.store("check").infos if info.seed in so_far]
        done = outcomes.count(Outcome.SUCCESS)
        if done >= settings.successes and len(outcomes) - done >= settings.failures:
            break


def filtered_bc(run: Run) -> None:
    """BC on every real success that any part of this run has seen: where refinement begins, and what it must beat."""
    from world4rl_policy.bc import train_and_save

    store = training_store(run, "demonstrations", "practice", "check")
    network, config = run.preset.policy_config(run.contract), run.preset.bc.filtered_training
    out = run.checkpoint("filtered_bc")
    train_and_save(store, successes(store), out, network, config, run.seed, run.progress, "filtered BC")


def world_models(run: Run) -> None:
    """Two world models with their reward models, side by side: one to dream in, one to judge by."""
    training_store(run, "demonstrations", "practice")
    in_parallel(train_dreamer, [(run, name, first + run.seed) for name, first in DREAMERS.items()])


def reward_models(run: Run) -> None:
    """The reward models alone, side by side, that read the dreams of world models that are there."""
    training_store(run, "demonstrations", "practice")
    in_parallel(train_reader, [(run, name, first + run.seed) for name, first in DREAMERS.items()])


def start_policy(run: Run) -> None:
    """Filtered BC, or what it has become once it has seen its successes as the world models dream them."""
    start = _start(run, rehearsal(run))
    print(f"start policy: in the judge's dreams {start.judged:.2f}, filtered BC itself {start.judged_before:.2f}")


def _start(run: Run, rehearsed: Rehearsal) -> PracticeStart:
    from world4rl_policy.actor_critic import GaussianPolicy

    return rehearsed.start(GaussianPolicy.load(run.checkpoint("filtered_bc")), run.checkpoint("start"))


def rehearsal(run: Run) -> Rehearsal:
    """Dreams begin in the episodes that the world models learned from, for as long as these had; the successes of the
    fresh episodes are imitated too."""
    from world4rl.refinement.rehearsal import Rehearsal

    learned, real = (training_store(run, "demonstrations", "practice", *more) for more in ((), ("check",)))
    config, dream, judges = run.preset.refine_config(learned), dreamer(run, "a"), dreamer(run, "b")
    practised, judged = practice_starts(learned, config.imagination, dream.world_model), judge_starts(run)
    return Rehearsal(dream, judges, practised, judged, (real, successes(real)), config, run.seed, run.progress)


def replay_check(run: Run) -> None:
    """Does the dream tell success from failure on fresh episodes of the scout, well enough for the start policy?"""
    from world4rl.refinement.checked_dream import check_dream
    from world4rl_policy.actor_critic import GaussianPolicy

    store, policy = run.store("check"), GaussianPolicy.load(run.checkpoint("start"))
    config = run.preset.refine_config(training_store(run, "demonstrations", "practice"))
    imagination, limits, starts = config.imagination, run.preset.replay_check.limits, judge_starts(run)
    dream, episodes = dreamer(run, "a"), range(len(store))
    checked = check_dream(dream, policy, store, episodes, starts, imagination, limits, run.seed)
    run.write("replay_check.json", checked.check.to_dict())
    _clips(run, store, checked)
    print(f"replay check: {checked.check}")


def _clips(run: Run, store: EpisodeStore, checked: CheckedDream, each: int = 2) -> None:
    """Films of real and dreamed episodes: successes and failures, told truly and not."""
    from world4rl.presentation.video import write_film

    replayed, dreamed, real = checked.replayed, checked.success, checked.replayed.real_success
    kinds = {
        "success-dreamed-as-success": real & dreamed,
        "failure-dreamed-as-failure": ~real & ~dreamed,
        "failure-dreamed-as-success": ~real & dreamed,
        "success-dreamed-as-failure": real & ~dreamed,
    }
    for kind, rows in kinds.items():
        for number, row in enumerate(rows.nonzero().squeeze(1).tolist()[:each]):
            length = int(replayed.lengths[row]) + 1
            write_film(
                store.frames(row),
                replayed.frames[row, :length].numpy(),
                run.path / "clips" / f"{kind}-{number + 1}.mp4",
                checked.probability[row, :length].tolist(),
                fps=run.contract.control_rate_hz,
            )


def uncertainty(run: Run) -> None:
    """What the disagreement of the two world models means in real error, on the scout policy's fresh episodes."""
    from world4rl.runs.calibrated_uncertainty import PICTURE, calibrate_checkpoint, run_figures
    from world4rl_wm.training.devices import process_device
    from world4rl_wm.uncertainty.calibration import CalibrationConfig, UncertaintyError

    store, dreams, beside = run.store("check"), run.checkpoint("world_model_a"), run.checkpoint("world_model_b")
    config = CalibrationConfig(noise_dreams=0, seed=run.seed)  # noise counts only where there is no second model
    try:
        found = calibrate_checkpoint(dreams, [beside], store, range(len(store)), config, process_device(), run.progress)
    except UncertaintyError as error:  # very few episodes: nothing later in the run rests on this
        run.write("uncertainty.json", run_figures(error))
        print(f"uncertainty: not calibrated, {error}")
        return
    shutil.copyfile(dreams / PICTURE, run.path / PICTURE)  # the report's, whatever is calibrated later by hand
    figures = run_figures(found)
    run.write("uncertainty.json", figures)
    low, high = figures["auroc_ci95"]
    print(
        f"uncertainty: it tells wrong frames from right ones with AUROC {figures['auroc']:.2f} [{low:.2f}, {high:.2f}]"
    )


def refinement(run: Run) -> None:
    """PPO in the dream, from the start policy; the checkpoint is chosen by the judge, or filtered BC is kept."""
    from world4rl.refinement.refine import save_refinement
    from world4rl_wm.measures.replay_check import ReplayCheck

    rehearsed, check = rehearsal(run), ReplayCheck.from_dict(run.read("replay_check.json"))
    result = rehearsed.refine(_start(run, rehearsed), check, run.path / "refine")
    save_refinement(result, run.checkpoint("refined"), run.seed)
    run.write("refinement.json", result.to_dict())
    print(f"refinement: iteration {result.iteration} kept ({result.reason})")


def evaluation(run: Run) -> None:
    """Every policy on the same held-out start states, by its mean action; one that was kept is not measured twice."""
    evaluate_policies(run, run)


def deployment(run: Run) -> None:
    """The refined policy acts on the graph, over DDS, and is recorded; where no episode is asked for, nothing is."""
    from world4rl.episodes.graph_episodes import deploy

    episodes = run.preset.evaluation.graph_episodes
    if not episodes:
        print("deployment: none (evaluation.graph_episodes is 0)")
        return
    first = run.seeds.take("deploy", episodes).start
    found = deploy(run.task, run.checkpoint("refined"), episodes, first, run.path, run.progress)
    rows = found["results"]
    columns = {"seeds": "seed", "success": "success", "steps": "steps"}
    run.write("evaluation/graph.json", {name: [row[key] for row in rows] for name, key in columns.items()})


def report(run: Run) -> None:
    """summary.json and report.html."""
    from world4rl.report.page import build_report
    from world4rl.runs.summary import summarise

    run.write("summary.json", summarise(run))
    build_report(run.path)


STAGES: dict[str, Work[Run]] = {
    "demonstrations": (demonstrations, 25),
    "behaviour cloning": (behaviour_cloning, 10),
    "practice": (practice, 50),
    "scout policy": (scout_policy, 20),
    "scout practice": (scout_practice, 20),
    "fresh episodes": (check_episodes, 35),
    "filtered BC": (filtered_bc, 20),
    "world models": (world_models, 480),
    "start policy": (start_policy, 40),
    "replay check": (replay_check, 15),
    "uncertainty": (uncertainty, 30),
    "refinement": (refinement, 200),
    "evaluation": (evaluation, 70),
    "imagined against real": (imagined_and_real, 90),
    "deployment": (deployment, 60),
    "report": (report, 5),
}
"""Stage, what it does, and its usual seconds with the preset `tiny` on 2 cores."""


def run_pipeline(run: Run) -> Path:
    """Do all stages that this run has not done yet; returns the report, which is made again where anything was done."""
    stages = Stages.of(run.path, STAGES)
    if not all(map(stages.done, STAGES)):  # a finished run may lack a stage that came later
        stages.forget("report")
    stages.do(STAGES, run)
    run.write("summary.json", run.read("summary.json") | {"wall_s": stages.wall_s})
    return run.path / "report.html"
