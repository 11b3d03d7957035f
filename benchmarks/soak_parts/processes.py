"""Memory, file descriptors, threads and processor time of processes, read from /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from soak_parts.trend import trend

_MB = 1024.0  # kB in a MB, as /proc counts


@dataclass
class ProcessSeries:
    """Samples of one process.

    `pss_mb` counts shared pages by their share, `rss_mb` in full; `own_mb` is anonymous memory, where a leak shows: the
    others also move when another process that shares a library begins or ends.
    """

    at_s: list[float] = field(default_factory=list)
    pss_mb: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    own_mb: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def sample(self, pid: int, at_s: float) -> None:
        """Adds one sample. Raises OSError where the process has ended."""
        proc = Path(f"/proc/{pid}")
        memory = dict(re.findall(r"^(\w+): +(\d+) kB", (proc / "smaps_rollup").read_text(), re.M))
        status = (proc / "status").read_text()
        threads = re.search(r"^Threads:\s+(\d+)", status, re.M)
        times = (proc / "stat").read_text().rsplit(")", 1)[1].split()
        self.descriptors.append(len(os.listdir(proc / "fd")))
        self.threads.append(int(threads.group(1)) if threads else 0)
        self.pss_mb.append(int(memory["Pss"]) / _MB)
        self.rss_mb.append(int(memory["Rss"]) / _MB)
        self.own_mb.append(int(memory["Anonymous"]) / _MB)
        self.cpu_s.append((int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"))
        self.at_s.append(at_s)

    def summary(self, warm_up_s: float) -> dict[str, Any]:
        """What the report says of the samples after the warm-up, and all samples."""
        first = int(np.searchsorted(self.at_s, warm_up_s))
        times = self.at_s[first:]
        own = trend(times, self.own_mb[first:])
        half = len(times) // 2
        growth = {  # medians: a socket of a request under way is no leak
            name: int(np.median(values[first + half :]) - np.median(values[first : first + half]))
            for name, values in (("descriptors", self.descriptors), ("threads", self.threads))
        }
        return {
            "pss_mb_start": round(self.pss_mb[first], 1),
            "pss_mb_end": round(self.pss_mb[-1], 1),
            "own_mb_end": round(self.own_mb[-1], 1),
            "own_mb_per_hour": {k: round(float(v), 2) for k, v in asdict(own).items()},
            "grows": own.grows(max(1.0, 0.01 * self.pss_mb[first])),
            "descriptors_end": self.descriptors[-1],
            "threads_end": self.threads[-1],
            "growth_of_medians": growth,
            "cpu_percent": round(100 * (self.cpu_s[-1] - self.cpu_s[first]) / max(1e-9, times[-1] - times[0]), 1),
            "samples": {
                name: [round(v, 2) for v in getattr(self, name)]
                for name in ("at_s", "pss_mb", "rss_mb", "own_mb", "cpu_s")
            }
            | {"descriptors": self.descriptors, "threads": self.threads},
        }


def sample_all(series: Mapping[str, ProcessSeries], pids: Mapping[str, int], at_s: float) -> None:
    """One sample of every process."""
    for name, pid in pids.items():
        series[name].sample(pid, at_s)
