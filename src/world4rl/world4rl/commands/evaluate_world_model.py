"""`world4rl evaluate world-model`: how true a world model is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from world4rl.errors import CommandError
from world4rl_data.durable import replace_file


def evaluate_world_model(
    model: Annotated[Path, tyro.conf.Positional],
    store: tuple[Path, ...] = (),
    reward: Path | None = None,
    out: Path | None = None,
    horizons: tuple[int, ...] = (1, 5, 15, 30, 50),
    every: int = 5,
    episodes: int = 100,
    fresh: int = 32,
    batch: int = 64,
    workers: int = 2,
    device: str = "auto",
    seed: int | None = None,
) -> None:
    """Measure a world model on real episodes: open-loop error by horizon, action sensitivity, honest failure, films.

    Every error stands next to that of copying the last frame, with a 95 % interval over episodes. OUT gets
    measures.json and measures.html. LPIPS, FID and FVD need weights that are not part of this project: where they are
    missing, it is said how to get them.

    Args:
        model: Folder of a run (its world_model_a, reward_a and fresh episodes are taken), or a world-model checkpoint.
        store: Training stores to measure on; of a run, by default its fresh episodes.
        reward: Reward-model checkpoint that judges the dreams; without one outcomes are not measured.
        out: Folder to write; None: RUN/measures, or the checkpoint's name with .measures.
        horizons: How far ahead [control periods]; what no episode reaches is said to be not measured.
        every: A dream starts at every EVERY-th frame of an episode [control periods].
        episodes: At most this many of each task, source and store, evenly spread.
        fresh: Start states from which two random episodes each are simulated, for errors on random roll-outs and for
            true counterfactuals; 0: none. Only where the contract is that of a simulated task.
        batch: Dreams at a time.
        workers: Processes that simulate.
        device: Where the models run: auto, cpu, cuda ...
        seed: Seed of everything random; None: the run's, or 0.
    """
    import json
    from dataclasses import asdict

    from world4rl.model_measures.inputs import find_inputs
    from world4rl.model_measures.measure import Settings, evaluate_model
    from world4rl.model_measures.page import build_page
    from world4rl_wm.checkpoint import provenance

    if not horizons or min(horizons) < 1:
        raise CommandError("--horizons must be 1 or more")
    if min(every, episodes, batch, workers) < 1 or fresh < 0:
        raise CommandError("--every, --episodes, --batch and --workers must be at least 1, --fresh at least 0")
    inputs = find_inputs(model, reward, store, out, seed)
    settings = Settings(tuple(sorted(set(horizons))), every, episodes, fresh, batch, workers, device)
    values = evaluate_model(inputs, settings)
    made = provenance(inputs.seed, {})
    values |= {"seed": inputs.seed, "created": made["created"], "settings": asdict(settings), "provenance": made}
    inputs.out.mkdir(parents=True, exist_ok=True)
    replace_file(inputs.out / "measures.json", json.dumps(values, indent=2))
    for group in values["groups"]:
        for line in summary_lines(group, settings.horizons):
            print(line)
    for name, reason in values["not_computed"].items():
        print(f"{name.upper()} not computed: {reason}")
    print(build_page(values, inputs.out))


def summary_lines(group: dict[str, dict], horizons: tuple[int, ...]) -> list[str]:  # type: ignore[type-arg]
    """What the terminal shows of a group: each measure at each horizon next to copying."""
    lines = [f"{group['name']}: {group['episodes']} episodes"]
    for horizon in horizons:
        parts = []
        for measure in group["open_loop"].values():
            ours, rival = (measure[k][horizon - 1] if horizon <= len(measure[k]) else None for k in ("ours", "rival"))
            if ours is not None and rival is not None:
                parts.append(f"{measure['title']} {ours['mean']:.3g} (copying {rival['mean']:.3g})")
        lines.append(f"  {horizon} steps: " + (", ".join(parts) or "not measured, no dream is that long"))
    return lines
