"""Builds a training store from a folder of bags, and says of each bag left out why."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from .bag_reader import find_bags, find_partial
from .contract import ContractError, ContractMismatch, TaskContract
from .convert import DEFAULTS, ConvertConfig, bag_to_episode
from .episode import Episode, EpisodeError, Outcome
from .episode_record import BagError, EpisodeRecord
from .store import EpisodeStore, StoreError
from .workers import ordered, with_progress


@dataclass
class BuildReport:
    """What a build did. `skipped`: (bag, reason)."""

    store: Path
    added: list[str] = field(default_factory=list)  # episode ids
    already: int = 0  # bags whose episodes the store held before
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    content_hash: str = ""

    def __str__(self) -> str:
        lines = [
            f"{self.store}: {len(self.added)} episodes added, {self.already} there before, "
            f"{len(self.skipped)} left out (content {self.content_hash})"
        ]
        return "\n".join(lines + [f"  left out {path.name}: {reason}" for path, reason in self.skipped])


def build_store(
    bags_root: str | Path,
    out: str | Path,
    contract: TaskContract | None = None,
    progress: bool = True,
    config: ConvertConfig = DEFAULTS,
    workers: int | None = 1,
) -> BuildReport:
    """Convert every fit bag below `bags_root` into the store `out`; run again, it adds only what is new.

    Bags are converted in `workers` processes (None: as many as pay, see workers.py) and stored in the order of their
    names, so that the store does not depend on their number; about two episodes per process are in memory.
    `contract` defaults to the store's, or the first bag's; bags recorded under another one are then left out. Where it
    is given they are read by it, if their messages mean the same under it (`TaskContract.require_reads`). Discarded,
    interrupted and unfit episodes are left out.
    """
    bags = find_bags(bags_root)
    report = BuildReport(Path(out))
    report.skipped += [(p, "not closed by its recorder: `world4rl dataset recover`") for p in find_partial(bags_root)]
    if not bags:
        raise BagError(f"{bags_root} holds no recorded episode; record some with the recorder node first")
    with _open_store(Path(out), contract, bags) as store:
        new = _new_bags(bags, store, report)
        converted = ordered(partial(_convert, store.contract, contract is not None, config), new, workers)
        for path, episode in with_progress(converted, len(new), "bags", "bag", progress):
            _add(store, path, episode, report)
        store.flush()
        report.content_hash = store.content_hash
    return report


def _new_bags(bags: list[Path], store: EpisodeStore, report: BuildReport) -> list[Path]:
    """Bags whose episodes belong into the store and are not there; reads their small `episode.json` only."""
    known, new = {i.episode_id for i in store.infos}, []
    for path in bags:
        try:
            record = EpisodeRecord.load(path)
        except BagError as error:
            report.skipped.append((path, str(error)))
            continue
        if record.episode_id in known:
            report.already += 1
        elif record.outcome in (Outcome.DISCARDED, Outcome.INTERRUPTED):
            report.skipped.append((path, f"outcome {record.outcome.name}"))
        else:
            known.add(record.episode_id)
            new.append(path)
    return new


def _convert(contract: TaskContract, asked: bool, config: ConvertConfig, path: Path) -> Episode:
    """One bag, perhaps in a process of its own; only the episode, a fraction of the bag's size, travels back."""
    if not asked:
        _require_own(contract, path)
    return bag_to_episode(path, contract, config)


def _require_own(contract: TaskContract, path: Path) -> None:
    """Refuse a bag of another contract: nobody said that it is to be read by this one, and a camera may have moved."""
    recorded = TaskContract.from_dict(EpisodeRecord.load(path).contract)
    if recorded.hash != contract.hash:
        contract.require_reads(recorded, f"bag {path}")
        raise ContractMismatch(
            f"bag {path} was recorded under another task contract ('{recorded.name}' {recorded.hash}): "
            f"{'; '.join(contract.differences(recorded))}. Give --contract to read it by that one."
        )


def _add(store: EpisodeStore, path: Path, episode: Episode | Exception, report: BuildReport) -> None:
    if isinstance(episode, Exception):
        if not isinstance(episode, BagError | EpisodeError | ContractMismatch | ContractError):
            raise episode
        report.skipped.append((path, str(episode)))
        return
    store.append(episode, uri=str(path))
    report.added.append(episode.episode_id)


def _open_store(out: Path, contract: TaskContract | None, bags: list[Path]) -> EpisodeStore:
    if (out / "index.json").exists():
        store = EpisodeStore.open(out)
        if contract is not None:
            contract.require_same(store.contract, f"store {out}")
        return store
    if out.exists() and any(out.iterdir()):
        raise StoreError(f"{out} is not empty and holds no store; choose another folder")
    return EpisodeStore.create(out, contract or _first_contract(bags))


def _first_contract(bags: list[Path]) -> TaskContract:
    faults = []
    for path in bags:
        try:
            return TaskContract.from_dict(EpisodeRecord.load(path).contract)
        except (BagError, ContractError) as error:
            faults.append(str(error))
    raise BagError(f"no bag carries a readable task contract; give one. First fault: {faults[0]}")
