"""`world4rl benchmark`: tables of many runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from world4rl.commands.common import Overrides, PresetOption
from world4rl.errors import CommandError
from world4rl_data.durable import replace_file

TASKS = ("coffee-pull", "lever-pull", "soccer", "door-lock", "handle-press", "drawer-close")
SHIPPED_CONTRACT = {"tiny": "metaworld_32"}  # of any other preset: metaworld_64, with the paper's 50 steps


def metaworld(
    tasks: tuple[str, ...] = TASKS,
    seeds: tuple[int, ...] = (0, 1, 2),
    run: Path = Path("runs/metaworld"),
    world_model: Literal["shared", "per-task"] = "shared",
    one_policy: bool = False,
    contract: str | None = None,
    out: Path | None = None,
    preset: PresetOption = "tiny",
    settings: Overrides = (),
) -> int:
    """Meta-World's tasks, after the paper's protocol: for each task and seed expert, policy and random episodes, world
    model, reward model, BC, filtered BC, replay check, refinement in imagination, on the same unseen start states.

    Fresh episodes for the replay check are added, so that no table is the paper's protocol. Prints the table, what
    differs, and the paper's figures as summaries of it by others give them, for orientation. Interrupted, the same
    command goes on; rows can be divided among processes or machines by --tasks and --seeds with the same --run (with
    --world-model shared: by seeds).

    Args:
        tasks: Meta-World's names, with or without the version; all 50 are accepted.
        seeds: Training seeds; each has start states of its own.
        run: Folder of the benchmark: a folder for each seed and task, and results.json.
        world_model: One world model over all the tasks, as in the paper (its steps are the preset's for each task), or
            one for each task alone.
        one_policy: Beside the rows, for each seed one policy that is told the task, learned from all tasks and refined
            in the dreams of all at once; needs the shared world model. May be asked for later, too.
        contract: Task contract, a name or a YAML file: pictures, control rate [Hz] and length [s] of an episode. None:
            metaworld_32 (30 steps) with the preset tiny, metaworld_64 (the paper's 50 steps) with the others.
        out: JSON file for the result too, such as benchmarks/results/metaworld-tiny.json.
    """
    from world4rl.benchmark.metaworld import Benchmark, rows_of, run_benchmark
    from world4rl.benchmark.one_policy.row import one_policy_rows
    from world4rl.benchmark.one_policy.table import one_policy_table
    from world4rl.benchmark.table import notes, result, table
    from world4rl.presets import METAWORLD, load_preset, metaworld_preset, preset_values
    from world4rl.runs.load_run import require_config
    from world4rl_sim.metaworld.names import environment_class, load_contract

    names = tuple(dict.fromkeys(map(_full_name, tasks)))
    if not names or not seeds or min(seeds) < 0:
        raise CommandError("give at least one task, and seeds of 0 or more")
    if one_policy and world_model != "shared":
        raise CommandError("--one-policy practises all tasks in one dream: it needs --world-model shared")
    preset = preset.removeprefix(METAWORLD)  # the other commands' name of the same one
    values = load_preset(metaworld_preset(preset), settings)
    contract = contract or SHIPPED_CONTRACT.get(preset, "metaworld_64")
    asked = {"preset": preset, "contract": load_contract(contract).to_dict(), "world_model": world_model}
    if world_model == "shared":
        asked["tasks"] = sorted(names)
    values.require_trainable(load_contract(contract))
    environment_class(names[0])  # a missing library is told before anything is written
    require_config(run, {**asked, "settings": preset_values(values)})
    print(f"{len(names) * len(seeds)} rows, preset {preset}: {values.description}")
    asked_for = Benchmark(run, names, tuple(seeds), preset, values, contract, world_model, one_policy)
    failed = run_benchmark(asked_for)
    rows, together = rows_of(run), one_policy_rows(run)
    if rows:
        found = result(rows) | ({"one_policy": together} if together else {})
        text = json.dumps(found, indent=2)
        for path in (run / "results.json", *([] if out is None else [out])):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, text + "\n")
        said = [table(found), notes(found), *([one_policy_table(together)] if together else [])]
        print("\n" + "\n\n".join([*said, str(run / "results.json")]))
    return 1 if failed else 0


def _full_name(task: str) -> str:
    from world4rl_sim.metaworld.names import TASKS as KNOWN
    from world4rl_sim.metaworld.names import full_name

    name = full_name(task)
    if name is None:
        raise CommandError(f"Meta-World has no task '{task}': choose from {', '.join(KNOWN)}")
    return name
