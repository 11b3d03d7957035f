"""Refinement: PPO in imagination, its checkpoint chosen by models that it did not practise in.

Three steps, in this order, which the demo, a round of the loop, one policy for several tasks and `world4rl refine` have
in common: the policy to begin with (`Rehearsal.start`), the replay check of the dream for it (`check`), practice
(`refine`).

Practice begins with the policy that works now, or with what BC on dreams has made of it. A policy that never learned
from dreams is not itself in one (`world4rl.refinement.dream_bc`). A policy that comes out of a refinement has practised
there, and what BC makes of it may have lost what it learned. So the judge sees both, and both must be beaten. What
either is worth in reality it cannot see. What a policy was to explore with does not count: PPO begins with a standard
deviation of its own.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from world4rl.refinement.checked_dream import CheckedDream, check_dream
from world4rl.refinement.checkpoint_choice import CheckpointChoice, PracticeStart, Refinement
from world4rl.refinement.dream_bc import dream_bc
from world4rl.refinement.dreamed import Dreamer, dreamed_success
from world4rl.refinement.journal import RefinementJournal, refinement_log
from world4rl.refinement.practice import Practice
from world4rl.refinement.practice_film import practice_film
from world4rl.refinement.refine import RefineConfig, cautious, practice_env
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import Demonstrations
from world4rl_wm.checkpoint import METRICS
from world4rl_wm.checkpoint_identity import module_digest
from world4rl_wm.measures.replay_check import ReplayCheck, ReplayCheckConfig
from world4rl_wm.model.frames import StartStates
from world4rl_wm.training.devices import process_state
from world4rl_wm.training.memory import keep_freed_memory
from world4rl_wm.training.share import Share


@dataclass(frozen=True)
class Rehearsal:
    """What a policy is refined with, on the device that both dreamers are on.

    Processes that accelerate or torchrun have started work together; each call of a method returns the same in all.

    Attributes:
        dream, judge: what is practised in, and what chooses.
        practice, judged: where their dreams begin; disjoint. Practice alone begins at key frames, where there are any;
            the judge chooses by the first `selection.episodes` of its own.
        real: real successful episodes, for BC on dreams and for PPO's BC term.
        config: horizons as `world4rl.refinement.refine.with_horizon` sets them.
    """

    dream: Dreamer
    judge: Dreamer
    practice: StartStates
    judged: StartStates
    real: tuple[EpisodeStore, Sequence[int]]
    config: RefineConfig
    seed: int = 0
    progress: bool = True

    def start(self, before: GaussianPolicy, out: Path) -> PracticeStart:
        """`before`, or its copy that has seen the real successes as both dream them, whichever does better in the
        judge's dreams: at equal figures the copy. What was chosen is kept as the checkpoint `out`, with the figures of
        both, where the next call finds it."""
        state, models = process_state(), [self.dream.world_model, self.judge.world_model]
        with state.main_process_first():
            policy = dream_bc(before, models, self.real, self.config.dream_bc, out, self.seed, self.progress)
        told = json.loads((out / METRICS).read_text())
        if "judged_copy" not in told:  # just made, by this call or one that was interrupted
            seen, share = self.seen(policy, before), Share.of(state)
            if seen.judged_before > seen.judged:
                policy, told = before, {"std": before.std.tolist()}
            kept = {"began_with": "before" if policy is before else "copy"}
            told |= kept | {"judged_copy": seen.judged, "judged_before": seen.judged_before}
            share.wait()  # all have read what is there before it is replaced
            if share.main:
                policy.save(out, metrics=told, seed=self.seed)
        return PracticeStart(policy, before, max(told["judged_copy"], told["judged_before"]), told["judged_before"])

    def seen(self, policy: GaussianPolicy, before: GaussianPolicy) -> PracticeStart:
        """The two as the judge sees them: one that was made for other judges is told by this one's figures."""
        judged = partial(self._success, self.judge, self.judged)
        seen = PracticeStart(policy, before, judged(policy), 0.0)
        return replace(seen, judged_before=seen.judged if seen.same else judged(before))

    def check(
        self,
        policy: GaussianPolicy,
        fresh: EpisodeStore,
        episodes: Sequence[int],
        limits: ReplayCheckConfig,
        starts: StartStates,
    ) -> CheckedDream:
        """The replay check of the dream for `policy` (`check_dream`), whose own dreams begin at `starts`."""
        imagination, share = self.config.imagination, Share.of(process_state())
        return check_dream(self.dream, policy, fresh, episodes, starts, imagination, limits, self.seed, share)

    def refine(self, start: PracticeStart, check: ReplayCheck, out: Path) -> Refinement:
        """Refine the policy of `start` as far as the judge confirms it; where `check` refuses, nobody practises.

        Metrics.jsonl, TensorBoard, the state to go on from, and the policies that the judge has seen go to `out`. The
        same call goes on after the last iteration that an interrupted one has finished, and ends with the same policy.
        """
        keep_freed_memory()
        config, dream, share = self.config, self.dream, Share.of(process_state())
        begun = self.practice.beginnings  # what is measured or shown begins where episodes begin
        policy = copy.deepcopy(start.policy).to(dream.world_model.device)
        start = replace(start, policy=policy)
        imagined, judged = (
            partial(self._success, who, where)
            for who, where in ((dream, _some(begun, config.selection.episodes)), (self.judge, self.judged))
        )
        choice = CheckpointChoice(config.selection, start, imagined, judged, out, self.seed)
        if not check.passed:
            row = choice.begin()
            if share.main:
                refinement_log(out).write(**row)
            return replace(choice.result(check.reason), config=asdict(config))
        if check.verdict == "refine_cautiously":
            config = cautious(config)
        env = practice_env(policy, dream, self.judge, self.practice, config, share)
        imitated = Demonstrations(*self.real, policy.history, policy.config.tasks)
        practice = Practice(policy, env, imitated, config.ppo, self.seed, share)
        journal = RefinementJournal(out, practice.state(choice=choice), self._identity(start, config), share)
        rate_hz = dream.world_model.contract.control_rate_hz
        film = partial(practice_film, practice.policy, dream, begun, config.imagination)
        with closing(journal), journal.bar(config.ppo.iterations, self.progress) as bar:
            if not journal.resumed:
                journal.write(choice.begin())
                journal.film(film, rate_hz)
            while not practice.over and not choice.stopped:
                row = practice.iterate()
                seen = choice.due(practice.iteration) or practice.over
                if seen:
                    gone = practice.distance(config.selection.start_kl_std)
                    row |= choice.look(practice.policy, practice.iteration, gone, practice.settled)
                journal.write(row)
                if seen:
                    journal.film(film, rate_hz)
                bar.set_postfix(imagined=f"{row['imagined_success']:.2f}", judged=f"{choice.best.judged_refined:.2f}")
                bar.update()
        journal.tell_times()
        return replace(choice.result(), config=asdict(config))

    def _success(self, dreamer: Dreamer, starts: StartStates, policy: GaussianPolicy) -> float:
        """Of the policy in dreams from as many of `starts` as the judge chooses by."""
        few, share = starts[: self.config.selection.episodes], Share.of(process_state())
        return dreamed_success(policy, dreamer, few, self.config.imagination, share)

    def _identity(self, start: PracticeStart, config: RefineConfig) -> str:
        """Changes with whatever decides what a refinement by `config` comes to."""
        models = [model for who in (self.dream, self.judge) for model in (who.world_model, who.reward_model)]
        store, episodes = self.real
        starts = [states.digest for states in (self.practice, self.judged)]
        values = [asdict(config), self.seed, store.content_hash, list(episodes), starts]
        values += [module_digest(network) for network in (start.policy, start.before, *models)]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _some(starts: StartStates, few: int) -> StartStates:
    """At most `few` of all, the same every time: the first ones alone would be those of the first policies, and every
    n-th one may be of one task."""
    order = torch.randperm(len(starts), generator=torch.Generator().manual_seed(0), device="cpu")
    return starts[order[:few].sort().values]
