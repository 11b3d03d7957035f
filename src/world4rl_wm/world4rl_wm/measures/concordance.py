"""Imagined against real: what policies did in dreams and in reality, from the same start states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from world4rl_wm.measures.intervals import Estimate, bootstrap, resample

APART = 0.1  # real success of two policies must differ by this, and beyond chance, or their order is not asked for

Verdict = Literal["trusted", "not trusted", "undecided"]


@dataclass(frozen=True)
class Tried:
    """A policy of a refinement tried both ways from the same N start states.

    `real` and `imagined` success, bool ``(N,)``; `belief` ``(N,)`` in [0, 1], the dream's probability of success.
    """

    iteration: int
    real: NDArray[np.bool_]
    imagined: NDArray[np.bool_]
    belief: NDArray[np.floating]


@dataclass(frozen=True)
class Limits:
    """What a dream may be wrong by, as shares of success, and the least share of pairs in the right order."""

    bias: float = 0.1
    regret: float = 0.05
    ordered: float = 0.75


@dataclass(frozen=True)
class Bin:
    """The `count` dreams whose belief lies between `low` and `high`: their mean belief and real success."""

    low: float
    high: float
    count: int
    belief: float
    real: float


@dataclass(frozen=True)
class Concordance:
    """How far dreams told the truth about a refinement's policies.

    `bias`: mean of imagined minus real success, its interval over start states. `spearman`: rank correlation of the
    policies' imagined and real success, None below 3 policies or where one of the two is the same for all. `ordered` of
    `pairs` policies that are `APART` in reality have that order in the dream too; a tie there counts half. `regret`:
    real success of the best policy minus that of the kept one, too large on average, for the best one has had luck as
    well; it is at least `regret_low`, at a level of 95 % over all the policies that could have been the best.
    `calibration_error`: mean distance of belief and real success over the bins of `reliability`.
    """

    bias: Estimate
    spearman: float | None
    ordered: float
    pairs: int
    regret: float
    regret_low: float
    calibration_error: float
    reliability: list[Bin]

    def verdict(self, limits: Limits = Limits()) -> Verdict:
        """Not trusted where bias, order or choice break a limit, the choice beyond chance. Undecided where none does,
        but too little was tried to tell: the interval of the bias reaches beyond its limit, the regret is beyond its
        own by what may be chance, or there were no pairs to order."""
        # 0.55 - 0.5 is 0.05 to the limits
        bias, regret, regret_low = (round(x, 9) for x in (abs(self.bias.mean), self.regret, self.regret_low))
        if bias > limits.bias or regret_low > limits.regret or self.ordered < limits.ordered * self.pairs:
            return "not trusted"
        if not self.pairs or regret > limits.regret or max(-self.bias.low, self.bias.high) > limits.bias:
            return "undecided"
        return "trusted"

    def sentence(self, limits: Limits = Limits()) -> str:
        """One sentence for people: could the dream be trusted, and why."""
        points, low, high = (100 * x for x in (abs(self.bias.mean), self.bias.low, self.bias.high))
        more = "more" if self.bias.mean >= 0 else "less"
        order = f"{self.ordered:g} of {self.pairs} pairs of policies are in the right order"
        if not self.pairs:
            order = "no two policies differ enough in reality to ask for their order"
        told = f"it promised {points:.0f} points {more} than came true (95 % {low:+.0f} to {high:+.0f}), {order}"
        choice = f"the chosen policy is {100 * self.regret:.0f} points below the best one in reality"
        certain = f" (95 %: at least {100 * self.regret_low:.2g})" if self.regret_low > 0 else ""
        choice += certain or ", which chance can do as well"
        if self.regret <= 0:
            choice = "the chosen policy is the best one in reality"
        begin = {
            "trusted": "The dream could be trusted",
            "not trusted": "The dream could not be trusted",
            "undecided": "Too little was tried to say whether the dream could be trusted",
        }
        return f"{begin[self.verdict(limits)]}: {told}, and {choice}."

    def to_dict(self, limits: Limits = Limits()) -> dict[str, Any]:
        """For JSON, with the verdict on `limits`."""
        verdict = {"verdict": self.verdict(limits), "sentence": self.sentence(limits), "limits": asdict(limits)}
        return asdict(self) | verdict


def concordance(
    tried: Sequence[Tried], chosen: int, kept: NDArray[np.bool_] | None = None, bins: int = 10
) -> Concordance:
    """Compare dream and reality; `chosen` is the iteration that the refinement has kept.

    Where it has kept a policy that is none of those tried, `kept` is that one's real success ``(N,)``: the choice is
    measured by it, the dream by those tried alone.

    Raises:
        ValueError: nothing was tried, from no start states, or the chosen iteration is not among what was.
    """
    if not tried or not len(tried[0].real):
        raise ValueError("nothing was tried: at least one policy and one start state are needed")
    if kept is None and chosen not in [one.iteration for one in tried]:
        raise ValueError(f"iteration {chosen} was chosen, but it is not among those tried")
    real, imagined = (np.stack([getattr(one, name) for one in tried]).astype(float) for name in ("real", "imagined"))
    rates = real.mean(1)
    bias = bootstrap((imagined - real).mean(0)[:, None])[0]
    assert bias is not None  # every start state has a value
    ordered, pairs = _order(imagined.mean(1), real)
    reliability = reliability_bins(np.concatenate([one.belief for one in tried]), real.ravel(), bins)
    error = sum(one.count * abs(one.belief - one.real) for one in reliability) / real.size
    have = next(one.real for one in tried if one.iteration == chosen) if kept is None else kept
    regret = max(0.0, float(rates.max() - have.mean()))
    others = len(tried) - (kept is None)
    low = _interval(real[rates.argmax()] - have, 1 - 0.05 / others)[0] if regret else 0.0
    spearman = _spearman(imagined.mean(1), rates)
    return Concordance(bias, spearman, ordered, pairs, regret, max(0.0, low), float(error), reliability)


def reliability_bins(belief: NDArray[np.floating], real: NDArray[np.floating], bins: int = 10) -> list[Bin]:
    """Real success ``(M,)`` by belief ``(M,)``, in bins of equal width; empty ones are left out."""
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(belief, edges) - 1, 0, bins - 1)
    found = []
    for number in np.unique(place):
        inside = place == number
        low, high = float(edges[number]), float(edges[number + 1])
        found.append(Bin(low, high, int(inside.sum()), float(belief[inside].mean()), float(real[inside].mean())))
    return found


def _order(imagined: NDArray[np.float64], real: NDArray[np.float64]) -> tuple[float, int]:
    """Of policies by their imagined rates ``(P,)`` and real success ``(P, N)``: pairs in the right order, and pairs."""
    asked = list(combinations(range(len(real)), 2))
    pairs = [(i, j) for i, j in asked if _apart(real[i] - real[j], 1 - 0.05 / len(asked))]
    agree = [np.sign(imagined[i] - imagined[j]) * np.sign(real[i].mean() - real[j].mean()) for i, j in pairs]
    return float(sum((sign + 1) / 2 for sign in agree)), len(pairs)


def _apart(difference: NDArray[np.float64], level: float) -> bool:
    if abs(difference.mean()) < APART - 1e-9:
        return False
    low, high = _interval(difference, level)
    return not low <= 0 <= high


def _interval(difference: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Of the mean paired difference ``(N,)`` of two policies, by a bootstrap over the start states they share."""
    low, high = np.quantile(resample(difference[:, None]).samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _spearman(imagined: NDArray[np.float64], real: NDArray[np.float64]) -> float | None:
    from scipy.stats import spearmanr

    if len(real) < 3 or np.ptp(imagined) == 0 or np.ptp(real) == 0:
        return None
    return float(spearmanr(imagined, real).statistic)
