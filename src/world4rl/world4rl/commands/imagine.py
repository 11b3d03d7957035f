"""`world4rl imagine`: a film of reality next to the dream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from world4rl.commands.common import CommandError, SeedOption

if TYPE_CHECKING:
    from torch import Tensor

    from world4rl_data.store import EpisodeStore


def imagine(
    store: Path,
    world_model: Path,
    reward: Path,
    out: Path,
    episode: int = 0,
    start: int = 0,
    steps: int | None = None,
    policy: Path | None = None,
    seed: SeedOption = 0,
) -> None:
    """Dream a real episode again from one of its frames and write an MP4, real left, imagined right.

    The dream gets the frames up to START and then only actions: those of the episode, or those of a policy that sees
    nothing but the dream. The bar shows the reward model's success probability.

    Args:
        store: Training store with the episode.
        world_model: World-model checkpoint.
        reward: Reward-model checkpoint.
        out: MP4 to write; settings and success probability by step go to OUT with the ending .run.
        episode: Index of the episode in the store.
        start: Frame from which to dream [control periods].
        steps: Length of the dream [control periods]; None goes to the end of the episode.
        policy: Policy checkpoint that acts in the dream; None repeats the real actions.
    """
    import numpy as np

    from world4rl.record import Record
    from world4rl.video import side_by_side
    from world4rl_data.store import EpisodeStore
    from world4rl_policy.actor_critic import GaussianPolicy
    from world4rl_wm.reward import RewardModel
    from world4rl_wm.rollout import imagine as dream
    from world4rl_wm.world_model import WorldModel

    data = EpisodeStore.open(store)
    steps = require_part(data, episode, start, steps, policy is not None)
    model = WorldModel.load(world_model, contract=data.contract)
    judge = RewardModel.load(reward, contract=data.contract)
    actor = None if policy is None else GaussianPolicy.load(policy, contract=data.contract)
    settings: dict[str, object] = {
        "store": str(store),
        "content_hash": data.content_hash,
        "episode": data.infos[episode].episode_id,
    }
    settings |= {"start": start, "steps": steps, "world_model": str(world_model), "reward": str(reward)}
    record = Record(out.with_suffix(".run"), "imagine", settings | {"policy": str(policy)}, seed)
    context, past, actions, proprio = context_of(data, episode, start, steps, model.history)
    given = actions if actor is None else None
    rollout = dream(model, judge, context, past, given, steps, seed, actor, proprio=proprio)
    real = data.frames(episode)[start : start + steps + 1]
    frames = rollout.frames[0].numpy()
    probability = rollout.success_probability[0].tolist()
    first = real[:1]  # both sides begin with the frame that the dream starts from
    now = float(judge.probability(context[:, -1])[0])
    side_by_side(real, np.concatenate([first, frames]), out, [now, *probability], data.contract.control_rate_hz)
    for step, value in enumerate(probability, start + 1):
        record.metric(step=step, success_probability=value)
    record.finish()
    name = data.infos[episode].episode_id
    print(f"{out}: {steps} imagined steps of {name}, last success probability {probability[-1]:.2f}")


def require_part(data: EpisodeStore, episode: int, start: int, steps: int | None, free: bool) -> int:
    """The number of steps to dream; `free` dreams may be longer than the episode.

    Raises:
        CommandError: an episode, frame or length that is not there.
    """
    if not 0 <= episode < len(data):
        raise CommandError(f"--episode must be 0 to {len(data) - 1}, got {episode}")
    length = data.infos[episode].length
    if not 0 <= start < length:
        raise CommandError(f"--start must be 0 to {length - 1} in this episode, got {start}")
    left = length - start
    steps = left if steps is None else steps
    if steps < 1 or (steps > left and not free):
        raise CommandError(f"--steps must be 1 to {left} from there, got {steps}")
    return steps


def context_of(
    data: EpisodeStore, episode: int, start: int, steps: int, history: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Context ``(1, history, C, H, W)``, its actions ``(1, history - 1, A)``, following actions ``(1, steps, A)``;
    proprioception measured in the last two frames ``(1, 2, P)``.

    Before the episode's first frame that frame is repeated, with zero actions.
    """
    from world4rl_wm.frames import FrameWindows

    windows = FrameWindows(data, [episode], history)
    row = windows.current[start : start + 1]
    window = windows.window(row)
    following = windows.actions[int(row) : int(row) + steps]
    return window.context, window.actions[:, :-1], following.unsqueeze(0), window.proprio
