"""Imagined against real for a refined run: the policies that its judge has seen, in dreams and in the simulator."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from world4rl.collect import Behaviour, evaluate
from world4rl.dreamers import DREAMERS, dreamer, require_dreamers
from world4rl.record import checkpoint_digest
from world4rl.run_folder import Run, collect_into, successes, training_store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from world4rl.dreamed import Dreamer
    from world4rl_data.store import EpisodeStore
    from world4rl_wm.imagination.env import ImaginationConfig
    from world4rl_wm.measures.replay_check import ReplayCheck

STORE, RESULT = "concordance", "concordance.json"


def imagined_and_real(run: Run) -> None:
    """The stage of a run: `measure_concordance` from as many start states as its preset says, where anybody practised
    in the dream; prints whether it could be trusted."""
    episodes = run.preset.evaluation.concordance_episodes
    if not episodes:
        print("imagined against real: left out, evaluation.concordance_episodes is 0")
    elif not run.read("replay_check.json")["passed"]:
        print("imagined against real: nothing to compare, the replay check let nobody practise in the dream")
    else:
        print(measure_concordance(run, episodes)["sentence"])


def measure_concordance(run: Run, episodes: int) -> dict[str, Any]:
    """Try the policies both ways from the same `episodes` start states, set apart for this; writes concordance.json.

    What was found before for the same policies, models and start states is returned as it is, and episodes that were
    simulated for the same policy are not simulated again. Where nothing beat the start
    policy, filtered BC was kept, which is another: it is tried as well, and the regret is its.

    The replay check is done once more as well, on the chosen policy's own real episodes: refinement went where nobody
    had checked the dream.

    Raises:
        FileNotFoundError: the run has not been refined.
        ValueError: it has no dream.
    """
    from world4rl.dreamed import dreamed_outcomes
    from world4rl.refine import with_horizon
    from world4rl_policy.actor_critic import GaussianPolicy
    from world4rl_wm.measures.concordance import Tried, concordance
    from world4rl_wm.measures.intervals import wilson_interval
    from world4rl_wm.model.frames import StartStates

    chosen = run.read("refinement.json")["iteration"]
    require_dreamers(run)
    paths = policies(run, chosen)
    kept = kept_apart(run, paths[chosen]) if chosen == 0 else None
    real_store = training_store(run, "demonstrations", "practice")
    imagination = with_horizon(run.preset.refine_config(), real_store).imagination
    asked = _digest(run, episodes, chosen, [*paths.values(), kept or paths[chosen]], imagination)
    if (run.path / RESULT).is_file() and (known := run.read(RESULT)).get("asked") == asked:
        return known
    tried_policies = {i: (path, real_success(run, i, path, episodes)) for i, path in paths.items()}
    kept_real = None if kept is None else real_success(run, None, kept, episodes)
    starts = StartStates.of(*_stored(run, paths[0], episodes))
    dream, judge = dreamer(run, "a"), dreamer(run, "b")

    def tried(iteration: int, path: Path, real: NDArray[np.bool_]) -> tuple[Tried, dict[str, Any]]:
        policy = GaussianPolicy.load(path, dream.world_model.device)
        imagined, _ = dreamed_outcomes(policy, dream, starts, imagination)
        success, belief = dreamed_outcomes(policy, judge, starts, imagination)
        rates = {"imagined": float(imagined.float().mean()), "judged": float(success.float().mean())}
        rates |= {"real": float(real.mean())}
        told = rates | {"ci95": wilson_interval(int(real.sum()), len(real))}
        return Tried(iteration, real, success.numpy(), belief.numpy()), told

    figures, judged = [], []
    for iteration, (path, real) in tried_policies.items():
        one, rates = tried(iteration, path, real)
        judged.append(one)
        figures.append({"iteration": iteration, "chosen": iteration == chosen and kept is None, **rates})
    result = {"asked": asked, "episodes": episodes, "policies": figures} | concordance(
        judged, chosen, kept_real
    ).to_dict()
    if kept is not None and kept_real is not None:
        result["kept"] = tried(0, kept, kept_real)[1]
    result["own_episodes"] = _check_on_own(run, paths[chosen], episodes, dream, imagination).to_dict()
    run.write(RESULT, result)
    return result


def _check_on_own(run: Run, policy: Path, episodes: int, dream: Dreamer, imagination: ImaginationConfig) -> ReplayCheck:
    """The replay check of the dream that a policy practised in, on the real episodes of that policy."""
    from world4rl_wm.measures.replay import replay, verdicts
    from world4rl_wm.measures.replay_check import judge

    replayed = replay(dream.world_model, *_stored(run, policy, episodes), run.seed)
    _, success = verdicts(replayed, dream.reward_model, imagination.hits, imagination.horizon)
    return judge(replayed.real_success, success, run.preset.replay_check.limits)


def _digest(run: Run, episodes: int, chosen: int, tried: list[Path], imagination: ImaginationConfig) -> str:
    """Changes with whatever decides what is found."""
    models = [run.checkpoint(f"{kind}_{name}") for name in DREAMERS for kind in ("world_model", "reward")]
    limits = asdict(run.preset.replay_check.limits)
    values = [episodes, chosen, asdict(imagination), limits, [checkpoint_digest(path) for path in [*tried, *models]]]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def policies(run: Run, chosen: int) -> dict[int, Path]:
    """Checkpoints by iteration: the start policy, and those that the judge has seen (a run of an earlier version kept
    only the chosen one)."""
    from world4rl.checkpoint_choice import kept_checkpoints

    found = {0: run.start_checkpoint} | kept_checkpoints(run.path / "refine")
    found.setdefault(chosen, run.checkpoint("refined"))
    return dict(sorted(found.items()))


def kept_apart(run: Run, start: Path) -> Path | None:
    """The policy that was kept in place of `start`, which nothing beat: filtered BC. None where the two are the same,
    as without BC on dreams."""
    kept = run.checkpoint("refined")
    return None if checkpoint_digest(kept) == checkpoint_digest(start) else kept


def episode_store(checkpoint: Path) -> str:
    """The store of a policy's real episodes: another one for other weights, whatever their folder is called."""
    return f"{STORE}-{checkpoint_digest(checkpoint)}"


def _stored(run: Run, checkpoint: Path, episodes: int) -> tuple[EpisodeStore, list[int]]:
    """The stored episodes of a policy: their store and its rows, in the order of the start states."""
    store = run.store(episode_store(checkpoint))
    rows = {info.seed: row for row, info in enumerate(store.infos)}
    return store, [rows[seed] for seed in run.seeds.take("concordance", episodes)]


def real_success(run: Run, iteration: int | None, checkpoint: Path, episodes: int) -> NDArray[np.bool_]:
    """Success of the policy's mean action in the simulator, bool ``(episodes,)``; `iteration`: None for the one kept.

    The episodes of the start policy and of the chosen one are stored: where they begin the dreams begin, and they check
    the dream.
    """
    seeds = run.seeds.take("concordance", episodes)
    if iteration in (0, run.read("refinement.json")["iteration"]):
        words = f"iteration {iteration}, real"
        collect_into(run, episode_store(checkpoint), Behaviour("policy", 0.0, checkpoint), seeds, words)
        store, rows = _stored(run, checkpoint, episodes)
        return np.isin(rows, successes(store))
    name = "kept" if iteration is None else f"iteration-{iteration:04d}"
    digest, file = checkpoint_digest(checkpoint), f"{STORE}/{name}.json"
    known: dict[str, Any] = run.read(file) if (run.path / file).is_file() else {"digest": None}
    if known["digest"] != digest or len(known["seeds"]) < episodes:
        workers = run.preset.collect.workers
        found = evaluate(run.task, run.contract, checkpoint, seeds, 0.0, workers, run.progress)
        known = {"digest": digest, **found.to_dict()}
        run.write(file, known)
    return np.array(known["success"][:episodes])
