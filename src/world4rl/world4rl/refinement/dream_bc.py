"""Behaviour cloning on real successes and on the same dreamed again: the policy that refinement begins with.

A policy that has seen real frames only takes the grain and blur of a dream for something else. It acts otherwise there
and may fail where it succeeds in reality, so that part of what it learns there is to cope with the dream. Shown its own
successes as the world models dream them, with the actions that were really executed, it acts in a dream as it does in
reality. What the judge dreams is among them, for the judge is to see the same policy.

What it learns further moves it away from what it could do in reality, which no dream shows. So the policy that comes
out has the mean of the weights before and after (as WiSE-FT, arXiv 2109.01903): it keeps most of what was good before.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from world4rl_data.store import EpisodeStore
from world4rl_policy.action_likelihood import action_likelihood
from world4rl_policy.actor_critic import GaussianPolicy
from world4rl_policy.bc import BcOptimisation, Demonstrations, set_std, train_bc
from world4rl_wm.measures.replay import replay
from world4rl_wm.model.world_model import WorldModel

MOST_DREAMED = 300
"""Episodes of each task that are dreamed again, at most: their frames are kept in memory."""


@dataclass(frozen=True)
class DreamBcConfig(BcOptimisation):
    """Optimisation of BC on dreams; no `steps`: the policy stays as it is.

    `mixing` (0 to 1]: how far the policy's weights go from those before to those that it comes to, alpha of WiSE-FT.
    """

    batch_size: int = 128
    mixing: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.mixing <= 1:
            raise ValueError(f"mixing must be above 0 and at most 1, got {self.mixing}; for no BC on dreams: steps=0")


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
    config: DreamBcConfig,
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
            _mix(learner, policy, config.mixing)
            set_std(learner, action_likelihood(learner, examples.batches(learner.std.device)).std)
        learner.save(out, metrics={"training": asdict(config), "std": learner.std.tolist()}, seed=seed)
    return GaussianPolicy.load(out, contract=policy.contract)


@torch.no_grad()
def _mix(learner: GaussianPolicy, before: GaussianPolicy, mixing: float) -> None:
    """Bring the weights of `learner` to `mixing` of the way from `before` to where they are."""
    for own, old in zip(learner.parameters(), before.parameters(), strict=True):
        own.lerp_(old.to(own.device), 1 - mixing)
