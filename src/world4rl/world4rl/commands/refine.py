"""`world4rl refine`: replay check, PPO in imagination, choice of the checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

from world4rl.commands.common import CommandError, Overrides, PresetOption, SeedOption


def refine(
    policy: Path,
    world_model: Path,
    reward: Path,
    judge_world_model: Path,
    judge_reward: Path,
    store: Path,
    check: Path,
    out: Path,
    preset: PresetOption = "tiny",
    seed: SeedOption = 0,
    settings: Overrides = (),
) -> None:
    """Refine a policy in imagination, as far as models that it never practised in confirm it.

    First the replay check: fresh real episodes of the policy are dreamed again; where the dream cannot tell their
    successes from their failures, the policy is kept as it is, the reason is printed, and the exit code is still 0.

    Args:
        policy: Checkpoint of the start policy.
        world_model: World model to dream in.
        reward: Reward model of the dream.
        judge_world_model: Independently trained world model (another --seed) that chooses the checkpoint.
        judge_reward: Independently trained reward model for the judge.
        store: Store whose first frames start the dreams and whose successes feed the BC term.
        check: Store of fresh episodes of the start policy with exploration noise, seen by no training.
        out: Checkpoint folder to write; settings, replay check and metrics by iteration go to OUT.training.
    """
    from dataclasses import asdict

    from world4rl.presets import load_preset
    from world4rl.record import Record
    from world4rl.refine import Dreamer, first_frames, save_refinement
    from world4rl.refine import refine as refine_policy
    from world4rl_data.episode import Outcome
    from world4rl_data.store import EpisodeStore
    from world4rl_policy.actor_critic import GaussianPolicy
    from world4rl_wm.replay_check import judge, replay
    from world4rl_wm.reward import RewardModel
    from world4rl_wm.world_model import WorldModel

    values = load_preset(preset, settings)
    config = values.refine_config()
    real, fresh = EpisodeStore.open(store), EpisodeStore.open(check)
    contract = real.contract
    contract.require_same(fresh.contract, f"store {check}")
    successes = real.select(outcome=Outcome.SUCCESS)
    if not successes or not len(fresh):
        raise CommandError(f"{store if not successes else check} holds no {'success' if not successes else 'episode'}")
    start = GaussianPolicy.load(policy, contract=contract)
    dream = Dreamer(WorldModel.load(world_model, contract=contract), RewardModel.load(reward, contract=contract))
    judges = Dreamer(
        WorldModel.load(judge_world_model, contract=contract), RewardModel.load(judge_reward, contract=contract)
    )
    names = {"policy": policy, "world_model": world_model, "reward": reward, "judge_world_model": judge_world_model}
    asked = {k: str(v) for k, v in names.items()} | {
        "judge_reward": str(judge_reward),
        "limits": asdict(values.replay_check),
    }
    asked |= {"store": real.content_hash, "check": fresh.content_hash, "config": asdict(config)}
    work = out.with_name(out.name + ".training")
    record = Record(work, "refine", asked, seed)
    if record.finished and out.is_dir():
        print(f"{out} is there already, made by the same command")
        return
    played = replay(dream.world_model, [dream.reward_model], fresh, range(len(fresh)), config.imagination.hits, seed)
    verdict = judge(played.real_success, played.dreamed_success, values.replay_check.limits)
    (work / "replay_check.json").write_text(json.dumps(verdict.to_dict(), indent=2))
    print(f"replay check: TPR {verdict.tpr:.2f}, FPR {verdict.fpr:.2f}, {verdict.reason}")
    starts, judge_starts = first_frames(real, range(len(real))), first_frames(fresh, range(len(fresh)))
    result = refine_policy(start, verdict, dream, judges, starts, judge_starts, (real, successes), work, config, seed)
    save_refinement(result, out, config, seed)
    record.finish()
    print(
        f"{out}: iteration {result.iteration} kept ({result.reason}); judged {result.judged_start:.2f} -> {result.judged_refined:.2f}"
    )
