"""The replay check: do fresh real action sequences come out in the dream as they came out in reality?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from scipy.stats import beta
from torch import Tensor

Verdict = Literal["keep", "refine_cautiously", "refine"]  # what is allowed, the least first
Cause = Literal["undecided", "j", "precision"]  # why nothing is


def rate_text(rate: float | None) -> str:
    """A rate, or J, for people; a dash where no episode could tell."""
    return "–" if rate is None else f"{rate:.2f}"


@dataclass(frozen=True)
class ReplayCheckConfig:
    """Limits on J = TPR - FPR and on the precision, and the fewest episodes of each outcome to decide on.

    Where a policy succeeds rarely, a J that would do elsewhere leaves most of its dreamed successes false, and those
    are what PPO learns from.

    The verdict rests on the rates themselves. `confidence` is that of the bounds `tpr_low` and `fpr_high`, which are
    shown beside it and decide nothing.
    """

    refine_from: float = 0.8
    cautious_from: float = 0.15
    precision_from: float = 0.7
    min_episodes: int = 10
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}: give one above 0 and below 1, such as 0.95")


@dataclass(frozen=True)
class ReplayCheck:
    """Outcome of the check. `tpr_low` and `fpr_high` are one-sided bounds at the configured confidence.

    `tpr` is None where no episode was a success, `fpr` where none was a failure, `j` where one of the two is.
    `policy_dreamed` is the share of its own dreams in which the policy that is to practise there succeeds; None where
    no policy was asked about. `cause` is None where something is allowed.
    """

    tpr: float | None
    fpr: float | None
    tpr_low: float
    fpr_high: float
    j: float | None
    successes: int
    failures: int
    verdict: Verdict
    reason: str
    policy_dreamed: float | None = None
    cause: Cause | None = None

    @property
    def policy_success(self) -> float | None:
        """Real success of the policy that is to practise, estimated from its dreams by their two rates (Rogan and
        Gladen, 1978); None where no policy was asked about, or the dream tells nothing."""
        return _real_share(self.tpr, self.fpr, self.policy_dreamed)

    @property
    def precision(self) -> float:
        """Share of the dreamed successes that are real: of the policy that is to practise, or where none was asked
        about, of the checked episodes; 0 where nothing succeeds in a dream."""
        return _precision(self.tpr, self.fpr, self.policy_dreamed, self.successes, self.failures)

    @property
    def passed(self) -> bool:
        return self.verdict != "keep"

    def __str__(self) -> str:
        return f"TPR {rate_text(self.tpr)}, FPR {rate_text(self.fpr)}, {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        counted = {"precision": self.precision, "episodes": self.successes + self.failures}
        return asdict(self) | {"passed": self.passed, "policy_success": self.policy_success} | counted

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ReplayCheck:
        """What `to_dict` told; what follows from the rest is worked out again."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})


def _real_share(tpr: float | None, fpr: float | None, dreamed: float | None) -> float | None:
    if tpr is None or fpr is None or dreamed is None or tpr <= fpr:
        return None
    return min(max((dreamed - fpr) / (tpr - fpr), 0.0), 1.0)


def _precision(tpr: float | None, fpr: float | None, dreamed: float | None, successes: int, failures: int) -> float:
    share = _real_share(tpr, fpr, dreamed)
    tpr, fpr = tpr or 0.0, fpr or 0.0  # of an outcome that no episode has: it weighs nothing
    if share is None or dreamed is None:
        share = successes / (successes + failures) if successes else 0.0
        dreamed = tpr * share + fpr * (1 - share)
    # no policy dreams of more real successes than its rate of true positives: what is above it is false
    return min(round(tpr * share / dreamed, 9), 1.0) if dreamed else 0.0  # 7 of 10 are 0.7 to the limit


def judge(
    real: Tensor,
    dreamed: Tensor,
    config: ReplayCheckConfig = ReplayCheckConfig(),
    policy_dreamed: float | None = None,
) -> ReplayCheck:
    """Rates with exact (Clopper-Pearson) one-sided bounds and the verdict on whether to refine a policy there.

    Args:
        real, dreamed: bool ``(E,)``, how fresh episodes ended and how they did in the dream.
        policy_dreamed: see `ReplayCheck`. The precision is asked for at the rate at which *this* policy succeeds, for
            it is the one that would learn from false successes; without it, at that of the episodes.
    """
    successes, failures = int(real.sum()), int((~real).sum())
    true_positive, false_positive = int((real & dreamed).sum()), int((~real & dreamed).sum())
    tpr = true_positive / successes if successes else None
    fpr = false_positive / failures if failures else None
    miss = 1 - config.confidence
    tpr_low = float(beta.ppf(miss, true_positive, successes - true_positive + 1)) if true_positive else 0.0
    certain = false_positive >= failures
    fpr_high = 1.0 if certain else float(beta.ppf(config.confidence, false_positive + 1, failures - false_positive))
    # what was never seen counts against the dream; 0.85 - 0.05 is 0.8 to the limits below
    j = round((tpr or 0.0) - (1.0 if fpr is None else fpr), 9)
    known = bool(successes and failures)
    limit = config.refine_from if j >= config.cautious_from else config.cautious_from
    told = f"J = {_beside(j, limit, 2)}" + ("" if known else " at worst")
    precision = _precision(tpr, fpr, policy_dreamed, successes, failures)
    verdict: Verdict
    cause: Cause | None = None
    if min(successes, failures) < config.min_episodes:
        verdict, cause, reason = "keep", "undecided", _too_few(successes, failures, config)
    elif j >= config.cautious_from and precision < config.precision_from:
        verdict, cause = "keep", "precision"
        reason = (
            f"{told}, but of the policy's dreamed successes only "
            f"{_beside(100 * precision, 100 * config.precision_from, 0)}% would be real, below "
            f"{100 * config.precision_from:g}%: it succeeds too rarely for this dream. Collect more episodes, above "
            "all successful ones."
        )
    elif j >= config.refine_from:
        verdict, reason = "refine", f"{told}: the dream tells success from failure"
    elif j >= config.cautious_from:
        verdict, reason = "refine_cautiously", f"{told} is below {config.refine_from}: small steps, strong BC term"
    else:
        verdict, cause = "keep", "j"
        reason = (
            f"{told} is below {config.cautious_from}: the dream cannot tell success from failure. Collect more "
            "episodes (near misses above all) and train the world model longer."
        )
    measured = (tpr, fpr, tpr_low, fpr_high, j if known else None, successes, failures)
    return ReplayCheck(*measured, verdict, reason, policy_dreamed, cause)


def _beside(value: float, limit: float, decimals: int) -> str:
    """`value` with `decimals`, or as many more as tell it from the `limit`: 70% would not be below 70%."""
    while value != limit and decimals < 9 and round(value, decimals) == round(limit, decimals):
        decimals += 1
    return f"{value:.{decimals}f}"


def undecided(successes: int, failures: int, config: ReplayCheckConfig) -> ReplayCheck:
    """The check of episodes that nobody has dreamed again, for there are too few of one outcome."""
    reason = _too_few(successes, failures, config)
    return ReplayCheck(None, None, 0.0, 1.0, None, successes, failures, "keep", reason, cause="undecided")


def _too_few(successes: int, failures: int, config: ReplayCheckConfig) -> str:
    return (
        f"undecided: {successes} successes and {failures} failures, {max(1, config.min_episodes)} of each are needed. "
        "Collect more episodes of the start policy."
    )


def as_newest_allows(check: ReplayCheck, newest: ReplayCheck, config: ReplayCheckConfig) -> ReplayCheck:
    """`check`, with the verdict of `newest` where that allows less: a policy that has learned to deceive the dream is
    outvoted among earlier policies' episodes.

    Args:
        check: on all fresh episodes.
        newest: on those of the newest policy alone. It decides only where there are enough of both outcomes.
    """
    verdicts = get_args(Verdict)
    undecided = min(newest.successes, newest.failures) < config.min_episodes
    if undecided or verdicts.index(newest.verdict) >= verdicts.index(check.verdict):
        return check
    few = newest.successes + newest.failures
    reason = f"on the newest policy's own {few} episodes {newest.reason}"
    return replace(check, verdict=newest.verdict, reason=reason, cause=newest.cause)
