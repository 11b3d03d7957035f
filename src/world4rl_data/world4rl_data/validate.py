"""Looks a recorded bag over and says everything that is wrong with it, not only the first fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .bag_reader import EpisodeBag
from .contract import ContractError, ContractMismatch, TaskContract
from .convert import bag_to_episode
from .episode import EpisodeError, Outcome
from .episode_record import BagError
from .observation import message_stamp

LEFT_OUT = (Outcome.DISCARDED, Outcome.INTERRUPTED)  # outcomes that `dataset build` does not take


@dataclass(frozen=True)
class Finding:
    """`error`: the episode cannot be learned from. `warning`: it can, but look at it."""

    level: Literal["error", "warning"]
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.text}"


@dataclass(frozen=True)
class Verdict:
    """What was found about one bag, and whether `dataset build` takes it."""

    bag: str
    fit: bool
    outcome: str = ""
    findings: list[Finding] = field(default_factory=list)

    @property
    def faulty(self) -> bool:
        """Whether something is wrong with the bag itself: a sound bag of a discarded episode is unfit, not faulty."""
        return any(f.level == "error" for f in self.findings)

    def to_dict(self) -> dict[str, Any]:
        findings = [{"level": f.level, "text": f.text} for f in self.findings]
        return {"bag": self.bag, "fit": self.fit, "outcome": self.outcome, "findings": findings}


def judge_bag(path: str | Path, contract: TaskContract | None = None) -> Verdict:
    """Findings about one bag and whether it is fit for training."""
    findings, outcome = _examine(Path(path), contract)
    sound = all(f.level != "error" for f in findings)
    fit = sound and outcome is not None and outcome not in LEFT_OUT
    return Verdict(Path(path).name, fit, outcome.name if outcome is not None else "", findings)


def validate_bag(path: str | Path, contract: TaskContract | None = None) -> list[Finding]:
    """Findings about one bag, empty when all is well. `contract` defaults to the one it was recorded under."""
    return _examine(Path(path), contract)[0]


def _examine(path: Path, contract: TaskContract | None) -> tuple[list[Finding], Outcome | None]:
    try:
        bag = EpisodeBag(path)
    except BagError as error:
        return [Finding("error", str(error))], None
    with bag:
        try:
            own = bag.contract
        except ContractError as error:
            text = f"the contract inside {bag.path} is unreadable: {error}"
            return [Finding("error", text)], bag.record.outcome
        findings = _findings_of_record(bag)
        findings += _findings_of_times(bag, own)
    try:
        bag_to_episode(path, contract)
    except (BagError, EpisodeError, ContractMismatch) as error:
        findings.insert(0, Finding("error", str(error)))
    return findings, bag.record.outcome


def _findings_of_record(bag: EpisodeBag) -> list[Finding]:
    record = bag.record
    findings = []
    lost = {t: n for t, n in record.dropped.items() if n}
    if lost:
        findings.append(Finding("warning", f"messages lost while recording: {lost}; the disk or machine was too slow"))
    if record.recovered:
        findings.append(Finding("warning", f"was recovered: {record.recovered}"))
    if record.outcome in (Outcome.UNLABELLED, *LEFT_OUT):
        findings.append(Finding("warning", f"outcome is {record.outcome.name}"))
    return findings


def _findings_of_times(bag: EpisodeBag, contract: TaskContract) -> list[Finding]:
    """Streams with gaps longer than their time-out, and stamps that run backwards."""
    timeouts = {stream.topic: stream.timeout_s for stream in contract.streams}
    topics = [*timeouts, contract.executed_action_topic]
    received: dict[str, list[int]] = {topic: [] for topic in topics}
    stamped: dict[str, list[int]] = {topic: [] for topic in topics}
    try:
        for topic, log_ns, message in bag.messages(topics):
            received[topic].append(log_ns)
            stamped[topic].append(message_stamp(message, log_ns))
    except BagError as error:
        return [Finding("error", str(error))]
    ends = max((times[-1] for times in received.values() if times), default=0)
    findings = []
    for topic in topics:
        findings += _backwards(topic, stamped[topic])
        if topic in timeouts and received[topic]:
            findings += _gaps(topic, [*received[topic], ends], timeouts[topic])
    return findings


def _gaps(topic: str, times: list[int], timeout_s: float) -> list[Finding]:
    """`times`: receive times [ns] and the recording's end."""
    gaps: np.ndarray = np.diff(np.array(times, np.int64)) / 1e9
    count = int(np.count_nonzero(gaps > timeout_s))
    if not count:
        return []
    longest = int(gaps.argmax())
    where = "at the end" if longest == len(gaps) - 1 else f"{(times[longest] - times[0]) / 1e9:.2f} s in"
    text = f"{topic} was silent for {gaps.max():.2f} s {where} (time-out {timeout_s} s; {count} such gaps)"
    return [Finding("warning", text)]


def _backwards(topic: str, stamps: list[int]) -> list[Finding]:
    steps = np.diff(np.array(stamps, np.int64))
    back = np.flatnonzero(steps < 0)
    if not len(back):
        return []
    by = f"{-steps[back[0]] / 1e9:.3f} s"
    text = f"{topic} has {len(back)} stamps earlier than the one before, the first after message {back[0]}, by {by}"
    return [Finding("warning", text)]
