"""Imagined against real for a refinement: the policies that its judge has seen, in dreams and in the simulator."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from world4rl.runs.dreamers import DREAMERS, dreamer, require_dreamers
from world4rl.episodes.collect import Behaviour, evaluate
from world4rl.runs.record import checkpoint_digest
from world4rl.runs.run_folder import ResultFolder, Run, collect_into, successes, training_store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from world4rl.refinement.dreamed import Dreamer
    from world4rl_data.store import EpisodeStore
    from world4rl_wm.imagination.env import ImaginationConfig
    from world4rl_wm.measures.replay_check import ReplayCheck

STORE, RESULT = "concordance", "concordance.json"


@dataclass(frozen=True)
class Trial:
    """A refinement in the folder `policies`, tried in the task of `run`, whose models dream and whose simulator is
    asked; episodes and results go to `out`. All three are one folder but for a policy of several tasks."""

    policies: ResultFolder
    run: Run
    out: Run
    imagination: ImaginationConfig

    @classmethod
    def of(cls, run: Run) -> Trial:
        """A run's own refinement."""
        real = training_store(run, "demonstrations", "practice")
        return cls(run, run, run, run.preset.refine_config(real).imagination)

    @property
    def chosen(self) -> int:
        """The iteration that was kept; 0 where nothing beat the start policy."""
        return int(self.policies.read("refinement.json")["iteration"])


def imagined_and_real(run: Run) -> None:
    """The stage of a run: `measure_concordance` from as many start states as its preset says, where anybody practised
    in the dream; prints whether it could be trusted."""
    episodes = run.preset.evaluation.concordance_episodes
    if not episodes:
        print("imagined against real: left out, evaluation.concordance_episodes is 0")
    elif not run.read("replay_check.json")["passed"]:
        print("imagined against real: nothing to compare, the replay check let nobody practise in the dream")
    else:
        print(measure_concordance(Trial.of(run), episodes)["sentence"])


def measure_concordance(trial: Trial, episodes: int) -> dict[str, Any]:
    """Try the policies both ways from the same `episodes` start states, set apart for this; writes concordance.json.

    What was found before for the same policies, models and start states is returned as it is, and episodes that were
    simulated for the same policy are not simulated again. Where nothing beat the start policy, filtered BC was kept,
    which is another: it is tried as well, and the regret is its.

    The replay check is done once more as well, on the chosen policy's own real episodes: refinement went where nobody
    had checked the dream.

    Raises:
        FileNotFoundError: nothing has been refined.
        ValueError: the run has no dream.
    """
    from world4rl.refinement.dreamed import dreamed_outcomes
    from world4rl_policy.actor_critic import GaussianPolicy
    from world4rl_wm.measures.concordance import Tried, concordance
    from world4rl_wm.measures.intervals import wilson_interval
    from world4rl_wm.model.frames import StartStates

    run, out, imagination, chosen = trial.run, trial.out, trial.imagination, trial.chosen
    require_dreamers(run)
    paths = policies(trial.policies, chosen)
    kept = kept_apart(trial.policies, paths[chosen]) if chosen == 0 else None
    asked = _digest(trial, episodes, [*paths.values(), kept or paths[chosen]])
    if (out.path / RESULT).is_file() and (known := out.read(RESULT)).get("asked") == asked:
        return known
    tried_policies = {i: (path, real_success(trial, i, path, episodes)) for i, path in paths.items()}
    kept_real = None if kept is None else real_success(trial, None, kept, episodes)
    starts = StartStates.of(*_stored(out, paths[0], episodes))
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
    result["own_episodes"] = _check_on_own(trial, paths[chosen], episodes, dream).to_dict()
    out.write(RESULT, result)
    return result


def _check_on_own(trial: Trial, policy: Path, episodes: int, dream: Dreamer) -> ReplayCheck:
    """The replay check of the dream that a policy practised in, on the real episodes of that policy."""
    from world4rl_wm.measures.replay import replay, verdicts
    from world4rl_wm.measures.replay_check import judge

    run, imagination = trial.run, trial.imagination
    replayed = replay(dream.world_model, *_stored(trial.out, policy, episodes), run.seed)
    _, success = verdicts(replayed, dream.reward_model, imagination.hits, imagination.horizon)
    return judge(replayed.real_success, success, run.preset.replay_check.limits)


def _digest(trial: Trial, episodes: int, tried: list[Path]) -> str:
    """Changes with whatever decides what is found."""
    run = trial.run
    models = [run.checkpoint(f"{kind}_{name}") for name in DREAMERS for kind in ("world_model", "reward")]
    settings = [trial.chosen, asdict(trial.imagination), asdict(run.preset.replay_check.limits)]
    values = [episodes, *settings, [checkpoint_digest(path) for path in [*tried, *models]]]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def policies(refined: ResultFolder, chosen: int) -> dict[int, Path]:
    """Checkpoints by iteration: the start policy, and those that the judge has seen (a run of an earlier version kept
    only the chosen one)."""
    from world4rl.refinement.checkpoint_choice import kept_checkpoints

    found = {0: refined.start_checkpoint} | kept_checkpoints(refined.path / "refine")
    found.setdefault(chosen, refined.checkpoint("refined"))
    return dict(sorted(found.items()))


def kept_apart(refined: ResultFolder, start: Path) -> Path | None:
    """The policy that was kept in place of `start`, which nothing beat: filtered BC. None where the two are the same,
    as without BC on dreams."""
    kept = refined.checkpoint("refined")
    return None if checkpoint_digest(kept) == checkpoint_digest(start) else kept


def episode_store(checkpoint: Path) -> str:
    """The store of a policy's real episodes: another one for other weights, whatever their folder is called."""
    return f"{STORE}-{checkpoint_digest(checkpoint)}"


def _stored(run: Run, checkpoint: Path, episodes: int) -> tuple[EpisodeStore, list[int]]:
    """The stored episodes of a policy: their store and its rows, in the order of the start states."""
    store = run.store(episode_store(checkpoint))
    rows = {info.seed: row for row, info in enumerate(store.infos)}
    return store, [rows[seed] for seed in run.seeds.take("concordance", episodes)]


def real_success(trial: Trial, iteration: int | None, checkpoint: Path, episodes: int) -> NDArray[np.bool_]:
    """Success of the policy's mean action in the simulator, bool ``(episodes,)``; `iteration`: None for the one kept.

    The episodes of the start policy and of the chosen one are stored: where they begin the dreams begin, and they check
    the dream.
    """
    run = trial.out
    seeds = run.seeds.take("concordance", episodes)
    if iteration in (0, trial.chosen):
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
