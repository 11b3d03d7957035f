"""How the world model is told an action: two-hot against one-hot and linear, all else and the time to learn equal.

    python benchmarks/encodings.py --store runs/demo/stores/demonstrations+practice --fresh runs/demo/stores/check

Writes benchmarks/results/encodings-<task>.json after every training, goes on where it was stopped, and prints a table.
Measures and budget are those of benchmarks/rivals.py.
"""

from __future__ import annotations

from functools import partial

from rivals_parts.contest import Contest, run
from rivals_parts.options import contest, parser, result_path
from rivals_parts.rival import Rival
from rivals_parts.table import table

from world4rl_wm.model.action_encoding import ENCODINGS


def encoded(encoding: str, contest: Contest, seed: int) -> Rival:
    return contest.world_model(seed, encoding=encoding)


def main() -> None:
    options = parser(__doc__).parse_args()
    ring = contest(options)
    makers = {name: partial(encoded, name) for name in ENCODINGS}
    print(table(run("encodings", ring, makers, options.seeds, result_path(options, "encodings", ring.learned))))


if __name__ == "__main__":
    main()
