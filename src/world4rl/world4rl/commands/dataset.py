"""`world4rl dataset`: from recorded bags to a training store, and a look at both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from world4rl.commands.common import CommandError, existing


def build(bags: Annotated[Path, tyro.conf.Positional], out: Path, contract: str | None = None) -> None:
    """Convert the episodes recorded below BAGS into a training store; again, it adds only what is new.

    Discarded, interrupted and unfit episodes are left out, and the reason is printed.

    Args:
        bags: Folder of bags, one folder per episode.
        out: Store to write; made where there is none.
        contract: Task contract by name or path; None takes the store's, or that of the first bag.
    """
    from world4rl.record import note
    from world4rl_data.build import build_store
    from world4rl_data.contract import TaskContract

    loaded = None if contract is None else TaskContract.load(contract)
    report = build_store(existing(bags, "folder of bags"), out, loaded)
    left_out = {path.name: reason for path, reason in report.skipped}
    results = {"added": len(report.added), "already": report.already, "left_out": left_out, "hash": report.content_hash}
    note(out, "dataset build", {"bags": str(bags), "contract": contract}, None, results)
    print(report)


def info(store: Annotated[Path, tyro.conf.Positional], json: bool = False) -> None:
    """Print what a store holds: episodes by source and outcome, lengths, actions, hashes.

    Args:
        store: Training store.
        json: Print JSON instead of lines.
    """
    from json import dumps

    from world4rl_data.info import describe, format_description
    from world4rl_data.store import EpisodeStore

    values = describe(EpisodeStore.open(store))
    print(dumps(values, indent=2) if json else format_description(values))


def validate(path: Annotated[Path, tyro.conf.Positional], contract: str | None = None) -> int:
    """Look over every bag below PATH, or every episode of a store, and print all faults. Exit code 1 for errors.

    Args:
        path: Folder of bags, one bag, or a store.
        contract: Task contract to hold them against, by name or path; None takes their own.
    """
    from world4rl_data.contract import TaskContract

    loaded = None if contract is None else TaskContract.load(contract)
    existing(path, "folder")
    is_store = (path / "index.json").is_file()
    checked, errors = _validate_store(path, loaded) if is_store else _validate_bags(path, loaded)
    print(f"{checked} episodes checked, {errors} with errors")
    return 1 if errors else 0


def _validate_store(path: Path, contract: object) -> tuple[int, int]:
    from world4rl_data.contract import TaskContract
    from world4rl_data.episode import EpisodeError
    from world4rl_data.store import EpisodeStore

    store = EpisodeStore.open(path)
    if isinstance(contract, TaskContract):
        contract.require_same(store.contract, f"store {path}")
    errors = 0
    for row, episode in enumerate(store.infos):
        try:
            store.episode(row).validate(store.contract)
        except EpisodeError as error:
            errors += 1
            print(f"{episode.episode_id}: {error}")
    return len(store), errors


def _validate_bags(path: Path, contract: object) -> tuple[int, int]:
    from world4rl_data.bag_reader import find_bags, find_partial
    from world4rl_data.contract import TaskContract
    from world4rl_data.validate import validate_bag

    bags = find_bags(path)
    if not bags:
        raise CommandError(f"{path} holds neither recorded episodes nor a store")
    errors = 0
    for bag in bags:
        findings = validate_bag(bag, contract if isinstance(contract, TaskContract) else None)
        errors += any(f.level == "error" for f in findings)
        for finding in findings:
            print(f"{bag.name}: {finding}")
    for partial in find_partial(path):
        print(f"{partial.name}: warning: not closed by its recorder, left out by dataset build")
    return len(bags), errors
