"""`world4rl evaluate concordance`: what a refinement's policies did in dreams and in reality."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from world4rl.errors import CommandError


def concordance(run: Annotated[Path, tyro.conf.Positional], episodes: int = 50) -> None:
    """Try a refinement's policies in dreams and in the simulator, from the same start states, and compare.

    The policies are the start policy and those that the judge has seen, every few iterations, and filtered BC where
    that was kept. It prints their success both ways, the judge's bias, the rank correlation (Spearman), how many pairs
    are in the right order, what the choice lost against the best one, and whether the dream could be trusted. All of it
    goes to RUN/concordance.json and, with the reliability plot, to RUN/report.html. Interrupted, it goes on.

    Args:
        run: Folder of a finished `world4rl demo`, or of a row of `world4rl benchmark metaworld` (RUN/seed-0/TASK).
        episodes: Start states, each of them for every policy; more narrow the intervals.
    """
    from world4rl.report.page import build_report
    from world4rl.runs.concordance import RESULT, Trial, measure_concordance
    from world4rl.runs.load_run import load_run

    if episodes < 1:
        raise CommandError("--episodes must be at least 1")
    loaded = load_run(run)
    if not (run / "refinement.json").is_file():
        raise CommandError(f"{run} has not been refined: finish it with `world4rl demo --run {run}`")
    found = measure_concordance(Trial.of(loaded), episodes)
    print("iteration  imagined  judged   real (95 %)")
    rows = [(row["iteration"], row, "  chosen" if row["chosen"] else "") for row in found["policies"]]
    rows += [("-", found["kept"], "  filtered BC, kept")] if "kept" in found else []
    for name, row, note in rows:
        low, high = row["ci95"]
        rates = f"{row['imagined']:8.1%}  {row['judged']:6.1%}  {row['real']:6.1%} ({low:.1%} to {high:.1%})"
        print(f"{name:>9}  {rates}{note}")
    bias, spearman = found["bias"], found["spearman"]
    print(f"judge's bias: {bias['mean']:+.1%} (95 % {bias['low']:+.1%} to {bias['high']:+.1%})")
    order = "undefined" if spearman is None else f"{spearman:.2f}"
    print(f"Spearman: {order}; calibration error {found['calibration_error']:.3f}")
    regret = f"regret {found['regret']:.1%} (95 %: at least {found['regret_low']:.1%})"
    print(f"pairs in the right order: {found['ordered']:g} of {found['pairs']}; {regret}")
    print(found["sentence"])
    print(f"{run / RESULT} and {build_report(run)}")
