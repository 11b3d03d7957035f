"""All measures of a world model, as one dictionary for measures.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from world4rl.errors import CommandError
from world4rl.model_measures.films import write_films
from world4rl.model_measures.fresh import fresh_pairs, simulated_task
from world4rl.model_measures.inputs import Group, Inputs, groups_of
from world4rl.runs.seed_ranges import SeedRanges
from world4rl_data.episode import Outcome
from world4rl_data.store import EpisodeStore
from world4rl_wm.devices import resolve_device
from world4rl_wm.measures.counterfactual import counterfactual_pairs, differences
from world4rl_wm.measures.dreams import Observer
from world4rl_wm.measures.frame_errors import MEASURES, FrameMeasure
from world4rl_wm.measures.group import Comparison, DreamSettings, measure_group
from world4rl_wm.measures.intervals import Estimate
from world4rl_wm.measures.outcomes import by_horizon, confusion, outcome_steps
from world4rl_wm.measures.perceptual import load_i3d, load_inception, load_lpips
from world4rl_wm.measures.set_distances import SetDistance, clips, pictures
from world4rl_wm.measures.weights import NotComputed
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.reward.model import RewardModel


@dataclass(frozen=True)
class Settings:
    """What the command's options of the same names say."""

    horizons: tuple[int, ...] = (1, 5, 15, 30, 50)
    every: int = 5
    episodes: int = 100
    fresh: int = 32
    batch: int = 64
    workers: int = 2
    device: str = "auto"


@dataclass
class Perception:
    """Perceptual measures: those that could be loaded, and why the others were not."""

    lpips: FrameMeasure | None = None
    distances: dict[str, Callable[[], SetDistance]] = field(default_factory=dict)
    not_computed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, device: str) -> Perception:
        found = cls()
        try:
            found.lpips = load_lpips(device)
        except NotComputed as reason:
            found.not_computed["lpips"] = str(reason)
        for name, load, samples in (("fid", load_inception, pictures), ("fvd", load_i3d, clips)):
            try:
                features = load(device)
            except NotComputed as reason:
                found.not_computed[name] = str(reason)
            else:
                found.distances[name] = lambda f=features, s=samples: SetDistance(f, s)  # type: ignore[misc]
        return found


def evaluate_model(inputs: Inputs, settings: Settings) -> dict[str, Any]:
    """Measure the world model on all episodes of `inputs`; films and fresh episodes go to `inputs.out`.

    Raises:
        CommandError: there are no episodes to measure on.
        CheckpointError, StoreError, ContractMismatch: a folder is damaged or belongs to another task contract.
    """
    device = resolve_device(settings.device)
    model = WorldModel.load(inputs.world_model, device)
    judge = None if inputs.reward is None else RewardModel.load(inputs.reward, device, model.contract)
    stores = [EpisodeStore.open(path) for path in inputs.stores]
    for store in stores:
        model.contract.require_same(store.contract, f"store {store.path}")
    stores += _fresh(model, inputs, settings)
    groups = [group for store in stores for group in groups_of(store, inputs.learned, settings.episodes)]
    if not groups:
        raise CommandError("no episodes to measure on: give --store STORE with episodes of this world model's contract")
    perception = Perception.load(device)
    return {
        "world_model": str(inputs.world_model),
        "reward": None if inputs.reward is None else str(inputs.reward),
        "contract": model.contract.name,
        "horizons": list(settings.horizons),
        "groups": [
            _group(model, judge, group, number, inputs, settings, perception) for number, group in enumerate(groups, 1)
        ],
        "counterfactual": _counterfactual(model, stores, settings, inputs.seed),
        "not_computed": perception.not_computed,
        "stores": [{"path": str(s.path), "episodes": len(s), "content_hash": s.content_hash} for s in stores if len(s)],
    }


def _fresh(model: WorldModel, inputs: Inputs, settings: Settings) -> list[EpisodeStore]:
    task = simulated_task(model.contract)
    if not settings.fresh or task is None:
        return []
    seeds = SeedRanges(inputs.seed).take("measure", settings.fresh)
    path = inputs.out / "fresh"
    return [fresh_pairs(task, model.contract, path, seeds, settings.workers)]


def _group(
    model: WorldModel,
    judge: RewardModel | None,
    group: Group,
    number: int,
    inputs: Inputs,
    settings: Settings,
    perception: Perception,
) -> dict[str, Any]:
    dreams = DreamSettings(max(settings.horizons), settings.every, settings.batch, inputs.seed)
    distances = {name: make() for name, make in perception.distances.items()}
    observers: list[Observer] = list(distances.values())
    print(f"{group.name}: {len(group.episodes)} episodes")
    found = measure_group(model, group.store, group.episodes, dreams, perception.lpips, observers)
    films = write_films(model, judge, group, number, found.dream_error, inputs.out, inputs.seed)
    of_source = sum(i.task == group.task and i.source == group.source for i in group.store.infos)
    return {
        "name": group.name,
        "task": group.task,
        "source": group.source,
        "seen_in_training": group.seen,
        "episodes": found.episodes,
        "episodes_in_store": of_source,
        "starts": found.starts,
        "longest": found.longest,
        "open_loop": _comparisons(found.open_loop),
        "following": _comparisons(found.following),
        "distances": {name: _distance(distance) for name, distance in distances.items()},
        "outcomes": _outcomes(model, judge, group, inputs, settings.batch),
        "films": films,
    }


def _comparisons(found: dict[str, Comparison]) -> dict[str, Any]:
    return {name: asdict(MEASURES[name]) | asdict(comparison) for name, comparison in found.items()}


def _distance(distance: SetDistance) -> dict[str, Any]:
    try:
        model, copy = distance.model.compute(), distance.copy.compute()
    except NotComputed as reason:
        return {"not_computed": str(reason)}
    return {"dream": model, "copy": copy, "samples": distance.model.dreamed}


def _outcomes(model: WorldModel, judge: RewardModel | None, group: Group, inputs: Inputs, batch: int) -> dict[str, Any]:
    if judge is None:
        return {"not_measured": "no reward model: give --reward, or train one with `world4rl train reward`"}
    infos = group.store.infos
    labelled = [row for row in group.episodes if infos[row].outcome in (Outcome.SUCCESS, Outcome.FAILURE)]
    if not labelled:
        return {"not_measured": "no episode is labelled as success or failure: label some"}
    horizon = max(infos[row].length for row in labelled)
    real, dreamed = outcome_steps(model, judge, group.store, labelled, inputs.hits, inputs.seed, batch)
    table = confusion(real >= 0, dreamed >= 0)
    return {
        "episodes": len(labelled),
        "horizon": horizon,
        "rows": table.rows,
        "honest_success": asdict(table.honest_success),
        "honest_failure": asdict(table.honest_failure),
        "by_horizon": {name: _plain(curve) for name, curve in by_horizon(real, dreamed, horizon).items()},
    }


def _counterfactual(model: WorldModel, stores: Sequence[EpisodeStore], settings: Settings, seed: int) -> dict[str, Any]:
    for store in reversed(stores):  # the fresh ones, which were made for this, come last
        pairs, different = counterfactual_pairs(store)
        if pairs:
            pairs = pairs[: settings.episodes]
            lengths = [min(store.infos[a].length, store.infos[b].length) for a, b in pairs]
            horizon = min(max(settings.horizons), max(lengths))
            found = differences(model, store, pairs, horizon, seed, settings.batch)
            values = {name: _plain(curve) for name, curve in found.curves().items()}
            return {
                "store": str(store.path),
                "pairs": len(pairs),
                "unlike_starts": different,
                "longest": horizon,
            } | values
    return {
        "not_measured": "no two episodes begin alike and go on with other actions: where the contract belongs to a "
        "simulated task, --fresh makes some"
    }


def _plain(curve: list[Estimate | None]) -> list[dict[str, Any] | None]:
    return [None if estimate is None else asdict(estimate) for estimate in curve]
