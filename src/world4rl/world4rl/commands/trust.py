"""`world4rl calibrate-trust`: the limit of surprise above which the policy node stops."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro

from world4rl.commands.common import SeedOption
from world4rl.errors import CommandError, existing


def calibrate_trust(
    store: Annotated[Path, tyro.conf.Positional],
    world_model: Path,
    source: tuple[str, ...] = (),
    quantile: float = 0.99,
    steps: int = 3,
    margin: float = 1.2,
    held_out: float = 0.5,
    device: str = "auto",
    seed: SeedOption = 0,
) -> None:
    """Find from normal episodes how much surprise is normal, and write the limit into the world model's folder.

    The limit is the lowest with which a monitor lets QUANTILE of the episodes pass, times MARGIN. It goes to
    WORLD_MODEL/trust.json, with the rate of false alarms on the held-out episodes.

    Args:
        store: Training store with normal episodes, best such that the world model has not learned from.
        world_model: World-model checkpoint.
        source: Only episodes of these sources, such as policy; none given: all.
        quantile: Share of the calibration episodes that must pass.
        steps: For how many actions in a row surprise must lie above the limit.
        margin: Factor on the limit.
        held_out: Share of the episodes on which false alarms are counted instead.
        device: Where the world model runs: auto, cpu, cuda ...
    """
    from tqdm import tqdm

    from world4rl.runs.record import note
    from world4rl_data.store import EpisodeStore
    from world4rl_policy.trust_calibration import Calibration, calibrate
    from world4rl_wm.devices import resolve_device
    from world4rl_wm.model.world_model import WorldModel

    config = Calibration(quantile, steps, margin, held_out, seed)
    data = EpisodeStore.open(existing(store, "store"))
    episodes = data.select(source=source or None)
    if not episodes:
        raise CommandError(f"{store} holds no episodes of {', '.join(source) or 'any source'}")
    model = WorldModel.load(existing(world_model, "world model"), resolve_device(device), contract=data.contract)
    with tqdm(total=len(episodes), unit="episode") as bar:
        limit = calibrate(model, world_model, data, episodes, config, lambda done: bar.update(done - bar.n))
    path = limit.save(world_model)
    settings = asdict(config) | {"world_model": str(world_model), "source": list(source)}
    note(store, "calibrate-trust", settings, seed, asdict(limit))
    low, high = limit.false_alarm_ci95
    print(
        f"{path}: limit {limit.limit:.2f} for {steps} steps from {limit.calibration_episodes} episodes; "
        f"false alarms in {limit.false_alarms} of {limit.held_out_episodes} others (95 % {low:.1%} to {high:.1%})"
    )
    if limit.trained_on_store:
        print("the world model has learned from episodes of this store: fresh episodes will surprise it more, use such")
