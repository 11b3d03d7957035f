"""`world4rl report`: one page about a run, or about several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from world4rl.errors import CommandError


def report(runs: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path | None = None) -> None:
    """Write RUN/report.html, self-contained, from whatever the run folder holds; of several runs, a page that compares.

    Args:
        runs: Run folders, such as runs/demo.
        out: HTML file of the comparison of several runs; None: comparison.html here.
    """
    if not runs:
        raise CommandError("no run: give a run folder such as runs/demo, or several to compare them")
    if len(runs) == 1 and out is not None:
        raise CommandError("--out is for the comparison of several runs; the report of one is RUN/report.html")
    if len(runs) == 1:
        from world4rl.report.page import build_report

        print(build_report(runs[0]))
        return
    from world4rl.report.comparison import build_comparison

    print(build_comparison(list(runs), out or Path("comparison.html")))
