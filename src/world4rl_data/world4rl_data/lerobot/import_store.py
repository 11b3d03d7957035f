"""From a LeRobotDataset v3.0 to a training store."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from uuid import uuid4

from ..contract import TaskContract
from ..episode import Episode, EpisodeError
from ..partial_folder import partial_folder
from ..store import DuplicateError, EpisodeStore
from ..workers import ordered, with_progress
from . import layout
from .dataset import LeRobotDataset
from .episodes import read_episode
from .layout import LeRobotError
from .mapping import Mapping, Plan, make_plan

DEFAULTS = Mapping()


@dataclass
class ImportReport:
    """What an import did. `skipped`: (episode number, reason)."""

    store: Path
    added: int = 0
    skipped: list[tuple[int, str]] = field(default_factory=list)
    content_hash: str = ""

    def __str__(self) -> str:
        lines = [f"{self.store}: {self.added} episodes imported, {len(self.skipped)} left out ({self.content_hash})"]
        return "\n".join(lines + [f"  left out episode {number}: {reason}" for number, reason in self.skipped])


def import_dataset(
    dataset_path: str | Path,
    out: str | Path,
    contract: TaskContract | None = None,
    mapping: Mapping = DEFAULTS,
    workers: int | None = 1,
    progress: bool = True,
) -> ImportReport:
    """Write the episodes of a dataset as a new store in the folder `out`.

    Datasets that World4RL exported need no contract and no mapping. Raises LeRobotError where the dataset does not fit,
    FolderError where `out` is not empty, StoreError where the disk is full: nothing is written then. Unfit episodes,
    and those whose id another one has, are left out; where none is fit, nothing is written.
    """
    dataset = LeRobotDataset(dataset_path)
    if not len(dataset):
        raise LeRobotError(f"{dataset.root} holds no episodes")
    plan = make_plan(dataset, contract, mapping)
    report = ImportReport(Path(out))
    with partial_folder(out) as folder:
        with EpisodeStore.create(folder, plan.contract) as store:
            numbers = range(len(dataset))
            read = ordered(partial(_read, Path(dataset_path), plan, uuid4().hex), numbers, workers)
            for number, episode in with_progress(read, len(numbers), "episodes", "episode", progress):
                _add(store, dataset, number, episode, report)
            report.content_hash = store.content_hash
        if not report.added:
            raise LeRobotError(f"no episode of {dataset.root} is fit; the first: {report.skipped[0][1]}")
    return report


def _add(
    store: EpisodeStore, dataset: LeRobotDataset, number: int, episode: Episode | Exception, report: ImportReport
) -> None:
    if isinstance(episode, Episode):
        uri = dataset.episodes[number].get(layout.label("uri")) or f"{dataset.root}#{number}"
        try:
            store.append(episode, uri=uri)
            report.added += 1
            return
        except (EpisodeError, DuplicateError) as error:  # what the disk refuses is no fault of the episode
            episode = error
    if not isinstance(episode, EpisodeError | LeRobotError | DuplicateError):
        raise episode
    report.skipped.append((number, str(episode)))


def _read(path: Path, plan: Plan, run: str, number: int) -> Episode:
    return read_episode(_opened(path, run), plan, number)


@lru_cache(maxsize=1)
def _opened(path: Path, run: str) -> LeRobotDataset:
    """The dataset, opened once per process and import: the next one may find another dataset there."""
    return LeRobotDataset(path)
