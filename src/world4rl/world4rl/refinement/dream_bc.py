"""Behaviour cloning on real successes and on the same dreamed again: the policy that refinement begins with.

A policy that has seen real frames only takes the grain and blur of a dream for something else. It acts otherwise there
and may fail where it succeeds in reality, so that part of what it learns there is to cope with the dream. Shown its own
successes as the world models dream them, with the actions that were really executed, it acts in a dream as it does in
reality. What the judge dreams is among them, for the judge is to see the same policy.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from world4rl_data.store import EpisodeStore
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import BcOptimisation, Demonstrations, train_bc
from world4rl_wm.measures.replay import replay
from world4rl_wm.model.world_model import WorldModel

MOST_DREAMED = 300
"""Episodes of each task that are dreamed again, at most: their frames are kept in memory."""


class RealAndDreamed:
    """Successful episodes, real and as each world model dreams them with their own actions, in equal parts."""

    def __init__(
        self,
        store: EpisodeStore,
        episodes: Sequence[int],
        history: int,
        world_models: Sequence[WorldModel],
        seed: int,
        tasks: Sequence[str] = (),
    ):
        few = _drawn(store, episodes, seed)
        shown = Demonstrations(store, few, history, tasks)
        self._parts = [Demonstrations(store, episodes, history, tasks)]
        for model in world_models:
            dreamed = replay(model, store, few, seed)
            lengths = (dreamed.lengths + 1).tolist()
            frames = [f[:length] for f, length in zip(dreamed.frames, lengths, strict=True)]
            self._parts.append(shown.showing(frames))

    def sample(self, size: int, generator: torch.Generator, device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
        """As `Examples`, with the actions that were really executed."""
        count = len(self._parts)
        sizes = [size // count + (number < size % count) for number in range(count)]
        drawn = [part.sample(n, generator, device) for part, n in zip(self._parts, sizes, strict=True)]
        return tuple(torch.cat(column) for column in zip(*drawn, strict=True))

    def batches(self, device: torch.device | str = "cpu") -> Iterator[tuple[Tensor, ...]]:
        """All steps, the real ones and those of each dream, each once."""
        return itertools.chain.from_iterable(part.batches(device) for part in self._parts)


def _drawn(store: EpisodeStore, episodes: Sequence[int], seed: int) -> list[int]:
    """Those that are dreamed again, in their order: of a task that succeeds seldom as many as if it were alone."""
    by_task: dict[str, list[int]] = {}
    drawn = torch.randperm(len(episodes), generator=torch.Generator().manual_seed(seed), device="cpu")
    for number in drawn.tolist():
        by_task.setdefault(store.infos[episodes[number]].task, []).append(number)
    return [episodes[number] for number in sorted(n for of_task in by_task.values() for n in of_task[:MOST_DREAMED])]


def dream_bc(
    policy: GaussianPolicy,
    world_models: Sequence[WorldModel],
    successes: tuple[EpisodeStore, Sequence[int]],
    config: BcOptimisation,
    out: Path,
    seed: int = 0,
    progress: bool = True,
) -> GaussianPolicy:
    """`policy` after it has learned further, where the world models are; the same one where `config` has no steps.

    It is on the CPU, before and after, and kept as the checkpoint `out`, so that a refinement that goes on later begins
    with the same one.
    """
    if not out.is_dir():
        learner = copy.deepcopy(policy)
        if config.steps:
            store, episodes = successes
            examples = RealAndDreamed(store, episodes, policy.history, world_models, seed, policy.config.tasks)
            learner.to(world_models[0].device).requires_grad_(True)
            train_bc(examples, learner, config, seed, progress, "BC on dreams")
        learner.save(out, metrics={"training": asdict(config), "std": learner.std.tolist()}, seed=seed)
    return GaussianPolicy.load(out, contract=policy.contract)
