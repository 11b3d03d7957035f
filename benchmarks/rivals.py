"""World models of different kinds on the same data, with the same time to learn, measured alike.

    python benchmarks/rivals.py --store runs/demo/stores/demonstrations+practice --fresh runs/demo/stores/check

Writes benchmarks/results/rivals-<task>.json after every training, goes on where it was stopped, and prints a table.
Every rival learns for --minutes of CPU on one core, the state model's share included (time on the clock would depend
on what else the machine does). Rivals:

    copy       the last frame, again and again
    diffusion  this project's world model: U-Net, one denoising step (preset)
    regressor  the same U-Net that predicts the change at once, without noise: is diffusion worth its cost?
    diamond    DIAMOND's denoiser as published (arXiv 2405.12399), three denoising steps
    dit        the same diffusion with a transformer as its backbone (the kind of NWM)
    rssm       recurrent state-space model (the kind of Dreamer and DiWA); needs `pip install torchrl`

Open-loop errors start at every fifth frame of the fresh episodes; the replay check dreams them whole, judged by a
reward model that has learned to read the rival's own dreams.
"""

from __future__ import annotations

import argparse

from diamond_shape import diamond_shape
from rivals_parts.contest import Contest, Maker, run
from rivals_parts.options import contest, parser, result_path
from rivals_parts.rival import CopyLastFrame, Rival
from rivals_parts.table import table
from rivals_parts.world_models import Regressor


def dit(contest: Contest, seed: int) -> Rival:
    """Half as wide again as the preset's U-Net and six blocks deep: in `tiny` about as much computation for a frame."""
    width = 3 * contest.preset.world_model.denoiser["widths"][0] // 2
    return contest.world_model(seed, learning_rate=5e-4, backbone="dit", widths=(width,), layers=6)


def rssm(contest: Contest, seed: int) -> Rival:
    from rivals_parts.rssm import RssmConfig, TrainedRssm

    return TrainedRssm(RssmConfig(), contest.windows, contest.seconds, seed)


MAKERS: dict[str, Maker] = {
    "copy": lambda contest, seed: CopyLastFrame(),
    "diffusion": lambda contest, seed: contest.world_model(seed),
    "regressor": lambda contest, seed: contest.world_model(seed, Regressor),
    "diamond": lambda contest, seed: contest.world_model(seed, learning_rate=5e-4, shape=diamond_shape),
    "dit": dit,
    "rssm": rssm,
}


def main() -> None:
    arguments: argparse.ArgumentParser = parser(__doc__)
    arguments.add_argument("--rivals", nargs="+", choices=MAKERS, default=list(MAKERS), help="only these")
    options = arguments.parse_args()
    ring = contest(options)
    chosen = {name: MAKERS[name] for name in options.rivals}
    print(table(run("rivals", ring, chosen, options.seeds, result_path(options, "rivals", ring.learned))))


if __name__ == "__main__":
    main()
