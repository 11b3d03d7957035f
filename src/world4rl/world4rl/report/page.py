"""One self-contained page about a run: opens offline, on a phone, in light and dark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from world4rl.presentation.charts import Series, line_chart
from world4rl.presentation.html import environment
from world4rl.report.ablations import ablation_rows
from world4rl.report.concordance import concordance_section
from world4rl.report.data import Rate, RunData, read_run
from world4rl.report.loop_figure import loop_steps
from world4rl.report.measures import measured_groups
from world4rl.report.rounds import rounds_section
from world4rl.runs.outcomes import NAMES
from world4rl_data.durable import replace_file
from world4rl_policy.statistics import verdict

COLOURS = {
    "bc": "var(--c1)",
    "filtered_bc": "var(--c2)",
    "refined": "var(--c3)",
    "graph": "var(--c4)",
}
VERDICTS = {
    "refine": "passed: refine",
    "refine_cautiously": "passed: refine with caution",
    "keep": "not passed: filtered BC is kept",
}

JUDGE_HELPS = {
    "verified_success": False,
    "imagination.max_uncertainty": None,
    "imagination.uncertainty_penalty": 0,
    "ppo.imagined_bc": 0,
}
"""Settings that let the judge's models decide something in the practice too, each with the value that does not: that of
every shipped preset."""


def build_report(run: Path | str) -> Path:
    """Write ``report.html`` into the run folder and return its path. Works on an unfinished run too.

    Raises:
        RunError: the folder holds no run, or a file in it is damaged.
    """
    data = read_run(run)
    return replace_file(data.path / "report.html", render(data))


def render(data: RunData) -> str:
    """The page's HTML."""
    return environment().get_template("report.html.j2").render(**view(data))


def view(data: RunData) -> dict[str, Any]:
    """What the template shows; empty values make it say that the part is missing."""
    summary = data.summary
    longest = max(data.stages.values(), default=0.0)
    curves = (loss_curve(data), success_curve(data), kl_curve(data))
    return {
        "title": " · ".join(str(summary[k]) for k in ("task", "preset") if k in summary) or data.path.name,
        "headline": headline(data),
        "facts": facts(data),
        "loop_steps": loop_steps(data),
        "measured": measured_groups(data.measures),
        "rates": [rename_kept(rate) for rate in data.rates] if kept_start(data) else data.rates,
        "colours": COLOURS,
        "paired": paired(summary),
        "dream": dream(summary),
        "judge_helped": judge_helped(summary),
        "rounds": rounds_section(data.loop),
        "concordance": concordance_section(data.path),
        "ablations": ablation_rows(data.path),
        "curves": [curve for curve in curves if curve["svg"]],
        "missing_curves": [curve["title"] for curve in curves if not curve["svg"]],
        "kept": kept_start(data),
        "clips": data.clips,
        "clips_left_out": data.clips_left_out,
        "check": data.replay_check,
        "verdict": VERDICTS.get(str(data.replay_check.get("verdict")), ""),
        "confusion": confusion(summary.get("reward_confusion") or {}),
        "uncertainty": data.uncertainty,
        "uncertainty_picture": data.uncertainty_picture,
        "lamp": summary.get("lamp"),
        "stages": [(_words(n), s, s / longest if longest else 0) for n, s in data.stages.items()],
        "total": sum(data.stages.values()),
        "provenance": provenance(summary),
        "config": data.config,
    }


def kept_start(data: RunData) -> bool:
    """Whether the run ended with the policy of before its refinement, which need not be what practice began with."""
    return bool((data.summary.get("refinement") or {}).get("kept_start_policy"))


def rename_kept(rate: Rate) -> Rate:
    """What is called refined is filtered BC where nothing was refined."""
    return replace(rate, name="Result: filtered BC, kept") if rate.key == "refined" else rate


def headline(data: RunData) -> str:
    """The run's conclusion, or how far an unfinished run has come."""
    if data.summary.get("conclusion"):
        return str(data.summary["conclusion"])
    done = ", ".join(_words(name) for name in data.stages) or "none"
    return f"This run is not finished. Stages done so far: {done}."


def facts(data: RunData) -> list[tuple[str, str]]:
    """Short figures under the headline."""
    summary = data.summary
    named = {
        "task": "task",
        "seed": "seed",
        "preset": "preset",
        "demonstrations": "demonstrations",
        "real_episodes": "real episodes in all",
        "episodes": "held-out start states",
    }
    return [
        (label, str(summary[key]).replace("_", " ")) for key, label in named.items() if summary.get(key) is not None
    ]


def paired(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Comparisons on the same start states, with a readable name and a verdict."""
    rows = []
    for key, values in (summary.get("paired") or {}).items():
        better, _, worse = key.partition("_vs_")
        told = (
            verdict(*values["ci95"], mcnemar_p=values["mcnemar_p"])
            if values["gained"] or values["lost"]
            else "identical"
        )
        rows.append({"name": f"{_short(better)} − {_short(worse)}", "verdict": told, **values})
    return rows


def _short(key: str) -> str:
    return NAMES.get(key, _words(key))


def _words(name: object) -> str:
    return str(name).replace("_", " ")


def dream(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Imagined, judged and real success before the refinement, where practice began, and after, side by side. What was
    not measured is None; where nothing was dreamed, there are no rows. A run of an earlier version has not dreamed the
    policy of before, and tells it in reality beside the dreams of the one that practice began with."""
    imagined, judged = summary.get("imagined_success") or {}, summary.get("judged_success") or {}
    first = [("before", "filtered_bc", "before"), ("start", "start", "where practice began")]
    if "before" not in judged:
        first = [("start", "filtered_bc", "before")]
    rows = []
    for key, policy, name in (*first, ("refined", "refined", "refined")):
        if key in imagined or key in judged:
            real = summary.get(f"{policy}_success")
            rows.append({"name": name, "imagined": imagined.get(key), "judged": judged.get(key), "real": real})
    return rows if any(row[kind] is not None for row in rows for kind in ("imagined", "judged")) else []


def judge_helped(summary: dict[str, Any]) -> list[str]:
    """Those of `JUDGE_HELPS` that the run has switched on."""
    changed = (summary.get("settings") or {}).get("changed") or {}
    return [name for name, off in JUDGE_HELPS.items() if changed.get(name, off) != off]


def confusion(counts: dict[str, Any]) -> dict[str, Any]:
    """The four counts with precision and recall; empty without counts."""
    names = ("true_positive", "false_positive", "true_negative", "false_negative")
    if not all(name in counts for name in names):
        return {}
    tp, fp, tn, fn = (int(counts[name]) for name in names)
    return {
        "rows": [("success", tp, fn), ("no success", fp, tn)],
        "precision": tp / (tp + fp) if tp + fp else None,
        "recall": tp / (tp + fn) if tp + fn else None,
    }


def loss_curve(data: RunData) -> dict[str, Any]:
    colours = ("var(--c3)", "var(--c2)", "var(--c4)", "var(--c1)")
    series = [Series(n, p, c) for (n, p), c in zip(data.world_model_loss.items(), colours, strict=False)]
    return _figure("World model: training loss", series, "step", "loss", log=True)


def success_curve(data: RunData) -> dict[str, Any]:
    series = [
        Series("imagined, in the dream it trains in", _column(data, "imagined_success"), "var(--c3)"),
        Series("judged by the independent model", _column(data, "judged_success"), "var(--c4)", dots=True),
    ]
    return _figure("Refinement: success", series, "PPO iteration", "success", y_range=(0.0, 1.0), percent=True)


def kl_curve(data: RunData) -> dict[str, Any]:
    series = [
        Series("per update", _column(data, "approx_kl"), "var(--c2)"),
        Series("from the start policy", _column(data, "start_kl"), "var(--c4)", dots=True),
    ]
    return _figure("Refinement: KL divergence", series, "PPO iteration", "KL", log=True)


def _column(data: RunData, key: str) -> list[tuple[float, float]]:
    rows = [row for row in data.refinement if row.get(key) is not None and "iteration" in row]
    return [(float(row["iteration"]), float(row[key])) for row in rows]


def _figure(title: str, series: list[Series], x_label: str, y_label: str, **options: Any) -> dict[str, Any]:
    shown = [s for s in series if len(s.points) > 1]  # one point is no curve
    return {"title": title, "series": shown, "svg": Markup(line_chart(shown, x_label, y_label, **options))}


def provenance(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Date, revision, data, machine, versions and seeds as lines."""
    rows = []
    for key in ("provenance", "machine", "versions", "seed_ranges"):
        value = summary.get(key)
        if isinstance(value, dict):
            rows += [(f"{key.replace('_', ' ')}: {name}", _plain(item)) for name, item in value.items()]
        elif value is not None:
            rows.append((key, _plain(value)))
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return " to ".join(map(str, value)) if len(value) == 2 else ", ".join(map(str, value))
    return str(value)
