"""`world4rl calibrate-uncertainty`: what the disagreement of world models means in real error."""

from __future__ import annotations

from dataclasses import asdict

from world4rl.commands.common import SeedOption
from world4rl.commands.dream_models import (
    DeviceOption,
    DreamFolders,
    EnsembleOption,
    RunOption,
    StoreOption,
    WorldModelOption,
)
from world4rl.errors import CommandError


def calibrate_uncertainty(
    run: RunOption = None,
    store: StoreOption = None,
    world_model: WorldModelOption = None,
    ensemble: EnsembleOption = (),
    source: tuple[str, ...] = (),
    episodes: int | None = None,
    held_out: float = 0.5,
    bins: int = 20,
    wrong_quantile: float = 0.75,
    noise_dreams: int = 3,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Dream held-out episodes again, measure how well disagreement tells the real error, and keep the map.

    Two signals: how far the world models' dreams lie apart, and how far dreams of the first from other noise do. The
    map from each to the expected error goes to WORLD_MODEL/uncertainty.json, with AUROC and rank correlation on
    episodes that it was not fitted on, and a picture to uncertainty.png. Films, plays and the imagination node use it
    from then on; noise alone is used by films and plays, and only where its AUROC is .7 or more.

    Args:
        source: Only episodes of these sources, such as policy; none given: all.
        episodes: This many episodes, the first ones; None takes all.
        held_out: Share of the episodes on which the quality is measured, and nothing fitted.
        bins: Points of the map.
        wrong_quantile: A frame is wrong when its error lies above this share of the fitted frames' errors.
        noise_dreams: Dreams from other noise; 0 leaves noise out, and so does a world model that samples from none
            (world_model.edm.noise_scale 0, as in the preset tiny).
    """
    from world4rl.runs.calibrated_uncertainty import calibrate_checkpoint, signal_figures
    from world4rl.runs.record import note
    from world4rl_data.store import EpisodeStore
    from world4rl_wm.devices import resolve_device
    from world4rl_wm.uncertainty.calibration import NOISE, UNCERTAINTY, CalibrationConfig

    if episodes is not None and episodes < 1:
        raise CommandError("--episodes must be at least 1")
    config = CalibrationConfig(held_out, bins, wrong_quantile, noise_dreams, seed)
    folders = DreamFolders.find(run, store, world_model, ensemble)
    data = EpisodeStore.open(folders.store)
    chosen = data.select(source=source or None)[:episodes]
    if not chosen:
        raise CommandError(f"{folders.store} holds no episodes of {', '.join(source) or 'any source'}")
    found = calibrate_checkpoint(folders.world_model, folders.ensemble, data, chosen, config, resolve_device(device))
    results = {name: signal_figures(quality) for name, quality in found.signals.items()}
    settings = asdict(config) | folders.settings() | {"source": list(source)}
    note(folders.store, "calibrate-uncertainty", settings, seed, results)
    told = f"fitted on {found.fitted_episodes} episodes, measured on {found.held_out_episodes} others"
    print(f"{folders.world_model / UNCERTAINTY}: {told}")
    for name, quality in found.signals.items():
        low, high = quality.auroc_ci95
        print(
            f"  {name}: AUROC {quality.auroc:.2f} (95 % {low:.2f} to {high:.2f}), of frames of the same step "
            f"{quality.auroc_same_step:.2f}; Spearman {quality.spearman:.2f}; mean error expected "
            f"{quality.expected_error:.3f}, real {quality.real_error:.3f}{'' if quality.usable else '; below .7'}"
        )
    if noise_dreams and NOISE not in found.signals:
        print("  noise: not measured, for this world model samples from none (world_model.edm.noise_scale 0)")
    print(f"  the step's number alone: AUROC {found.auroc_of_step:.2f}")
    if not folders.ensemble:
        print(
            "one world model: give --ensemble with another of a different --seed for an uncertainty that is not noise's"
        )
    if found.trained_on_store:
        print("a world model has learned from episodes of this store: fresh episodes will be worse, use such")
