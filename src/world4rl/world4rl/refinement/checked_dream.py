"""The replay check of a dreamer for a policy that is to practise in it: on fresh real episodes, before any of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from world4rl.refinement.dreamed import Dreamer, dreamed_success
from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_wm.imagination.env import ImaginationConfig
from world4rl_wm.measures.replay import Replay, replay, verdicts
from world4rl_wm.measures.replay_check import ReplayCheck, ReplayCheckConfig, judge
from world4rl_wm.model.frames import StartStates
from world4rl_wm.training.share import Share


@dataclass(frozen=True)
class CheckedDream:
    """The check, and what it rests on: the episodes dreamed again, the success probability ``(E, T + 1)`` that the
    reward model gives their frames, and the success ``(E,)`` that it dreams."""

    check: ReplayCheck
    replayed: Replay
    probability: Tensor
    success: Tensor


def check_dream(
    dreamer: Dreamer,
    policy: GaussianPolicy,
    fresh: EpisodeStore,
    episodes: Sequence[int],
    starts: StartStates,
    config: ImaginationConfig,
    limits: ReplayCheckConfig,
    seed: int,
    share: Share = Share(),  # noqa: B008 (frozen)
) -> CheckedDream:
    """Dream labelled fresh episodes again with their own actions; then the policy's own dreams from `starts`.

    `starts` are to be such that the policy has learned nothing from. The policy may be on another device than the
    dreamer; all processes of a `share` get the same check.
    """
    replayed = replay(dreamer.world_model, fresh, episodes, seed)
    probability, success = verdicts(replayed, dreamer.reward_model, config.hits, config.horizon)
    dreamed = dreamed_success(policy, dreamer, starts, config, share)
    check = judge(replayed.real_success, success, limits, dreamed)
    brief = int((replayed.real_success & (replayed.success_frames < config.hits)).sum())
    if brief and not check.passed:
        why = (
            f" Of {check.successes} real successes {brief} end before {config.hits} frames show them, as a dreamed one "
            "must: let episodes go on for longer after a success, or ask for fewer frames (imagination.hits)."
        )
        check = replace(check, reason=check.reason + why)
    return CheckedDream(share.agreed(check), replayed, probability, success)
