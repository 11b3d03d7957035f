"""From a recorded bag to an episode: executed actions, and what was known when each was decided."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .bag_reader import EpisodeBag
from .contract import TaskContract
from .episode import ActionSource, Episode, EpisodeError, Outcome, episode_source, hold_action
from .episode_record import EpisodeRecord
from .observation import Missing, Observation, ObservationAssembler, message_stamp


@dataclass(frozen=True)
class ConvertConfig:
    """How bags become episodes."""

    success_hold_s: float = 0.3  # a success that only the stop tells of was there this long before it
    max_hold_s: float = 5.0  # a silence of the action source longer than this makes the episode unfit
    late_s: float = 1.0  # a message may be received this long after the moment at which it is asked for
    max_cut_s: float = 0.5  # an end without a complete observation is cut off up to this; longer makes it unfit


DEFAULTS = ConvertConfig()
_RECORD_AGAIN = "mend what fell silent and record the episode again"


@dataclass(frozen=True)
class ActionLog:
    """Executed actions of an episode, one per control period (holds filled in)."""

    values: np.ndarray  # float32 (T, A)
    sources: np.ndarray  # uint8 (T,)
    stamps: np.ndarray  # int64 (T,) [ns]
    policy_id: str


def bag_to_episode(path: str | Path, contract: TaskContract | None = None, config: ConvertConfig = DEFAULTS) -> Episode:
    """Convert one bag by `contract` (default: the one it was recorded under), which may cut pictures otherwise.

    Raises BagError (unreadable), ContractMismatch (the recorded messages mean something else under `contract`, fields
    named) or EpisodeError (unfit, reason given).
    """
    with EpisodeBag(path) as bag:
        contract = contract or bag.contract
        contract.require_reads(bag.contract, f"bag {bag.path}")
        require_topics(bag, contract)
        require_as_recorded(bag, contract)
        actions = read_actions(bag, contract, config)
        observations = _observe(bag, contract, actions, config)
        episode = _assemble(bag, contract, actions, observations, config)
    episode.validate(contract)
    return episode


def require_topics(bag: EpisodeBag, contract: TaskContract) -> None:
    """Raise EpisodeError naming the contract's topics that the bag lacks."""
    needed = {**contract.observation_topics, contract.executed_action_topic: "world4rl_interfaces/msg/Action"}
    empty = [t for t in needed if bag.topics.get(t, ("", 0))[1] == 0]
    if empty:
        raise EpisodeError(
            f"bag {bag.path} has no messages on {', '.join(empty)}; check that these were published while recording"
        )
    other = [f"{t} is {bag.topics[t][0]}, contract says {k}" for t, k in needed.items() if bag.topics[t][0] != k]
    if other:
        raise EpisodeError(f"bag {bag.path} has topics of another type: {'; '.join(other)}")


def require_as_recorded(bag: EpisodeBag, contract: TaskContract) -> None:
    """Raise EpisodeError where the bag is not what its record tells of, or where executed actions were lost: a step
    whose action is missing looks like a hold, and the arm moved."""
    record, own = bag.record, bag.contract
    if record.contract_hash != own.hash:
        raise EpisodeError(
            f"bag {bag.path}: contract_hash {record.contract_hash} is not that of the contract beside it, {own.hash}; "
            "copy the bag again from where it was recorded"
        )
    missing = {topic: count - bag.topics.get(topic, ("", 0))[1] for topic, count in record.messages.items()}
    missing = {topic: count for topic, count in missing.items() if count > 0}
    if missing and not record.recovered:
        raise EpisodeError(
            f"bag {bag.path}: messages that were written are not there: {missing}; copy the bag again from where it "
            "was recorded"
        )
    lost = record.dropped.get(contract.executed_action_topic, 0)
    if lost:
        raise EpisodeError(
            f"bag {bag.path}: {lost} executed actions were lost while recording or in a damaged bag, and would be "
            "taken for holds; leave the episode out, and record on a faster disk or machine"
        )


def read_actions(bag: EpisodeBag, contract: TaskContract, config: ConvertConfig = DEFAULTS) -> ActionLog:
    """The executed actions, with the gate's holds (no action: the arm keeps its target) written out as zero actions."""
    rows: list[tuple[int, np.ndarray, int]] = []
    policy_id = ""
    for _, log_ns, message in bag.messages([contract.executed_action_topic]):
        values = np.asarray(message.values, np.float32)
        if values.shape != (contract.action_dim,):
            raise EpisodeError(
                f"bag {bag.path}: executed action {len(rows)} has {values.size} values, "
                f"contract '{contract.name}' has {contract.action_dim}"
            )
        if not np.isfinite(values).all():
            raise EpisodeError(
                f"bag {bag.path}: executed action {len(rows)} has a value that is not finite in "
                f"'{contract.action_names[int(np.argmin(np.isfinite(values)))]}'; leave the episode out"
            )
        rows.append((message_stamp(message, log_ns), values, int(message.source)))
        policy_id = message.policy_id or policy_id
    filled = list(_fill_holds(rows, contract, config, str(bag.path)))
    return ActionLog(
        values=np.stack([r[1] for r in filled]),
        sources=np.array([r[2] for r in filled], np.uint8),
        stamps=np.array([r[0] for r in filled], np.int64),
        policy_id=policy_id,
    )


def _fill_holds(
    rows: list[tuple[int, np.ndarray, int]], contract: TaskContract, config: ConvertConfig, where: str
) -> Iterator[tuple[int, np.ndarray, int]]:
    period = round(1e9 * contract.period_s)
    for i, row in enumerate(rows):
        yield row
        gap = rows[i + 1][0] - row[0] if i + 1 < len(rows) else period
        if gap > config.max_hold_s * 1e9:
            raise EpisodeError(
                f"bag {where}: no action for {gap / 1e9:.1f} s after action {i} (limit {config.max_hold_s} s); "
                "record without such a pause"
            )
        hold = hold_action(row[1], contract)
        missing = round(gap / period) - 1
        for k in range(1, missing + 1):
            yield row[0] + k * gap // (missing + 1), hold, row[2]


@dataclass(frozen=True)
class _Received:
    """A message of the bag that the assembler has not been given yet."""

    topic: str
    stamp_ns: int
    sent_ns: int  # 0: not known
    message: Any

    def known_at(self, moment_ns: int) -> bool:
        """Whether who decided at this moment had the message: it was sent by then.

        Its stamp does not say: a camera sends a picture tens of milliseconds after it. Nor does the recorder's receipt,
        which may come after that of an action decided on it. Simulated time knows no sending apart from the stamp. An
        action is never stamped before what it was decided on, so a message of the very same stamp was there.
        """
        return self.sent_ns <= moment_ns or self.stamp_ns == moment_ns


def _observe(bag: EpisodeBag, contract: TaskContract, actions: ActionLog, config: ConvertConfig) -> list[Observation]:
    """Observations at every action's stamp, of what was known then, and one control period after the last.

    Nothing is decided on that last one: it shows what became of the arm, as well as the bag tells. A success must have
    been seen: where it came after all of them, an observation must have been there at its moment too.
    """
    final = int(actions.stamps[-1]) + round(1e9 * contract.period_s)
    wanted = [*map(int, actions.stamps), final]
    success_ns = _success_ns(bag.record, config)
    success_at = len(wanted) if success_ns is None else bisect_left(wanted, success_ns)
    if success_ns is not None:
        wanted.insert(success_at, success_ns)
    assembler = ObservationAssembler(contract, history_s=config.late_s)
    found: list[Observation | Missing] = []
    late_ns = int(config.late_s * 1e9)
    received: list[_Received] = []

    def observe() -> None:
        nonlocal received
        stamp = wanted[len(found)]
        received = _hand_over(received, assembler, stamp + late_ns if stamp == final else stamp)
        found.append(assembler.at(stamp))

    for topic, log_ns, sent_ns, message in bag.sent_messages(contract.observation_topics):
        while len(found) < len(wanted) and log_ns > wanted[len(found)] + late_ns:
            observe()
        received.append(_Received(topic, message_stamp(message, log_ns), sent_ns, message))
    while len(found) < len(wanted):
        observe()
    seen = found.pop(success_at) if success_ns is not None else None
    _require_end(found, final, config, str(bag.path))
    kept = _trim(found, str(bag.path))
    if success_ns is not None and success_ns > kept[-1].stamp_ns and isinstance(seen, Missing):
        raise EpisodeError(
            f"bag {bag.path}: nobody can tell from it what its success looks like, "
            f"{(success_ns - wanted[0]) / 1e9:.1f} s after the first action: {seen}; {_RECORD_AGAIN}"
        )
    return kept


def _hand_over(received: list[_Received], assembler: ObservationAssembler, moment_ns: int) -> list[_Received]:
    """Give the assembler what was known at the moment; returns the rest."""
    rest = []
    for item in received:
        if item.known_at(moment_ns):
            assembler.push(item.topic, item.stamp_ns, item.message)
        else:
            rest.append(item)
    return rest


def _require_end(found: list[Observation | Missing], final_ns: int, config: ConvertConfig, where: str) -> None:
    """Refuse an episode whose streams ended long before its actions, whatever its outcome: that was given at an end
    which the rest does not show, so that an unsolved picture would be learned as the solved one."""
    complete = [o.stamp_ns for o in found if isinstance(o, Observation)]
    lacks_s = (final_ns - complete[-1]) / 1e9 if complete else 0.0  # none at all: `_trim` says so
    if lacks_s > config.max_cut_s:
        raise EpisodeError(
            f"bag {where}: no complete observation in its last {lacks_s:.1f} s (limit {config.max_cut_s} s); "
            f"{found[-1]}; {_RECORD_AGAIN}"
        )


def _trim(found: list[Observation | Missing], where: str) -> list[Observation]:
    """Drop the end without a fresh observation (recording stopped before it came); refuse holes elsewhere."""
    whole = len(found)
    while found and (
        isinstance(found[-1], Missing) or (len(found) > 1 and _stale(found[-2], found[-1], len(found) == whole))
    ):
        last = found.pop()
        if len(found) < 2:
            raise EpisodeError(f"bag {where} holds no action with an observation before and after it; {last}")
    holes = [(i, o) for i, o in enumerate(found) if isinstance(o, Missing)]
    if holes:
        step, missing = holes[0]
        raise EpisodeError(
            f"bag {where}: {len(holes)} of {len(found)} observations are incomplete, first at step {step}: {missing}"
        )
    return [o for o in found if isinstance(o, Observation)]


def _stale(before: Observation | Missing, last: Observation | Missing, final: bool) -> bool:
    """Whether no newer image than the one before has come for some stream; in the final one none from after the action.

    Elsewhere a picture may well be older than the action before it: its camera takes longer than a control period.
    """
    if isinstance(last, Missing) or isinstance(before, Missing):
        return False
    return any(last.stream_stamps[n] <= (before.stamp_ns if final else before.stream_stamps[n]) for n in last.images)


def _assemble(
    bag: EpisodeBag, contract: TaskContract, actions: ActionLog, observations: list[Observation], config: ConvertConfig
) -> Episode:
    length = len(observations) - 1
    sources = actions.sources[:length]
    stamps = np.array([o.stamp_ns for o in observations], np.int64)
    record = bag.record
    return Episode(
        images={s.name: np.stack([o.images[s.name] for o in observations]) for s in contract.images},
        proprio=np.stack([o.proprio for o in observations]),
        actions=actions.values[:length],
        action_sources=sources,
        stamps=stamps,
        task=record.task,
        source=episode_source(sources),
        outcome=record.outcome,
        success_index=_success_index(record, stamps, config),
        contract_hash=contract.hash,
        episode_id=record.episode_id,
        seed=record.seed,
        policy_id=actions.policy_id if ActionSource.POLICY in sources else "",
    )


def _success_ns(record: EpisodeRecord, config: ConvertConfig) -> int | None:
    """When the success was there [ns]; None: no success, or nothing tells. A person stops when it has been seen for a
    while, so that it began `success_hold_s` before."""
    since_ns = record.success_stamp_ns if record.outcome == Outcome.SUCCESS else None
    if since_ns is not None and since_ns == record.stop_ns:
        since_ns -= round(config.success_hold_s * 1e9)
    return since_ns


def _success_index(record: EpisodeRecord, stamps: np.ndarray, config: ConvertConfig) -> int | None:
    """First observation at or after the success, or the last one."""
    if record.outcome != Outcome.SUCCESS:
        return None
    since_ns = _success_ns(record, config)
    return len(stamps) - 1 if since_ns is None else min(int(np.searchsorted(stamps, since_ns)), len(stamps) - 1)
