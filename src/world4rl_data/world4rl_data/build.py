"""Builds a training store from a folder of bags, and says of each bag left out why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .bag_reader import find_bags, find_partial
from .contract import ContractError, ContractMismatch, TaskContract
from .convert import DEFAULTS, ConvertConfig, bag_to_episode
from .episode import EpisodeError, Outcome
from .episode_record import BagError, EpisodeRecord
from .store import EpisodeStore, StoreError


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
) -> BuildReport:
    """Convert every fit bag below `bags_root` into the store `out`; run again, it adds only what is new.

    `contract` defaults to the store's, or the first bag's. Discarded, interrupted and unfit episodes are left out.
    """
    bags = find_bags(bags_root)
    report = BuildReport(Path(out))
    report.skipped += [(p, "not closed by its recorder: `world4rl dataset recover`") for p in find_partial(bags_root)]
    if not bags:
        raise BagError(f"{bags_root} holds no recorded episode; record some with the recorder node first")
    with _open_store(Path(out), contract, bags) as store:
        known = {i.episode_id for i in store.infos}
        for path in _with_progress(bags, progress):
            try:
                record = EpisodeRecord.load(path)
                if record.episode_id in known:
                    report.already += 1
                    continue
                if record.outcome in (Outcome.DISCARDED, Outcome.INTERRUPTED):
                    report.skipped.append((path, f"outcome {record.outcome.name}"))
                    continue
                store.append(bag_to_episode(path, store.contract, config), uri=str(path))
            except (BagError, EpisodeError, ContractMismatch, ContractError) as error:
                report.skipped.append((path, str(error)))
                continue
            known.add(record.episode_id)
            report.added.append(record.episode_id)
        store.flush()
        report.content_hash = store.content_hash
    return report


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


def _with_progress(bags: list[Path], progress: bool) -> Iterable[Path]:
    if not progress:
        return bags
    from tqdm import tqdm

    return tqdm(bags, desc="bags", unit="bag")
