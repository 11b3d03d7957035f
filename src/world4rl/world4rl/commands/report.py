"""`world4rl report`: one page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def report(run: Annotated[Path, tyro.conf.Positional]) -> None:
    """Write RUN/report.html, self-contained, from whatever the run folder holds.

    Args:
        run: Run folder, such as runs/demo.
    """
    from world4rl.report import build_report

    print(build_report(run))
