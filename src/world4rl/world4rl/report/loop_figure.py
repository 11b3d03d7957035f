"""The loop with one run's figures on it: what the report draws at its top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from world4rl.presentation.html import figure, percent
from world4rl.report.data import RunData

REFUSED = {
    "undecided": "too few successes or failures to tell by",
    "j": "successes not told from failures well enough",
    "precision": "too few dreamed successes would be real",
}
"""What to say of a replay check by the cause of its refusal."""


@dataclass(frozen=True)
class Step:
    """A box of the picture. `state` is done, refused (the dream was not believed) or missing (not done yet)."""

    title: str
    figure: str
    note: str
    state: str = "done"


def loop_steps(data: RunData) -> list[Step]:
    """Record, clone, work, dream, check, refine, reality, graph; steps without figures are marked as missing."""
    summary = data.summary
    steps = [_record(summary), _learn(data), _work(summary), _dream(data), _check(data), _refine(summary)]
    return [*steps, _reality(data), _graph(data)]


def _missing(title: str) -> Step:
    return Step(title, "–", "not done yet", "missing")


def _record(summary: dict[str, Any]) -> Step:
    if summary.get("demonstrations") is None:
        return _missing("Record")
    return Step("Record", str(summary["demonstrations"]), "demonstrations")


def _learn(data: RunData) -> Step:
    rates = {rate.key: rate.success for rate in data.rates}
    if "bc" not in rates:
        return _missing("Clone")
    return Step("Clone", percent(rates["bc"]), "success of behaviour cloning")


def _work(summary: dict[str, Any]) -> Step:
    if summary.get("real_episodes") is None:
        return _missing("Work and fail")
    return Step("Work and fail", str(summary["real_episodes"]), "real episodes in all")


def _dream(data: RunData) -> Step:
    models = len(data.world_model_loss)
    if not models:
        return _missing("Learn to dream")
    auroc = data.uncertainty.get("auroc")
    note = "world model" if models == 1 else "world models"
    if auroc is not None:
        note += f"; where they disagree they are wrong (AUROC {figure(auroc)})"
    return Step("Learn to dream", str(models), note)


def _check(data: RunData) -> Step:
    check = data.replay_check
    if not check:
        return _missing("Check the dream")
    j = f"J {figure(check.get('j'))}"
    if check.get("passed"):
        return Step("Check the dream", j, "successes told from failures in dreams")
    cause = check.get("cause") or ("undecided" if check.get("j") is None else "")  # a check of before tells no cause
    note = REFUSED.get(cause, "the dream was not believed")
    return Step("Check the dream", "undecided" if cause == "undecided" else j, note, "refused")


def _refine(summary: dict[str, Any]) -> Step:
    refinement = summary.get("refinement") or {}
    if not refinement:
        return _missing("Practise in it")
    if refinement.get("kept_start_policy"):
        return Step("Practise in it", "no", "filtered BC was kept", "refused")
    before, after = refinement.get("judged_start"), refinement.get("judged_refined")
    return Step("Practise in it", f"{percent(before)} → {percent(after)}", "in the independent judge's dreams")


def _reality(data: RunData) -> Step:
    rates = {rate.key: rate.success for rate in data.rates}
    if "refined" not in rates:
        return _missing("Back to work")
    rival = f"; filtered BC {percent(rates['filtered_bc'])}" if "filtered_bc" in rates else ""
    return Step("Back to work", percent(rates["refined"]), f"success in reality{rival}")


def _graph(data: RunData) -> Step:
    found = [rate for rate in data.rates if rate.key == "graph"]
    if not found:
        return _missing("On the graph")
    return Step("On the graph", percent(found[0].success), f"of {found[0].episodes} episodes over ROS 2")
