"""The report: self-contained, true to the run's figures, and honest about parts that were not run."""

from __future__ import annotations

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from world4rl.presentation.charts import Series, line_chart, thin
from world4rl.presentation.html import duration, percent, points
from world4rl.presentation.video import write_film
from world4rl.report.data import RunError, read_run
from world4rl.report.loop_figure import loop_steps
from world4rl.report.page import build_report

SUMMARY = {
    "task": "push_cube",
    "seed": 0,
    "preset": "tiny",
    "bc_success": 0.52,
    "filtered_bc_success": 0.63,
    "refined_success": 0.715,
    "episodes": 200,
    "ci95": {"bc": [0.451, 0.588], "filtered_bc": [0.561, 0.694], "refined": [0.649, 0.773]},
    "paired": {
        "refined_vs_bc": {
            "difference": 0.195,
            "ci95": [0.12, 0.265],
            "gained": 48,
            "lost": 9,
            "episodes": 200,
            "mcnemar_p": 1.2e-7,
        },
        "refined_vs_filtered_bc": {
            "difference": 0.085,
            "ci95": [-0.01, 0.17],
            "gained": 40,
            "lost": 23,
            "episodes": 200,
            "mcnemar_p": 0.043,
        },
        "filtered_bc_vs_bc": {
            "difference": -0.11,
            "ci95": [-0.17, -0.04],
            "gained": 20,
            "lost": 42,
            "episodes": 200,
            "mcnemar_p": 0.01,
        },
    },
    "imagined_success": {"start": 0.57, "refined": 0.93},
    "judged_success": {"start": 0.58, "refined": 0.79},
    "replay_check": {
        "tpr": 0.9,
        "fpr": 0.12,
        "tpr_low": 0.83,
        "fpr_high": 0.18,
        "j": 0.78,
        "successes": 100,
        "failures": 150,
        "episodes": 250,
        "verdict": "refine_cautiously",
        "reason": "J = 0.78 is below 0.8: small steps, strong BC term",
        "passed": True,
    },
    "uncertainty": {
        "kind": "expected_error",
        "auroc": 0.9714,
        "auroc_ci95": [0.958, 0.982],
        "auroc_same_step": None,
        "auroc_of_step": 0.931,
        "spearman": 0.96,
        "expected_error": 0.0337,
        "real_error": 0.0341,
        "usable": True,
        "wrong_from": 0.052,
        "fitted_episodes": 101,
        "held_out_episodes": 99,
        "trained_on_store": False,
    },
    "reward_confusion": {"true_positive": 812, "false_positive": 14, "true_negative": 3011, "false_negative": 37},
    "graph": {"episodes": 50, "success": 0.7, "ci95": [0.562, 0.809]},
    "demonstrations": 20,
    "real_episodes": 620,
    "seed_ranges": {"demonstrations": [1000, 1019], "evaluation": [900000, 900199]},
    "wall_s": {"demonstrations": 61.2},
    "machine": "x86_64, 2 cores, 8 GB",
    "provenance": {"created": "2026-07-01T10:00:00Z", "git_commit": "0f1e2d", "data": {"practice": "8a9b"}},
    "versions": {"torch": "2.13", "mujoco": "3.3.0"},
    "conclusion": "Refinement in imagination raised success from 52 % to 71.5 %; <filtered BC> reached 63 %.",
    "lamp": False,
}


def made_run(run: Path) -> Path:
    """A run folder as the pipeline leaves it, with made figures and two short films."""
    rng = np.random.default_rng(0)
    for folder in ("refine", "evaluation", "clips", "checkpoints/world_model_a.training"):
        (run / folder).mkdir(parents=True)
    (run / "summary.json").write_text(json.dumps(SUMMARY))
    stages = {
        "demonstrations": 61.2,
        "collect": 95.0,
        "bc": 12.0,
        "world_model_a": 331.0,
        "refine": 185.0,
        "deploy": 90.0,
    }
    done = {name: {"wall_s": seconds, "done": True} for name, seconds in stages.items()}
    (run / "stages.json").write_text(json.dumps(done))
    (run / "config.yaml").write_text("preset: tiny\nseed: 0\n")
    (run / "uncertainty.png").write_bytes(b"\x89PNG picture")
    loss = [{"step": s, "loss": 0.9 * math.exp(-s / 600) + 0.08 + 0.01 * rng.random()} for s in range(50, 2501, 50)]
    _rows(run / "checkpoints/world_model_a.training/metrics.jsonl", loss)
    _rows(run / "refine/metrics.jsonl", [refine_row(i) for i in range(1, 61)])
    for name in ("evaluation_0_success", "evaluation_1_failure"):
        frames = rng.integers(0, 256, (6, 6, 32, 32), dtype=np.uint8)
        write_film(frames, frames, run / "clips" / f"{name}.mp4", np.linspace(0, 1, 6))
    return run


def refine_row(i: int) -> dict[str, float]:
    row = {"iteration": i, "imagined_success": 0.6 + 0.33 * (1 - math.exp(-i / 15)), "approx_kl": 0.01 + 0.0002 * i}
    return row | ({"judged_success": 0.58 + 0.003 * i, "start_kl": 0.05 * i} if i % 10 == 0 else {})


def _rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


class Page(HTMLParser):
    """Collects what a browser would fetch, the visible text, and whether tags close in order."""

    VOID = ("meta", "br", "link", "img", "circle", "line", "polyline")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.videos = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v for k, v in attrs if k in ("src", "href") and v]
        self.videos += tag == "video"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag, f"{tag} closes out of order"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += " " + " ".join(data.split())


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_report(made_run(tmp_path_factory.mktemp("run"))).read_text()


def test_page_is_well_formed_and_needs_nothing_else(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert page.videos == 2
    assert all(link.startswith(("data:video/mp4;base64,", "data:image/png;base64,")) for link in page.links)
    assert len(page.links) == 3, "two films and a picture"
    assert not re.search(r"https?://|@import|url\(|<script", html)
    assert "prefers-color-scheme: dark" in html and 'name="viewport"' in html


def test_page_shows_the_runs_figures(html: str) -> None:
    text = Page(html).text
    for figure in ("52 %", "63 %", "71.5 %", "64.9 % to 77.3 %, 200 episodes", "70 %", "50 episodes"):
        assert figure in text, figure
    for figure in (
        "+19.5",
        "+12.0 to +26.5",
        "48",
        "< 0.001",
        "0.043",
        "−17.0 to −4.0",
        "93 %",
        "79 %",
        "at most 18 %",
        "812",
        "3011",
    ):
        assert figure in text, figure
    assert "passed: refine with caution" in text and "small steps, strong BC term" in text
    assert "12 min 54 s" in text, "sum of the stages"
    assert "1000 to 1019" in text and "x86_64, 2 cores" in text
    assert "provenance: git_commit" in text and "0f1e2d" in text
    assert "practice 8a9b" in text


def test_uncertainty_has_its_interval_and_says_what_was_not_measured(html: str, tmp_path: Path) -> None:
    text = Page(html).text
    assert "0.971 (0.958 to 0.982)" in text and "0.0337, 0.0341" in text and "On 99 fresh episodes, after 101" in text
    assert "frames of the same step not measured" in text and "hardly tells" not in text
    assert base64.b64encode(b"\x89PNG picture").decode() in html
    for uncertainty, said in (
        (SUMMARY["uncertainty"] | {"usable": False, "auroc": 0.6}, "It hardly tells wrong frames from right ones"),
        ({"kind": "disagreement", "reason": "2 episodes"}, "could not be measured: 2 episodes"),
        (None, "was not measured in this run"),  # a run of an earlier version
    ):
        (tmp_path / "summary.json").write_text(json.dumps(SUMMARY | {"uncertainty": uncertainty}))
        page = Page(build_report(tmp_path).read_text())
        assert said in page.text and page.open == [] and page.links == []


def test_the_loop_carries_the_runs_figures(html: str, tmp_path: Path) -> None:
    drawn = html[html.index('<ol class="loop">') : html.index("</ol>")] + "</ol>"
    text = " ".join(Page(drawn).text.split())
    said = ("Record 20 demonstrations", "Clone 52 %", "Work and fail 620", "J 0.78", "work 71.5 %", "graph 70 % of 50")
    for figure in said:
        assert figure in text, figure
    assert drawn.count('<li class="done">') == 7 and "Practise in it – not done yet" in text
    kept = SUMMARY | {"refinement": {"kept_start_policy": True}, "replay_check": {"passed": False, "j": 0.2}}
    (tmp_path / "summary.json").write_text(json.dumps(kept))
    page = build_report(tmp_path).read_text()
    assert page.count('<li class="refused">') == 2 and "filtered BC was kept" in page


@pytest.mark.parametrize(
    ("check", "figure", "note"),
    [
        ({"j": 0.9, "cause": "precision"}, "J 0.9", "too few dreamed successes would be real"),
        ({"j": 0.2, "cause": "j"}, "J 0.2", "successes not told from failures well enough"),
        ({"j": 0.9, "cause": "undecided"}, "undecided", "too few successes or failures"),
        ({"j": None, "cause": "undecided"}, "undecided", "too few successes or failures"),
        ({"j": None}, "undecided", "too few successes or failures"),  # of before there was a cause
        ({"j": 0.9}, "J 0.9", "the dream was not believed"),  # the same
    ],
)
def test_the_loop_tells_why_the_dream_was_refused(
    tmp_path: Path, check: dict[str, Any], figure: str, note: str
) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"replay_check": {"passed": False, **check}}))
    step = next(step for step in loop_steps(read_run(tmp_path)) if step.title == "Check the dream")
    assert (step.figure, step.state) == (figure, "refused") and step.note.startswith(note)


def curve(values: list[float]) -> list[dict[str, float] | None]:
    return [{"mean": v, "low": v - 0.01, "high": v + 0.01, "episodes": 20} for v in values]


MEASURES = {
    "horizons": [1, 2, 30],
    "groups": [
        {
            "name": "push_cube, policy episodes of check",
            "episodes": 20,
            "seen_in_training": False,
            "longest": 2,
            "open_loop": {
                "ssim": {"title": "SSIM", "unit": "", "ours": curve([0.951, 0.884]), "rival": curve([0.9, 0.707])},
                "psnr": {"title": "PSNR", "unit": "dB", "ours": curve([30.5, 25.25]), "rival": curve([24.0, 16.0])},
            },
            "following": {"moving": {"advantage": curve([0.02, 0.0412])}},
            "outcomes": {"honest_failure": {"count": 7, "of": 9, "share": 7 / 9, "low": 0.45, "high": 0.94}},
        }
    ],
}


def test_measures_of_the_world_model_stand_where_they_were_taken(html: str, tmp_path: Path) -> None:
    assert "world4rl evaluate world-model RUN" in Page(html).text
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY))
    (tmp_path / "measures").mkdir()
    (tmp_path / "measures" / "measures.json").write_text(json.dumps(MEASURES))
    page = Page(build_report(tmp_path).read_text())
    text = " ".join(page.text.split())
    assert "0.884 0.874 to 0.894 0.707" in text and "PSNR [dB]" in text and page.open == []
    assert "0.0412 larger after 2 steps" in text and "Of 9 real failures, 7 are dreamed as such: 77.8 %" in text
    assert "world4rl evaluate world-model RUN" not in text


def test_verdict_follows_the_interval_not_the_difference(html: str) -> None:
    text = Page(html).text
    order = [
        text.index(s) for s in ("refined − BC better", "refined − filtered BC undecided", "filtered BC − BC worse")
    ]
    assert order == sorted(order)


def test_texts_from_the_run_are_escaped(html: str) -> None:
    assert "&lt;filtered BC&gt; reached" in html


def test_curves_are_drawn(html: str) -> None:
    assert html.count("<svg") == 3 and html.count("<polyline") == 3
    assert html.count("<circle") == 12, "judged success and KL from the start, six checkpoints each"
    assert "nan" not in "".join(re.findall(r"<svg.*?</svg>", html))


def test_unfinished_run_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "bc.json").write_text(
        json.dumps({"seeds": [1, 2, 3, 4], "success": [1, 1, 0, 1], "steps": [5] * 4})
    )
    (tmp_path / "stages.json").write_text(
        json.dumps({"collect": {"wall_s": 3.0, "done": True}, "bc": {"wall_s": 1.0, "done": False}})
    )
    page = Page(build_report(tmp_path).read_text())
    assert "not finished. Stages done so far: collect." in page.text
    assert "75 %" in page.text and "4 episodes" in page.text
    for missing in (
        "No paired comparison",
        "No clips",
        "replay check was not run",
        "training loss: not recorded",
        "No deployments on the ROS graph",
        "No held-out verdicts",
    ):
        assert missing in page.text, missing
    assert page.open == []


def test_rounds_of_the_loop_are_shown_where_there_are_any(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    assert "round by round" not in Page(build_report(run).read_text()).text
    first = {"round": 0, "real_episodes": 0, "success": 0.715, "ci95": [0.649, 0.773]}
    pair = {"difference": 0.045, "ci95": [0.01, 0.08], "gained": 12, "lost": 3, "episodes": 200, "mcnemar_p": 0.035}
    later = {
        "real_episodes": 50,
        "training_episodes": 640,
        "replay_check": {"j": 0.62},
        "iteration": 24,
        "start": "newest",
    }
    later |= {"judged_before": 0.7, "judged_after": 0.81, "against_before": pair, "reason": "best"}
    rows = [first, first | later | {"round": 1, "success": 0.76, "ci95": [0.696, 0.814]}]
    rows.append(rows[1] | {"round": 2, "real_episodes": 100, "iteration": 0, "reason": "J = 0.31 is below 0.5"})
    rows[2]["judged_after"] = None
    (run / "loop.json").write_text(
        json.dumps({"rounds": rows, "episodes_per_round": 50, "evaluation_episodes": 200}, indent=1)
    )
    page = Page(build_report(run).read_text())
    assert "minus filtered BC" not in page.text, "a loop of before there was a rival"
    rival = {
        "filtered_bc_success": 0.68,
        "filtered_bc_ci95": [0.6, 0.75],
        "against_filtered_bc": pair | {"difference": 0.08},
    }
    (run / "loop.json").write_text(
        json.dumps({"rounds": [row | rival for row in rows], "episodes_per_round": 50, "evaluation_episodes": 200})
    )
    page = Page(build_report(run).read_text())
    assert "minus filtered BC" in page.text and "68 %" in page.text and "+8.0" in page.text
    assert "70 %, 81 %" in page.text and "70 %, not dreamed" in page.text
    for told in ("round by round", "76 %", "+4.5", "0.62", "iteration 24", "the policy before: J = 0.31 is below 0.5"):
        assert told in page.text, told
    assert page.open == []


def test_a_policy_that_was_kept_but_not_dreamed_is_told(tmp_path: Path) -> None:
    told = "Filtered BC was kept as it was, and not dreamed itself."
    run = made_run(tmp_path / "run")
    assert told not in Page(build_report(run).read_text()).text, "a run of before has the start policy's figures there"
    kept = {"imagined_success": {"start": 0.57, "refined": None}, "judged_success": {"start": 0.58, "refined": None}}
    (run / "summary.json").write_text(json.dumps(SUMMARY | kept))
    words = " ".join(Page(build_report(run).read_text()).text.split())
    assert told in words and "before 57 % 58 %" in words and "refined not dreamed not dreamed" in words
    seen = {"before": 0.31, "start": 0.57, "refined": 0.31}
    (run / "summary.json").write_text(json.dumps(SUMMARY | {"imagined_success": seen, "judged_success": seen}))
    words = " ".join(Page(build_report(run).read_text()).text.split())
    assert "where practice began 57 % 57 %" in words and "before 31 % 31 %" in words and told not in words
    never = {"imagined_success": {"start": None, "refined": None}, "judged_success": {"start": None, "refined": None}}
    (run / "summary.json").write_text(json.dumps(SUMMARY | never))
    assert "Nothing was imagined with a policy in this run." in Page(build_report(run).read_text()).text


def test_what_the_replay_check_could_not_measure_is_a_dash(tmp_path: Path) -> None:
    """All fresh episodes are successes: there is no rate of false positives, and no J."""
    none = {"fpr": None, "fpr_high": 1.0, "j": None, "successes": 40, "failures": 0, "passed": False}
    kept = SUMMARY | {"replay_check": SUMMARY["replay_check"] | none}
    (tmp_path / "summary.json").write_text(json.dumps(kept))
    text = " ".join(Page(build_report(tmp_path).read_text()).text.split())
    assert "false positives, of 0 real failures – at most 100 %" in text and "J, their difference –" in text
    assert "of 40 real successes 90 %" in text


def test_the_judge_is_called_as_independent_as_it_is(tmp_path: Path) -> None:
    """BC on dreams has seen its dreams, so nobody says that nothing has; and some settings ask it in practice."""
    told = "by a world model and reward model that PPO did not practise in"
    off = {"ppo.clip": 0.1, "verified_success": False, "imagination.max_uncertainty": None, "ppo.imagined_bc": 0.0}
    on = {"imagination.max_uncertainty": 0.0, "verified_success": True, "ppo.imagined_bc": 0.5}
    for changed, said in (
        (off, "."),
        (on, ", though by verified_success, imagination.max_uncertainty, ppo.imagined_bc they had a say"),
    ):
        summary = SUMMARY | {"settings": {"preset": "tiny", "changed": changed}}
        (tmp_path / "summary.json").write_text(json.dumps(summary))
        assert told + said in build_report(tmp_path).read_text()


def test_failed_replay_check_is_not_dressed_up(tmp_path: Path) -> None:
    check = SUMMARY["replay_check"] | {"verdict": "keep", "passed": False, "reason": "J = 0.20 is below 0.5"}
    kept = {"refined_success": 0.5, "refinement": {"kept_start_policy": True}, "conclusion": "Kept."}
    same = {"difference": 0.0, "ci95": [0.0, 0.0], "gained": 0, "lost": 0, "episodes": 20, "mcnemar_p": 1.0}
    kept |= {"replay_check": check, "paired": {"refined_vs_filtered_bc": same}}
    (tmp_path / "summary.json").write_text(json.dumps(kept))
    (tmp_path / "refine").mkdir()
    _rows(tmp_path / "refine" / "metrics.jsonl", [{"iteration": 0, "judged_success": 0.8, "start_kl": 0.0}])
    text = Page(build_report(tmp_path).read_text()).text
    assert "Result: filtered BC, kept" in text and "Refined in imagination" not in text
    assert "refined − filtered BC identical" in text and "no curve to show" in text
    assert "not passed: filtered BC is kept" in text and "J = 0.20" in text
    assert "let nobody practise in the dream" in text and "not compared policy by policy" not in text


def test_folders_that_are_no_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no folder"):
        build_report(tmp_path / "nothing")
    with pytest.raises(RunError, match="holds no run"):
        build_report(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(RunError, match=r"summary\.json is damaged"):
        build_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_chart_survives_odd_data() -> None:
    assert line_chart([Series("a", [], "red")], "x", "y") == ""
    assert line_chart([Series("a", [(1, math.nan)], "red")], "x", "y") == ""
    assert line_chart([Series("a", [(1, -1.0), (2, 0.0)], "red")], "x", "y", log=True) == ""
    for log in (False, True):
        single = line_chart([Series("a", [(3, 0.5)], "red")], "x", "y", log=log)
        flat = line_chart([Series("a", [(i, 0.5) for i in range(5)], "red")], "x", "y", log=log)
        assert "<circle" in single and "<polyline" in flat and "nan" not in single + flat


def test_thinning_keeps_level_and_end() -> None:
    dense = [(float(i), 2.0 + (i == 9999)) for i in range(10000)]
    few = thin(dense)
    assert len(few) <= 160 and few[-1] == dense[-1] and few[0][1] == 2.0


def test_figures_read_well() -> None:
    assert [percent(v) for v in (0.724, 0.5, 0.0, 1.0, None)] == ["72.4 %", "50 %", "0 %", "100 %", "not measured"]
    assert [points(v) for v in (0.195, -0.02, 0.0)] == ["+19.5", "−2.0", "+0.0"]
    assert [duration(v) for v in (0.51, 42.4, 200, 7500)] == ["0.5 s", "42 s", "3 min 20 s", "2 h 05 min"]
