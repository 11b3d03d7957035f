"""`world4rl imagine`: a film of reality, the dream and their difference."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from world4rl.commands.common import SeedOption
from world4rl.commands.dream_models import (
    DeviceOption,
    DreamFolders,
    DreamModels,
    EnsembleOption,
    RewardOption,
    RunOption,
    StoreOption,
    WorldModelOption,
    reward_folder,
)
from world4rl.errors import CommandError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from world4rl.presentation.dream_film import DreamFilm
    from world4rl_data.store import EpisodeStore
    from world4rl_wm.imagination.rollout import Rollout


def imagine(
    run: RunOption = None,
    store: StoreOption = None,
    world_model: WorldModelOption = None,
    reward: RewardOption = None,
    ensemble: EnsembleOption = (),
    out: Path | None = None,
    episode: int = 0,
    start: int = 0,
    steps: int | None = None,
    samples: int = 1,
    policy: Path | None = None,
    scale: int | None = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Dream a real episode again from one of its frames and write an MP4: real, imagined, and where they differ.

    The dream gets the frames up to START and then only actions: those of the episode, or those of a policy that sees
    nothing but the dream. Below, success probability and uncertainty over time. Needs no display.

    Args:
        out: MP4 to write; None: dream-EPISODE.mp4 in the run's clips, or here. Settings and numbers by step go to OUT
            with the ending .run. Films and numbers of before are overwritten.
        episode: Index of the episode in the store.
        start: Frame from which to dream [control periods].
        steps: Length of the dream [control periods]; None goes to the end of the episode.
        samples: Dreams from the same frame, each from its own noise; all alike where the world model samples from none
            (world_model.edm.noise_scale 0, as in the preset tiny).
        policy: Policy checkpoint that acts in the dream; None repeats the real actions.
        scale: Pixels per pixel of a frame; None: as many as make it readable.
    """
    import numpy as np

    from world4rl.runs.record import Record
    from world4rl_policy.actor_critic import GaussianPolicy
    from world4rl_wm.imagination.dream_context import episode_context
    from world4rl_wm.imagination.dream_start import DreamStart, repeated
    from world4rl_wm.imagination.rollout import imagine as dream
    from world4rl_wm.imagination.rollout import likeness

    if samples < 1 or (scale is not None and scale < 1):
        raise CommandError("--samples and --scale must be at least 1")
    folders, judge = DreamFolders.find(run, store, world_model, ensemble), reward_folder(run, reward)
    models = DreamModels.load(folders, judge, device)
    data, model = models.data, models.world_model
    steps = require_part(data, episode, start, steps, policy is not None)
    out = out or (Path() if run is None else run / "clips") / f"dream-{episode}.mp4"
    task = data.infos[episode].task
    actor = None if policy is None else GaussianPolicy.load(policy, model.device, data.contract).for_task(task)
    asked: dict[str, object] = {"content_hash": data.content_hash, "episode": data.infos[episode].episode_id}
    asked |= {"start": start, "steps": steps, "samples": samples, "policy": str(policy), "uncertainty": models.told}
    settings = folders.settings() | {"reward": str(judge)} | asked
    record = Record(out.with_suffix(".run"), "imagine", settings, seed, anew=True)
    began = DreamStart.of(episode_context(data, episode, start, model.history), model, samples, seed, task)
    following = np.array(data.actions(episode)[start : start + steps], np.float32)
    given = repeated(following, samples, model.device) if actor is None else actor
    rollout = dream(model, models.judge, began, given, steps, models.ensemble)
    film = film_of(
        models, rollout, data.frames(episode)[start : start + steps + 1], title_of(data, episode), actor is None
    )
    film.write(out, data.contract.control_rate_hz, scale)
    tables = {"success_probability": film.success, "uncertainty": film.uncertainty, "picture_error": film.error}
    for step in range(1, steps + 1):
        columns = {name: table[:, step].tolist() for name, table in tables.items()}
        columns["progress"] = rollout.progress[:, step - 1].tolist()
        known = {name: [v if math.isfinite(v) else None for v in values] for name, values in columns.items()}
        record.metric(step=start + step, **known)
    record.finish()
    last = ", ".join(f"{value:.2f}" for value in film.success[:, -1])
    print(f"{out}: {steps} imagined steps of {data.infos[episode].episode_id}, last success probability {last}")
    print(f"uncertainty: {models.told}")
    if told := likeness(model, rollout):
        print(f"samples: {told}")


def film_of(models: DreamModels, rollout: Rollout, real: np.ndarray, title: str, compared: bool) -> DreamFilm:
    """The film of a roll-out beside `real` frames ``(R, C, H, W)``, of which the first is where it starts."""
    import numpy as np
    import torch

    from world4rl.presentation.dream_film import DreamFilm
    from world4rl_wm.model.frames import to_float

    def with_start(values: Tensor, first: float) -> np.ndarray:
        table = values.cpu().numpy()
        return np.concatenate([np.full((len(table), 1), first, table.dtype), table], axis=1)

    frames = rollout.frames.cpu().numpy()
    starts = np.repeat(real[None, :1], len(frames), axis=0)
    judged = models.judge.probability(to_float(torch.from_numpy(np.array(real))).to(models.world_model.device))
    return DreamFilm(
        title=title,
        real=np.array(real),
        imagined=np.concatenate([starts, frames], axis=1),
        success=with_start(rollout.success_probability, float(judged[0])),
        real_success=judged.cpu().numpy(),
        uncertainty=with_start(rollout.uncertainty, 0.0),
        kind=rollout.uncertainty_kind,
        compared=compared,
    )


def title_of(data: EpisodeStore, episode: int) -> str:
    """Task, episode and outcome."""
    info = data.infos[episode]
    return f"{info.task}  {info.episode_id} ({info.outcome.name.lower()})"


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
