"""summary.json: what a run found, with intervals, and one sentence that claims no more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from world4rl.runs.origin import STORES, origin
from world4rl.runs.outcomes import PAIRS, POLICIES, encode_outcomes
from world4rl_policy.statistics import compare, verdict, wilson_interval

if TYPE_CHECKING:
    from world4rl.runs.run_folder import Run

_CHANCE = {
    "better": "the gain over filtered BC is beyond chance",
    "worse": "filtered BC is better beyond chance",
    "undecided": "between refined and filtered BC the difference is within chance",
}


def summarise(run: Run) -> dict[str, Any]:
    """Read the run folder's parts and put them together; "graph" is left out where nothing was to be deployed."""
    return compared(run) | {
        "uncertainty": run.read("uncertainty.json"),
        "reward_confusion": reward_confusion(run),
        **({"graph": _on_graph(run)} if run.preset.evaluation.graph_episodes else {}),
        "lamp": run.task == "press_button",
    }


def _on_graph(run: Run) -> dict[str, Any]:
    """Success of the deployments over DDS."""
    success = run.read("evaluation/graph.json")["success"]
    return {
        "episodes": len(success),
        "success": float(np.mean(success)),
        "ci95": wilson_interval(sum(success), len(success)),
    }


def compared(run: Run) -> dict[str, Any]:
    """The run's policies on the same held-out start states, and what they were made of: whatever the simulator."""
    found = {name: run.read(f"evaluation/{name}.json")["success"] for name in POLICIES}
    pairs = {f"{b}_vs_{a}": compare(found[a], found[b]).to_dict() for a, b in PAIRS}
    refinement, check = run.read("refinement.json"), run.read("replay_check.json")
    stores = {name: len(run.store(name)) for name in STORES}
    rates = {f"{name}_success": float(np.mean(success)) for name, success in found.items()}
    intervals = {name: wilson_interval(sum(success), len(success)) for name, success in found.items()}
    differences = {name.replace("_vs_", "_minus_"): pair["ci95"] for name, pair in pairs.items()}
    return {
        "task": run.task,
        "seed": run.seed,
        "preset": run.preset_name,
        **rates,
        "episodes": len(found["bc"]),
        "ci95": intervals | differences,
        "paired": pairs,
        "outcomes": {name: encode_outcomes(success) for name, success in found.items()},
        **{f"{who}_success": dreamed_success(refinement, who) for who in ("imagined", "judged")},
        "refinement": refinement,
        "replay_check": check,
        "demonstrations": stores["demonstrations"],
        "real_episodes": sum(stores.values()),
        "seed_ranges": run.seeds.to_dict(),
        **origin(run),
        "conclusion": conclusion(rates, pairs, refinement, check, len(found["bc"])),
    }


def dreamed_success(refinement: dict[str, Any], who: str) -> dict[str, float | None]:
    """What `who` has dreamed of the policy before the refinement, of the one that practice began with, and of the one
    that was kept; runs of earlier versions did not dream the first."""
    names = ("before", "start", "refined")
    return {name: refinement[f"{who}_{name}"] for name in names if f"{who}_{name}" in refinement}


def reward_confusion(run: Run) -> dict[str, int]:
    """The reward model's verdicts on real frames that neither it nor the world model has seen; empty without such."""
    from world4rl.runs.dreamers import held_out_frames
    from world4rl_wm.reward.metrics import confusion
    from world4rl_wm.reward.model import RewardModel
    from world4rl_wm.training.devices import process_device

    frames = held_out_frames(run)
    return {} if frames is None else confusion(RewardModel.load(run.checkpoint("reward_a"), process_device()), frames)


def conclusion(
    rates: dict[str, float], pairs: dict[str, Any], refinement: dict[str, Any], check: dict[str, Any], episodes: int
) -> str:
    """One sentence: refined against BC and filtered BC, and whether the dream added anything."""
    if refinement["kept_start_policy"]:
        done = "Refinement found nothing better" if check["passed"] else "The dream was not trusted"
        if check.get("cause") == "undecided":
            done = "Whether the dream can be trusted is not known"
        done += ", so filtered BC was kept"
        why = f" ({refinement['reason']})"
    else:
        done, why = "Refined in imagination", ""
    text = f"{done}{why}: success {rates['refined_success']:.1%} against {rates['bc_success']:.1%} for BC"
    text += f" and {rates['filtered_bc_success']:.1%} for filtered BC, over {episodes} held-out start states"
    pair = pairs["refined_vs_filtered_bc"]
    return f"{text}; {_CHANCE[verdict(*pair['ci95'], mcnemar_p=pair['mcnemar_p'])]}."
