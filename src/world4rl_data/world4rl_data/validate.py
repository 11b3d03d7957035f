"""Looks a recorded bag over and says everything that is wrong with it, not only the first fault."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .bag_reader import EpisodeBag
from .contract import ContractError, ContractMismatch, TaskContract
from .convert import bag_to_episode
from .episode import EpisodeError, Outcome
from .episode_record import BagError


@dataclass(frozen=True)
class Finding:
    """`error`: the episode cannot be learned from. `warning`: it can, but look at it."""

    level: Literal["error", "warning"]
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.text}"


def validate_bag(path: str | Path, contract: TaskContract | None = None) -> list[Finding]:
    """Findings about one bag, empty when all is well. `contract` defaults to the one it was recorded under."""
    try:
        bag = EpisodeBag(path)
    except BagError as error:
        return [Finding("error", str(error))]
    with bag:
        try:
            own = bag.contract
        except ContractError as error:
            return [Finding("error", f"the contract inside {bag.path} is unreadable: {error}")]
        findings = _findings_of_record(bag, own)
        findings += _findings_of_rates(bag, own)
    try:
        bag_to_episode(path, contract)
    except (BagError, EpisodeError, ContractMismatch) as error:
        findings.insert(0, Finding("error", str(error)))
    return findings


def _findings_of_record(bag: EpisodeBag, contract: TaskContract) -> list[Finding]:
    record = bag.record
    findings = []
    if record.contract_hash != contract.hash:
        findings.append(
            Finding(
                "error", f"contract_hash {record.contract_hash} is not that of the contract beside it, {contract.hash}"
            )
        )
    lost = {t: n for t, n in record.dropped.items() if n}
    if lost:
        findings.append(Finding("warning", f"messages lost while recording: {lost}; record to a faster disk"))
    if record.outcome in (Outcome.UNLABELLED, Outcome.DISCARDED, Outcome.INTERRUPTED):
        findings.append(Finding("warning", f"outcome is {record.outcome.name}"))
    return findings


def _findings_of_rates(bag: EpisodeBag, contract: TaskContract) -> list[Finding]:
    """Streams with gaps longer than their time-out, by receive time."""
    times: dict[str, list[int]] = {topic: [] for topic in contract.observation_topics}
    try:
        for topic, log_ns, _ in bag.messages(times):
            times[topic].append(log_ns)
    except BagError as error:
        return [Finding("error", str(error))]
    findings = []
    for stream in contract.streams:
        gaps = np.diff(np.array(times[stream.topic], np.int64)) / 1e9
        if len(gaps) and gaps.max() > stream.timeout_s:
            text = f"{stream.topic} was silent for {gaps.max():.2f} s (time-out {stream.timeout_s} s)"
            findings.append(Finding("warning", text))
    return findings
