"""`world4rl dataset recover`: closed bags from what a killed recorder or a cut file left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from world4rl.errors import CommandError, existing


def recover(paths: Annotated[tuple[Path, ...], tyro.conf.Positional], contract: str | None = None) -> int:
    """Rebuild the bags at or below PATHS that were never closed, or that were cut, from what is readable of them.

    A rebuilt bag takes the place and name of the damaged one, which is kept in `.trash/` beside it. Its outcome is what
    episode.json says, INTERRUPTED for an episode that was being recorded. Sound bags are not touched. Exit code 1 where
    a bag could not be rebuilt.

    Args:
        paths: Bags, or folders of bags.
        contract: Task contract for bags that have lost their own, by name or path.
    """
    from tqdm import tqdm

    from world4rl_data.contract import TaskContract
    from world4rl_data.episode_record import BagError
    from world4rl_data.recover import find_damaged, recover_bag

    if not paths:
        raise CommandError("no bag is named: give the folder of bags, or one bag")
    loaded = None if contract is None else TaskContract.load(contract)
    damaged = [bag for path in paths for bag in find_damaged(existing(path, "bag or folder of bags"))]
    failed = 0
    for bag in damaged:
        size = sum(file.stat().st_size for file in bag.glob("*.mcap"))
        with tqdm(total=size, desc=bag.name, unit="B", unit_scale=True) as bar:
            try:
                done = recover_bag(bag, loaded, lambda read, bar=bar: bar.update(read - bar.n))  # type: ignore[misc]
            except BagError as error:
                failed += 1
                bar.write(f"{bag.name}: {error}")
                continue
            bar.write(f"{done.path}: {done}; the original is {done.original}")
    print(f"{len(damaged)} damaged bags found, {len(damaged) - failed} recovered")
    return 1 if failed else 0
