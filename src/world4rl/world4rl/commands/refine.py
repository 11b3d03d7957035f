"""`world4rl refine`: BC on dreams, replay check, PPO in imagination, choice of the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from world4rl.commands.common import Overrides, PresetOption, SeedOption, tell_other_preset
from world4rl.errors import CommandError
from world4rl_data.durable import replace_file
from world4rl_wm.training.processes import main_process

if TYPE_CHECKING:
    from world4rl.refinement.checkpoint_choice import Refinement
    from world4rl.refinement.refine import RefineConfig
    from world4rl_data.store import EpisodeStore
    from world4rl_wm.measures.replay_check import ReplayCheckConfig


def refine(
    policy: Path,
    world_model: Path,
    reward: Path,
    judge_world_model: Path,
    judge_reward: Path,
    store: Path,
    check: Path,
    out: Path,
    device: str = "auto",
    preset: PresetOption = "tiny",
    seed: SeedOption = 0,
    settings: Overrides = (),
) -> None:
    """Refine a policy by PPO in imagination, and keep the checkpoint that does best in another world model's dreams.

    First a copy of the policy learns to act in dreams as in reality, by BC on its successes and on the same dreamed
    again; practice begins with it, or with the policy itself where the judge sees that one do better. Then the replay
    check: fresh real episodes of the policy are dreamed again; where the dream cannot tell their successes from their
    failures, the policy is kept as it is, the reason is printed, and the exit code is still 0. Neither check nor judge
    is a guarantee: `world4rl evaluate` says what was gained.

    Interrupted, the same command goes on after the last finished iteration. On several devices:
    `torchrun --nproc-per-node N -m world4rl refine ...`.

    Args:
        policy: Checkpoint of the policy to refine.
        world_model: World model to dream in.
        reward: Reward model of the dream.
        judge_world_model: World model trained from another --seed, whose dreams choose the checkpoint.
        judge_reward: Reward model trained from another --seed, for the judge.
        store: Store in whose episodes the dreams begin and whose successes feed the BC term.
        check: Store of fresh episodes of the policy with exploration noise, seen by no training.
        out: Checkpoint folder to write; settings, replay check, state and metrics by iteration go to OUT.training.
        device: Where everything runs: auto (a GPU where there is one), cpu, cuda ...
    """
    from dataclasses import asdict

    from world4rl.presets import load_preset
    from world4rl.refinement.refine import save_refinement
    from world4rl.runs.record import Record, checkpoint_digest
    from world4rl_data.store import EpisodeStore
    from world4rl_wm.checkpoint_identity import place_and_weights

    values = load_preset(preset, settings)
    real, fresh = EpisodeStore.open(store), EpisodeStore.open(check)
    real.contract.require_same(fresh.contract, f"store {check}")
    tell_other_preset(preset, real)
    if not len(real) or not len(fresh):
        raise CommandError(f"{fresh.path if len(real) else real.path} holds no episodes: collect some")
    config = values.refine_config(real)
    names = {"policy": policy, "world_model": world_model, "reward": reward}
    names |= {"judge_world_model": judge_world_model, "judge_reward": judge_reward}
    digests = {name: checkpoint_digest(path) for name, path in names.items()}
    require_independent(names, digests, real, fresh)
    asked: dict[str, Any] = {name: place_and_weights(path, digests[name]) for name, path in names.items()}
    asked |= {"store": real.content_hash, "check": fresh.content_hash, "config": asdict(config)}
    work = out.with_name(out.name + ".training")
    record = Record(work, "refine", asked | {"limits": asdict(values.replay_check.limits)}, seed, placed=tuple(names))
    if record.finished and out.is_dir():
        print(f"{out} is there already, made by the same command")
        return
    result = _refine(names, real, fresh, work, config, values.replay_check.limits, seed, device)
    if not main_process():
        return
    save_refinement(result, out, seed)
    record.finish()
    print(f"{out}: iteration {result.iteration} kept ({result.reason})")
    print(
        f"success in the judge's dreams: {result.judged_before:.2f} before, {result.judged_start:.2f} where practice "
        f"began, {result.judged_refined:.2f} kept"
    )


def require_independent(
    names: Mapping[str, Path], weights: Mapping[str, str], real: EpisodeStore, fresh: EpisodeStore
) -> None:
    """The judge must not be who dreams, nor the check what the policy learned from: they would confirm anything.

    `weights`: digests of those of the checkpoints `names`.

    Raises:
        CommandError: the judge's models are those of the dream, one of the models has learned from the check's
            episodes, or the stores share episodes or start states.
    """
    for name in ("world_model", "reward"):
        if weights[name] == weights[f"judge_{name}"]:
            own, judge, option = names[name], names[f"judge_{name}"], name.replace("_", "-")
            raise CommandError(
                f"--judge-{option} {judge} has the weights of --{option} {own} and would confirm whatever that dreams: "
                "give one trained with another --seed"
            )
    from world4rl_wm.checkpoint_identity import learned_from

    for name in ("world_model", "judge_world_model", "reward", "judge_reward"):
        learned = learned_from(names[name], fresh, range(len(fresh)))
        if learned:
            raise CommandError(
                f"--{name.replace('_', '-')} {names[name]} has learned from {learned} of the {len(fresh)} episodes of "
                f"--check {fresh.path}, so it would recognise them: give others (`world4rl collect --first` chooses "
                "the start states), or a model that was trained without them"
            )
    digests = {info.digest for info in real.infos}
    starts = {(info.task, info.seed) for info in real.infos if info.seed is not None}
    shared = sum(info.digest in digests for info in fresh.infos)
    again = sum((info.task, info.seed) in starts for info in fresh.infos)
    if shared or again:
        what = "episodes" if shared else "start states"
        raise CommandError(
            f"--check {fresh.path} shares {shared or again} of its {len(fresh)} {what} with --store {real.path}, so it "
            "is not fresh: collect others (`world4rl collect --first` chooses the start states)"
        )


def _refine(
    names: dict[str, Path],
    real: EpisodeStore,
    fresh: EpisodeStore,
    work: Path,
    config: RefineConfig,
    limits: ReplayCheckConfig,
    seed: int,
    device: str,
) -> Refinement:
    """Load the models, do the replay check, refine."""
    from world4rl.refinement.dreamed import Dreamer
    from world4rl.refinement.rehearsal import Rehearsal
    from world4rl.runs.start_states import practice_starts
    from world4rl_data.episode import Outcome
    from world4rl_policy.actor_critic import GaussianPolicy
    from world4rl_wm.model.frames import StartStates
    from world4rl_wm.model.world_model import WorldModel
    from world4rl_wm.reward.model import RewardModel
    from world4rl_wm.training.devices import process_device

    contract = real.contract
    successes = real.select(outcome=Outcome.SUCCESS)
    if not successes:
        raise CommandError(f"{real.path} holds no success: the BC term needs some")
    place = process_device(device)
    before = GaussianPolicy.load(names["policy"], contract=contract)
    dream, judges = (
        Dreamer(
            WorldModel.load(names[f"{who}world_model"], place, contract),
            RewardModel.load(names[f"{who}reward"], place, contract),
        )
        for who in ("", "judge_")
    )
    labelled = fresh.select(outcome=(Outcome.SUCCESS, Outcome.FAILURE))
    if not labelled:
        raise CommandError(f"{fresh.path} holds no labelled episode: the replay check compares outcomes")
    starts = practice_starts(real, config.imagination, dream.world_model)
    others = StartStates.of(fresh, range(len(fresh)))
    rehearsal = Rehearsal(dream, judges, starts, others, (real, successes), config, seed)
    start = rehearsal.start(before, work / "start")
    check = rehearsal.check(start.policy, fresh, labelled, limits, StartStates.of(fresh, labelled)).check
    if main_process():
        replace_file(work / "replay_check.json", json.dumps(check.to_dict(), indent=2))
        print(f"replay check: {check}")
    return rehearsal.refine(start, check, work)
