"""The refinement of a round, in its updated dream.

Practice begins with the newest policy or with filtered BC on every success so far, whichever does better in the judge's
dreams once it has seen its successes there; where practice gains nothing, the one stays that did better before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from world4rl.loop.round import Round
from world4rl.runs.dreamers import dreamer
from world4rl.runs.run_folder import successes
from world4rl.runs.start_states import practice_starts, start_states

if TYPE_CHECKING:
    from world4rl.refinement.rehearsal import Rehearsal
    from world4rl_policy.actor_critic import GaussianPolicy
    from world4rl_wm.measures.replay_check import ReplayCheck

NEWEST, RIVAL = "newest", "filtered_bc"
"""The two policies that practice may begin with; RIVAL is also the name of its checkpoint."""


def refinement(round_: Round) -> None:
    """Replay check, PPO in the updated dream, choice by the updated judge; else the policy stays as it was."""
    from world4rl.refinement.refine import save_refinement
    from world4rl_policy.actor_critic import GaussianPolicy

    run, rehearsal = round_.run, _rehearsal(round_)
    starts = {
        name: rehearsal.start(GaussianPolicy.load(policy), run.checkpoint(f"start_{name}"))
        for name, policy in ((NEWEST, round_.start), (RIVAL, run.checkpoint(RIVAL)))
    }
    judged = {name: start.judged for name, start in starts.items()}
    began = judged_better(judged)
    stays = judged_better({name: start.judged_before for name, start in starts.items()})
    verdict = _replay_check(round_, rehearsal, starts[began].policy)
    if not verdict.passed:
        began = stays = NEWEST  # a judge that dreams the same is not believed about starts either
    before = starts[stays]
    start = replace(starts[began], before=before.before, judged_before=before.judged_before)
    result = rehearsal.refine(start, verdict, run.path / "refine")
    save_refinement(result, run.checkpoint("refined"), rehearsal.seed)
    run.write("refinement.json", result.to_dict() | {"start": began, "stays": stays, "judged_starts": judged})
    print(f"round {round_.number}: begun with {began}, iteration {result.iteration} kept ({result.reason})")


def judged_better(judged: Mapping[str, float]) -> str:
    """Which of the two does better in the judge's dreams; at equal figures the newest policy."""
    return RIVAL if judged[RIVAL] > judged[NEWEST] else NEWEST


def _rehearsal(round_: Round) -> Rehearsal:
    """As the run's, but nothing of the episodes that are held back is imitated."""
    from world4rl.refinement.rehearsal import Rehearsal

    run, training = round_.run, round_.training()
    dream, judges = dreamer(run, "a"), dreamer(run, "b")
    config, real = run.preset.refine_config(training), (training, successes(training))
    practised = practice_starts(training, config.imagination, dream.world_model)
    judged = start_states(run, round_.judge_seeds)
    return Rehearsal(dream, judges, practised, judged, real, config, run.seed + round_.number, run.progress)


def _replay_check(round_: Round, rehearsal: Rehearsal, policy: GaussianPolicy) -> ReplayCheck:
    """Of the updated dream, for the policy that practice would begin with: on all episodes that are held back, as far
    as the newest policy's alone allow it."""
    from world4rl_wm.measures.replay_check import as_newest_allows, judge, rate_text

    run, check, limits = round_.run, round_.check(), round_.run.preset.replay_check.limits
    checked = rehearsal.check(policy, check, range(len(check)), limits, rehearsal.judged)
    newest_few = len(run.store("fresh"))
    own = judge(checked.replayed.real_success[:newest_few], checked.success[:newest_few], limits)
    verdict = as_newest_allows(checked.check, own, limits)
    run.write("replay_check.json", verdict.to_dict() | {"newest_policy": own.to_dict()})
    print(f"replay check: {verdict.reason}; on the newest policy's {newest_few} episodes J = {rate_text(own.j)}")
    return verdict
