"""Fresh random episodes from the simulator, two from each start state: what no model has seen, and counterfactuals."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

from world4rl.episodes.collect import Behaviour, collect
from world4rl_data.contract import TaskContract
from world4rl_data.store import EpisodeStore
from world4rl_sim.task_contracts import TASK_CONTRACTS


def simulated_task(contract: TaskContract) -> str | None:
    """The simulated task of a contract, None where it belongs to none."""
    for task, name in TASK_CONTRACTS.items():
        if name == contract.name and TaskContract.load(name).hash == contract.hash:
            return task
    return None


def fresh_pairs(task: str, contract: TaskContract, path: Path, seeds: range, workers: int) -> EpisodeStore:
    """Two episodes of random motion from each start state in `seeds`; those that the store holds are kept."""
    store = EpisodeStore.open(path) if (path / "index.json").is_file() else EpisodeStore.create(path, contract)
    contract.require_same(store.contract, f"store {path}")
    for variant in (0, 1):
        have = Counter(info.seed for info in store.infos)
        missing = [seed for seed in seeds if have[seed] <= variant]
        if missing:
            behaviour, told = Behaviour("random", variant=variant), f"random motion {variant + 1}/2"
            episodes = collect(task, contract, behaviour, missing, workers, description=told)
            with store, closing(episodes):
                for episode in episodes:
                    store.append(episode)
    return store
