"""What more denoising steps, and noise to start from, do to one trained world model: errors, verdicts, and speed.

    python benchmarks/sampling.py runs/demo --steps 1 2 3 5      -> benchmarks/results/sampling-press_button.json

Nothing is trained: `world_model_a` of a finished run dreams the run's fresh episodes with each sampler, and its own
reward model, which has learned from dreams of the sampler that the run used, says what came of them.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rivals_parts.rival import Trained
from rivals_parts.scores import EVERY, HORIZONS, Dreamed, open_loop
from torch import Tensor

from world4rl.runs.load_run import load_run
from world4rl_wm.checkpoint import provenance
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.measures.replay import verdicts
from world4rl_wm.measures.replay_check import judge, rate_text
from world4rl_wm.model.frames import Window, to_uint8
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.model import RewardModel
from world4rl_wm.training.memory import keep_freed_memory

RESULTS = Path(__file__).parent / "results"


class Sampled:
    """A trained world model with another sampler."""

    trained = Trained(0, 0, 0.0, 0.0)

    def __init__(self, checkpoint: Path, steps: int, noise_scale: float) -> None:
        self.model = WorldModel.load(checkpoint)
        own = self.model.config
        self.model.config = replace(own, edm=replace(own.edm, steps=steps, noise_scale=noise_scale))

    @torch.no_grad()
    def dream(self, seen: Window, actions: Tensor, seed: int, tasks: Sequence[str]) -> Tensor:
        dream = Dream(self.model, seen.context, seen.actions[:, :-1], seed, seen.proprio, tasks)
        return torch.stack([to_uint8(dream.step(action)) for action in actions.unbind(1)], 1)


def measured(run_path: Path, steps: int, noise_scale: float) -> dict[str, Any]:
    """One sampler's row."""
    run = load_run(run_path, progress=False)
    rival, store = Sampled(run.checkpoint("world_model_a"), steps, noise_scale), run.store("check")
    dreamed = Dreamed.of(rival, store, rival.model.history, run.seed, EVERY)
    replay, reward = dreamed.replay, RewardModel.load(run.checkpoint("reward_a"))
    success = verdicts(replay, reward, run.preset.imagination.hits)[1]
    return {
        "steps": steps,
        "noise_scale": noise_scale,
        "frames_per_cpu_s": round(dreamed.frames_per_cpu_s, 1),
        "errors": open_loop(dreamed),
        "replay_check": judge(replay.real_success, success, run.preset.replay_check.limits).to_dict(),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a line for each sampler."""
    lines = [
        "| steps | starts from | PSNR 1 / 5 / 15 [dB] | SSIM | error where pixels moved | J | frames / CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        told = [
            " / ".join(
                f"{row['errors'][name][str(h)]['mean']:.{digits}f}" for h in HORIZONS if str(h) in row["errors"][name]
            )
            for name, digits in (("psnr", 1), ("ssim", 2), ("moving", 3))
        ]
        begin = "zero" if row["noise_scale"] == 0 else "noise"
        words = [row["steps"], begin, *told, rate_text(row["replay_check"]["j"]), f"{row['frames_per_cpu_s']:.0f}"]
        lines.append("| " + " | ".join(map(str, words)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 3, 5], help="denoising steps (default: 1 2 3 5)")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 1.0], help="scales of the noise (default: 0 1)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    rows: list[dict[str, Any]] = []
    for noise_scale, steps in product(options.noise, options.steps):
        rows.append(measured(options.run, steps, noise_scale))
        print(table(rows[-1:]).splitlines()[-1], flush=True)
    task = load_run(options.run, progress=False).task
    origin = {key: value for key, value in provenance(None, {}).items() if key not in ("seed", "data")}
    result = {"benchmark": "sampling", "rows": rows, "cores": os.cpu_count(), **origin}
    (RESULTS / f"sampling-{task}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
