"""Refinement: PPO in imagination, its checkpoint chosen by models that it did not practise in."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from world4rl.checkpoint_choice import CheckpointChoice, Refinement, Selection
from world4rl.dreamed import Dreamer, dreamed_success
from world4rl.practice import Practice
from world4rl.practice_film import practice_film
from world4rl.practice_start import PracticeStart
from world4rl.refinement_journal import RefinementJournal, refinement_log
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import BcOptimisation, Demonstrations
from world4rl_policy.ppo_config import PpoConfig
from world4rl_wm.checkpoint_identity import module_digest
from world4rl_wm.imagination.env import ImaginationConfig, ImaginationEnv
from world4rl_wm.measures.replay_check import ReplayCheck
from world4rl_wm.model.frames import StartStates
from world4rl_wm.training.devices import process_state
from world4rl_wm.training.memory import keep_freed_memory
from world4rl_wm.training.share import Share
from world4rl_wm.uncertainty.ensemble import Ensemble


@dataclass(frozen=True)
class Caution:
    """Factors on PPO's policy learning rate and BC term where the replay check asks for caution."""

    learning_rate: float = 0.5
    bc_coefficient: float = 2.0


@dataclass(frozen=True)
class RefineConfig:
    """All settings of a refinement. `verified_success`: the judge's reward model must agree in the dream; `dream_bc`:
    how the start policy is made (`world4rl.dream_bc`)."""

    ppo: PpoConfig = field(default_factory=PpoConfig)
    imagination: ImaginationConfig = field(default_factory=ImaginationConfig)
    selection: Selection = field(default_factory=Selection)
    caution: Caution = field(default_factory=Caution)
    verified_success: bool = False
    dream_bc: BcOptimisation = field(default_factory=BcOptimisation)


def with_horizon(config: RefineConfig, real: EpisodeStore) -> RefineConfig:
    """A dream has as long for its success as the real episodes had: the longest failure, or the latest success."""
    steps = max(info.length if info.success_index is None else info.success_index for info in real.infos)
    imagination = replace(config.imagination, horizon=max(1, steps))
    return replace(config, ppo=replace(config.ppo, horizon=imagination.max_steps), imagination=imagination)


def cautious(config: RefineConfig) -> RefineConfig:
    """Smaller steps and a stronger BC term, for a dream that is only half true."""
    ppo = replace(
        config.ppo,
        policy_learning_rate=config.ppo.policy_learning_rate * config.caution.learning_rate,
        bc_coefficient=config.ppo.bc_coefficient * config.caution.bc_coefficient,
    )
    return replace(config, ppo=ppo)


def practice_env(
    policy: GaussianPolicy,
    dream: Dreamer,
    judge: Dreamer,
    starts: StartStates,
    config: RefineConfig,
    share: Share = Share(),  # noqa: B008 (frozen)
) -> ImaginationEnv:
    """The dream for the policy to practise in, which shows it what it looks back on. Where the settings ask for a
    second opinion, the judge's models give it: on what counts as a success, or only on which successes are imitated."""
    readers = [dream.reward_model, judge.reward_model] if config.verified_success else [dream.reward_model]
    beside = Ensemble((judge.world_model,)) if config.imagination.needs_uncertainty else None
    witness = judge.reward_model if config.ppo.imagined_bc else None
    imagination = replace(config.imagination, observed_frames=policy.history)
    return ImaginationEnv([dream.world_model], readers, starts, imagination, beside, share, witness)


def refine(
    start: PracticeStart,
    check: ReplayCheck,
    dream: Dreamer,
    judge: Dreamer,
    starts: StartStates,
    judge_starts: StartStates,
    successes: tuple[EpisodeStore, Sequence[int]],
    out: Path,
    config: RefineConfig = RefineConfig(),
    seed: int = 0,
    progress: bool = True,
) -> Refinement:
    """Refine the policy of `start` in `dream` as far as `judge` confirms it, on the device that both dreamers are on.

    The same call goes on after the last iteration that an interrupted one has finished, and ends with the same policy.
    Processes that accelerate or torchrun have started practise together; each call returns the same.

    Args:
        start: what practice begins with, and what is kept where nothing better comes of it than the better of both.
        check: the replay check of `dream`; where it refuses, nobody practises.
        starts, judge_starts: where dreams begin; disjoint. Practice alone begins at key frames, where `starts` has any.
        successes: real successful episodes for the BC term.
        out: folder for metrics.jsonl, TensorBoard, the state to go on from, and the policies that the judge has seen.
    """
    keep_freed_memory()
    share, few = Share.of(process_state()), config.selection.episodes
    begun = starts.beginnings  # what is measured or shown begins where episodes begin
    policy = copy.deepcopy(start.policy).to(dream.world_model.device)
    start = replace(start, policy=policy)
    imagined, judged = (
        partial(dreamed_success, dreamer=who, starts=where, config=config.imagination, share=share)
        for who, where in ((dream, _some(begun, few)), (judge, judge_starts[:few]))
    )
    choice = CheckpointChoice(config.selection, start, imagined, judged, out, seed)
    if not check.passed:
        row = choice.begin()
        if share.main:
            refinement_log(out).write(**row)
        return replace(choice.result(check.reason), config=asdict(config))
    if check.verdict == "refine_cautiously":
        config = cautious(config)
    env = practice_env(policy, dream, judge, starts, config, share)
    imitated = Demonstrations(*successes, policy.history, policy.config.tasks)
    practice = Practice(policy, env, imitated, config.ppo, seed, share)
    identity = _identity((policy, start.before), (dream, judge), (starts, judge_starts), successes, config, seed)
    journal = RefinementJournal(out, practice.state(choice=choice), identity, share)
    rate_hz = dream.world_model.contract.control_rate_hz
    film = partial(practice_film, practice.policy, dream, begun, config.imagination)
    with closing(journal), journal.bar(config.ppo.iterations, progress) as bar:
        if not journal.resumed:
            journal.write(choice.begin())
            journal.film(film, rate_hz)
        while not practice.over and not choice.stopped:
            row = practice.iterate()
            seen = choice.due(practice.iteration) or practice.over
            if seen:
                gone = practice.distance(config.selection.start_kl_std)
                row |= choice.look(practice.policy, practice.iteration, gone)
            journal.write(row)
            if seen:
                journal.film(film, rate_hz)
            bar.set_postfix(imagined=f"{row['imagined_success']:.2f}", judged=f"{choice.best.judged_refined:.2f}")
            bar.update()
    journal.tell_times()
    return replace(choice.result(), config=asdict(config))


def _some(starts: StartStates, few: int) -> StartStates:
    """At most `few` of all, the same every time: the first ones alone would be those of the first policies, and every
    n-th one may be of one task."""
    order = torch.randperm(len(starts), generator=torch.Generator().manual_seed(0), device="cpu")
    return starts[order[:few].sort().values]


def _identity(
    policies: tuple[GaussianPolicy, GaussianPolicy],
    dreamers: tuple[Dreamer, Dreamer],
    starts: tuple[StartStates, StartStates],
    successes: tuple[EpisodeStore, Sequence[int]],
    config: RefineConfig,
    seed: int,
) -> str:
    """Changes with whatever decides what a refinement comes to."""
    networks = [*policies, *(model for dreamer in dreamers for model in (dreamer.world_model, dreamer.reward_model))]
    store, episodes = successes
    values = [asdict(config), seed, store.content_hash, list(episodes), [states.digest for states in starts]]
    values += [module_digest(network) for network in networks]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def save_refinement(result: Refinement, out: Path, seed: int) -> Path:
    """Write the chosen policy as a checkpoint folder that tells how it was made."""
    metrics = result.to_dict() | {"config": json.loads(json.dumps(result.config))}
    return result.policy.save(out, metrics=metrics, seed=seed)
