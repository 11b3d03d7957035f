"""The summary's one sentence claims no more than the intervals and tests beside it."""

from __future__ import annotations

from collections import UserList
from types import SimpleNamespace
from typing import Any

import pytest

from world4rl.presets import load_preset
from world4rl.runs import summary
from world4rl.runs.seed_ranges import SeedRanges
from world4rl.runs.summary import conclusion, summarise
from world4rl_policy.statistics import compare, wilson_interval

REFINED = {"kept_start_policy": False, "reason": "best in the judge's dreams"}
KEPT = {"kept_start_policy": True, "reason": "no checkpoint was better"}
TRUSTED, REFUSED = {"passed": True}, {"passed": False}
GAIN, LOSS, CHANCE = (
    "the gain over filtered BC is beyond chance",
    "filtered BC is better beyond chance",
    "within chance",
)


def outcomes(gained: int, lost: int, episodes: int = 200) -> tuple[list[bool], list[bool]]:
    """Filtered BC and refined: `gained` only refined solves, `lost` only filtered BC, half of the rest both."""
    rest = episodes - gained - lost
    both = [True] * (rest // 2) + [False] * (rest - rest // 2)
    return [False] * gained + [True] * lost + both, [True] * gained + [False] * lost + both


def sentence(gained: int, lost: int, refinement: dict[str, Any] = REFINED, check: dict[str, Any] = TRUSTED) -> str:
    filtered, refined = outcomes(gained, lost)
    rates = {"bc_success": 0.3, "filtered_bc_success": sum(filtered) / 200, "refined_success": sum(refined) / 200}
    pairs = {"refined_vs_filtered_bc": compare(filtered, refined).to_dict()}
    return conclusion(rates, pairs, refinement, check, 200)


@pytest.mark.parametrize(
    ("gained", "lost", "claim"),
    [
        (40, 10, GAIN),
        (10, 40, LOSS),
        (20, 20, CHANCE),
        (22, 18, CHANCE),
        (18, 22, CHANCE),
        (0, 0, CHANCE),
        (6, 0, GAIN),  # p = 0.03
        (4, 0, CHANCE),  # p = 0.125, although the bootstrap's interval is above zero
        (0, 4, CHANCE),
    ],
)
def test_a_difference_is_claimed_only_beyond_chance(gained: int, lost: int, claim: str) -> None:
    text = sentence(gained, lost)
    assert [words for words in (GAIN, LOSS, CHANCE) if words in text] == [claim]
    assert text.startswith("Refined in imagination: success ") and text.endswith(".")


def test_four_episodes_would_deceive_the_bootstrap() -> None:
    """What the rule above guards against; without this the two cases of four prove nothing."""
    found = compare(*outcomes(4, 0))
    assert found.ci95[0] > 0 and found.mcnemar_p == 0.125


def test_the_numbers_are_those_of_the_run() -> None:
    filtered, refined = outcomes(40, 10)
    text = sentence(40, 10)
    assert f"success {sum(refined) / 2:.1f}% against 30.0% for BC" in text
    assert f"{sum(filtered) / 2:.1f}% for filtered BC, over 200 held-out start states" in text


def test_a_kept_start_policy_is_no_refinement() -> None:
    """Distrust in the dream is claimed only where the replay check refused it."""
    nothing, refused = sentence(0, 0, KEPT, TRUSTED), sentence(0, 0, KEPT, REFUSED)
    assert nothing.startswith("Refinement found nothing better, so filtered BC was kept (no checkpoint")
    assert refused.startswith("The dream was not trusted, so filtered BC was kept (no checkpoint")
    unknown = sentence(0, 0, KEPT, REFUSED | {"cause": "undecided"})
    assert unknown.startswith("Whether the dream can be trusted is not known, so filtered BC was kept (no checkpoint")
    assert "Refined in imagination" not in nothing + refused + unknown


class MadeStore(UserList):
    """As long as a store, and known by its content."""

    @property
    def content_hash(self) -> str:
        return f"{len(self):016x}"


class MadeRun(SimpleNamespace):
    """A run whose files are given."""

    def read(self, name: str) -> dict[str, Any]:
        return self.files[name]

    def store(self, name: str) -> MadeStore:
        return MadeStore(range({"demonstrations": 8, "practice": 350, "check": 200}[name]))


def test_summary_puts_the_parts_together(monkeypatch: pytest.MonkeyPatch) -> None:
    filtered, refined = outcomes(40, 10)
    success = {"bc": outcomes(60, 0)[0], "filtered_bc": filtered, "refined": refined}
    files: dict[str, Any] = {f"evaluation/{name}.json": {"success": found} for name, found in success.items()}
    files["evaluation/graph.json"] = {"success": [True] * 4 + [False]}
    imagined = {"imagined_start": 0.4, "imagined_refined": 0.9, "judged_start": 0.3, "judged_refined": 0.6}
    imagined |= {"imagined_before": 0.2, "judged_before": 0.1}
    files["refinement.json"] = REFINED | imagined
    files["replay_check.json"] = TRUSTED | {"j": 0.9}
    files["uncertainty.json"] = {"kind": "expected_error", "auroc": 0.97}
    monkeypatch.setattr(summary, "reward_confusion", lambda run: {"true_positive": 3})
    preset = load_preset("tiny", ["ppo.clip=0.1", "collect.workers=1"])
    run = MadeRun(files=files, task="push_cube", seed=3, preset_name="tiny", preset=preset, seeds=SeedRanges(3))
    found = summarise(run)
    assert found["refined_success"] == sum(refined) / 200 and found["episodes"] == 200
    paired = compare(filtered, refined)
    assert found["paired"]["refined_vs_filtered_bc"] == paired.to_dict() and paired.difference == 0.15
    assert found["ci95"]["refined_minus_filtered_bc"] == paired.ci95
    assert found["ci95"]["refined"] == wilson_interval(sum(refined), 200)
    assert found["paired"]["filtered_bc_vs_bc"]["difference"] > 0  # filtered BC minus BC, not the other way round
    assert found["imagined_success"] == {"before": 0.2, "start": 0.4, "refined": 0.9}
    assert found["judged_success"] == {"before": 0.1, "start": 0.3, "refined": 0.6}
    assert found["graph"] == {"episodes": 5, "success": 0.8, "ci95": wilson_interval(4, 5)}
    assert (found["demonstrations"], found["real_episodes"]) == (8, 558)
    assert found["seed_ranges"] == SeedRanges(3).to_dict() and found["lamp"] is False
    assert found["settings"] == {"preset": "tiny", "changed": {"collect.workers": 1, "ppo.clip": 0.1}}
    assert found["provenance"]["data"] == {
        "demonstrations": f"{8:016x}",
        "practice": f"{350:016x}",
        "check": f"{200:016x}",
    }
    assert found["provenance"]["created"] > "2026" and found["provenance"]["git_commit"]
    assert {"processor", "cores", "load_average_1_min"} <= set(found["machine"]) and found["versions"]["torch"]
    assert GAIN in found["conclusion"] and found["uncertainty"]["auroc"] == 0.97
