"""Imagined against real for a refined run: the policies that its judge has seen, in dreams and in the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from world4rl.collect import Behaviour, evaluate
from world4rl.dreamers import dreamer
from world4rl.record import checkpoint_digest
from world4rl.run_folder import Run, collect_into, successes, training_store

if TYPE_CHECKING:
    from numpy.typing import NDArray

STORE, RESULT = "concordance", "concordance.json"


def measure_concordance(run: Run, episodes: int) -> dict[str, Any]:
    """Try the policies both ways from the same `episodes` start states, set apart for this; writes concordance.json.

    Episodes that were simulated for the same policy before are not simulated again.

    Raises:
        FileNotFoundError: the run has not been refined.
    """
    from world4rl.dreamed import dreamed_outcomes
    from world4rl.refine import with_horizon
    from world4rl_policy.actor_critic import GaussianPolicy
    from world4rl_wm.measures.concordance import Tried, concordance
    from world4rl_wm.measures.intervals import wilson_interval
    from world4rl_wm.model.frames import StartStates

    chosen = run.read("refinement.json")["iteration"]
    tried_policies = {i: (path, real_success(run, i, path, episodes)) for i, path in policies(run, chosen).items()}
    store = run.store(STORE)
    rows = {info.seed: row for row, info in enumerate(store.infos)}
    starts = StartStates.of(store, [rows[seed] for seed in run.seeds.take("concordance", episodes)])
    real_store = training_store(run, "demonstrations", "practice")
    imagination = with_horizon(run.preset.refine_config(), real_store).imagination
    dream, judge = dreamer(run, "a"), dreamer(run, "b")
    figures, judged = [], []
    for iteration, (path, real) in tried_policies.items():
        policy = GaussianPolicy.load(path, dream.world_model.device)
        imagined, _ = dreamed_outcomes(policy, dream, starts, imagination)
        success, belief = dreamed_outcomes(policy, judge, starts, imagination)
        judged.append(Tried(iteration, real, success.numpy(), belief.numpy()))
        rates = {"imagined": float(imagined.float().mean()), "judged": float(success.float().mean())}
        rates |= {"real": float(real.mean())}
        interval = wilson_interval(int(real.sum()), len(real))
        figures.append({"iteration": iteration, "chosen": iteration == chosen, **rates, "ci95": interval})
    result = {"episodes": episodes, "policies": figures} | concordance(judged, chosen).to_dict()
    run.write(RESULT, result)
    return result


def policies(run: Run, chosen: int) -> dict[int, Path]:
    """Checkpoints by iteration: the start policy, and those that the judge has seen.

    A run of an earlier version began with filtered BC, or kept only the chosen one.
    """
    from world4rl.checkpoint_choice import kept_checkpoints

    start = run.checkpoint("start")
    first = start if start.is_dir() else run.checkpoint("filtered_bc")
    found = {0: first} | kept_checkpoints(run.path / "refine")
    found.setdefault(chosen, run.checkpoint("refined"))
    return dict(sorted(found.items()))


def real_success(run: Run, iteration: int, checkpoint: Path, episodes: int) -> NDArray[np.bool_]:
    """Success of the policy's mean action in the simulator, bool ``(episodes,)``.

    Those of the start policy are stored: where they begin the dreams begin.
    """
    seeds = run.seeds.take("concordance", episodes)
    if iteration == 0:
        collect_into(run, STORE, Behaviour("policy", 0.0, checkpoint), seeds, "start policy, real")
        store = run.store(STORE)
        won = {store.infos[row].seed for row in successes(store)}
        return np.array([seed in won for seed in seeds])
    digest, file = checkpoint_digest(checkpoint), f"{STORE}/iteration-{iteration:04d}.json"
    known: dict[str, Any] = run.read(file) if (run.path / file).is_file() else {"digest": None}
    if known["digest"] != digest or len(known["seeds"]) < episodes:
        workers = run.preset.collect.workers
        found = evaluate(run.task, run.contract, checkpoint, seeds, 0.0, workers, run.progress)
        known = {"digest": digest, **found.to_dict()}
        run.write(file, known)
    return np.array(known["success"][:episodes])
