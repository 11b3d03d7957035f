"""`world4rl dataset`: from recorded bags to a training store, and a look at both."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from world4rl.errors import CommandError, existing

if TYPE_CHECKING:
    from world4rl_data.contract import TaskContract
    from world4rl_data.validate import Verdict


def build(
    bags: Annotated[Path, tyro.conf.Positional],
    out: Path,
    contract: str | None = None,
    success_hold: float | None = None,
    workers: int | None = None,
) -> None:
    """Convert the episodes recorded below BAGS into a training store; again, it adds only what is new.

    Discarded, interrupted and unfit episodes are left out, and the reason is printed.

    Args:
        bags: Folder of bags, one folder per episode.
        out: Store to write; made where there is none.
        contract: Task contract by name or path; None takes the store's, or that of the first bag, and leaves bags of
            others out. Given, it may cut pictures to another size than the bags' own, leave streams out, and have other
            limits; robot, rate, topics and actions must be the same.
        success_hold: For how many seconds before its stop a success is taken to have been there, where the stop's note
            does not give the moment (`success_stamp_ns=...`); None takes 0.3.
        workers: Processes; None takes the cores of this machine. The store does not depend on it.
    """
    from world4rl.runs.record import note
    from world4rl_data.build import build_store
    from world4rl_data.contract import TaskContract
    from world4rl_data.convert import DEFAULTS, ConvertConfig

    loaded = None if contract is None else TaskContract.load(contract)
    if success_hold is not None and not 0 <= success_hold < math.inf:
        raise CommandError(f"--success-hold {success_hold}: seconds, 0 or more")
    config = DEFAULTS if success_hold is None else ConvertConfig(success_hold_s=success_hold)
    report = build_store(existing(bags, "folder of bags"), out, loaded, config=config, workers=workers)
    left_out = {path.name: reason for path, reason in report.skipped}
    results = {"added": len(report.added), "already": report.already, "left_out": left_out, "hash": report.content_hash}
    asked = {"bags": str(bags), "contract": contract, "success_hold_s": config.success_hold_s}
    note(out, "dataset build", asked, None, results)
    print(report)


def verify(store: Annotated[Path, tyro.conf.Positional], workers: int | None = None) -> int:
    """Read a store once and hold every episode against its checksum. Exit code 1 where one is damaged.

    Args:
        store: Training store.
        workers: Processes; None takes the cores of this machine.
    """
    from world4rl_data.store_verify import verify_store

    found = verify_store(existing(store, "store"), workers)
    print(found)
    return 1 if found.damaged else 0


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


def validate(path: Annotated[Path, tyro.conf.Positional], contract: str | None = None, json: bool = False) -> int:
    """Look over every bag below PATH, or every episode of a store, and say which are fit for training and why not.

    Exit code 1 where an episode has errors or its recorder died. A sound bag of a discarded or interrupted episode
    is not fit for training, but no error.

    Args:
        path: Folder of bags, one bag, or a store.
        contract: Task contract to hold them against, by name or path; None takes their own.
        json: Print JSON instead of lines.
    """
    from json import dumps

    from world4rl_data.contract import TaskContract

    loaded = None if contract is None else TaskContract.load(contract)
    existing(path, "folder")
    is_store = (path / "index.json").is_file()
    verdicts = _judge_store(path, loaded) if is_store else _judge_bags(path, loaded)
    faulty = sum(verdict.faulty for verdict in verdicts)
    fit = sum(verdict.fit for verdict in verdicts)
    if json:
        episodes = [verdict.to_dict() for verdict in verdicts]
        print(dumps({"checked": len(verdicts), "fit": fit, "with_errors": faulty, "episodes": episodes}, indent=2))
    else:
        for verdict in verdicts:
            for finding in verdict.findings:
                print(f"{verdict.bag}: {finding}")
        print(f"{len(verdicts)} episodes checked: {fit} fit for training, {faulty} with errors")
    return 1 if faulty else 0


def _judge_store(path: Path, contract: TaskContract | None) -> list[Verdict]:
    from world4rl_data.episode import EpisodeError
    from world4rl_data.store import EpisodeStore
    from world4rl_data.validate import Finding, Verdict

    store = EpisodeStore.open(path)
    if contract is not None:
        contract.require_same(store.contract, f"store {path}")
    verdicts = []
    for row, episode in enumerate(store.infos):
        findings = []
        try:
            store.episode(row).validate(store.contract)
        except EpisodeError as error:
            findings.append(Finding("error", str(error)))
        verdicts.append(Verdict(episode.episode_id, not findings, episode.outcome.name, findings))
    return verdicts


def _judge_bags(path: Path, contract: TaskContract | None) -> list[Verdict]:
    from world4rl_data.bag_reader import find_bags, find_partial
    from world4rl_data.recover import being_recorded
    from world4rl_data.validate import Finding, Verdict, judge_bag

    bags, partial = find_bags(path), find_partial(path)
    if not bags and not partial:
        raise CommandError(f"{path} holds neither recorded episodes nor a store")
    verdicts = [judge_bag(bag, contract) for bag in bags]
    for bag in partial:
        finding = Finding("error", "was never closed by its recorder: `world4rl dataset recover` does that")
        if being_recorded(bag):
            finding = Finding("warning", "is being recorded now")
        verdicts.append(Verdict(bag.name, False, "", [finding]))
    return verdicts
