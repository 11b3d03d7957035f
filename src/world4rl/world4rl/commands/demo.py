"""`world4rl demo`: the whole loop."""

from __future__ import annotations

from pathlib import Path

from world4rl.commands.common import Overrides, PresetOption, SeedOption


def demo(
    run: Path = Path("runs/demo"),
    task: str = "press_button",
    preset: PresetOption = "tiny",
    seed: SeedOption = 0,
    settings: Overrides = (),
) -> None:
    """Record demonstrations on the ROS graph, learn, dream, refine, deploy on the graph, evaluate, report.

    Interrupted, the same command goes on with the stage that it was in.

    Args:
        run: Folder of the run; report.html and summary.json end up there.
        task: Scene of the simulated arm: press_button, push_cube or lift_cube.
    """
    from world4rl.episodes.simulation import contract_for
    from world4rl.pipeline import run_pipeline
    from world4rl.presets import load_preset, preset_values
    from world4rl.runs.load_run import require_config
    from world4rl.runs.run_folder import Run

    values = load_preset(preset, settings)
    values.require_trainable(contract_for(task))  # refused before anything is written: an unknown task, or no network
    require_config(run, {"task": task, "seed": seed, "preset": preset, "settings": preset_values(values)})
    print(f"{task}, seed {seed}, preset {preset}: {values.description}")
    print(f"report: {run_pipeline(Run(run, task, seed, preset, values))}")
