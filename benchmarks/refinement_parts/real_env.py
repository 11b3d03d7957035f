"""The simulator as the environment that PPO practises in: shaped like the dream, with the simulator's own success."""

from __future__ import annotations

import torch
from refinement_parts.simulators import SharedSimulators, Simulators
from torch import Tensor

from world4rl_data.contract import TaskContract
from world4rl_wm.imagination.env import ImaginationConfig
from world4rl_wm.model.frames import to_float

SEEDS_FROM, SEEDS_OF_A_RUN = 1_000_000_000, 10_000_000


def practice_seeds(run_seed: int) -> range:
    """Start states to practise from: those of the runs (`world4rl.runs.seed_ranges`) lie far below.

    Raises:
        ValueError: the run's seed is above 99.
    """
    if not 0 <= run_seed < 100:
        raise ValueError(f"start states are set apart for the seeds 0 to 99, not for {run_seed}")
    first = SEEDS_FROM + SEEDS_OF_A_RUN * run_seed
    return range(first, first + SEEDS_OF_A_RUN)


class RealEnv:
    """`config.num_envs` simulators under the contract of `ImaginationEnv`: the same observations, reward and ends.

    The reward is 1 in the step in which the task has been done for `hits` steps in a row, and the episode terminates;
    it is truncated at `horizon`, or where the simulator's time is up, unless it is in the middle of these. There is no
    autoreset. What looks at models does not apply here: uncertainty and progress.

    Attributes:
        steps, episodes: how many were simulated so far.
    """

    def __init__(self, task: str, contract: TaskContract, config: ImaginationConfig, seeds: range, workers: int = 1):
        self.config, self.num_envs, self.seeds = config, config.num_envs, seeds
        self.steps = self.episodes = 0
        if workers > 1:
            self._simulators: Simulators | SharedSimulators
            self._simulators = SharedSimulators(task, contract, config.num_envs, workers)
        else:
            self._simulators = Simulators(task, contract, config.num_envs)

    def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Start a batch of episodes; each start state is drawn from the `seeds` of this environment by `seed`."""
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        starts = self.seeds.start + torch.randint(len(self.seeds), (self.num_envs,), generator=generator)
        picture = self._frames(self._simulators.reset(starts.tolist()))
        self._seen = picture.unsqueeze(1).repeat(1, self.config.observed_frames, 1, 1, 1)
        self._streak = torch.zeros(self.num_envs, dtype=torch.long)
        self._going = torch.ones(self.num_envs, dtype=torch.bool)
        self._taken = 0
        self.episodes += self.num_envs
        return self._seen, {"start": starts}

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Do `actions` ``(num_envs, A)`` where episodes go on; elsewhere the last observation stays."""
        going = self._going
        self.steps += int(going.sum())
        pictures, done, out_of_time = self._simulators.step(actions.clamp(-1, 1).numpy(), going.numpy())
        following = torch.cat([self._seen[:, 1:], self._frames(pictures).unsqueeze(1)], 1)
        self._seen = torch.where(going[:, None, None, None, None], following, self._seen)
        self._streak = torch.where(torch.from_numpy(done), self._streak + 1, torch.zeros_like(self._streak))
        self._taken += 1
        success = going & (self._streak >= self.config.hits)
        over = torch.from_numpy(out_of_time) | (self._taken >= self.config.horizon)
        truncated = going & ~success & over & (self._streak == 0)
        self._going = going & ~(success | truncated)
        info = {"success": success, "verified": success * self._streak}  # the simulator needs no second opinion
        return self._seen, success.float(), success, truncated, info

    def state_dict(self) -> dict[str, int]:
        """What counts on when work is interrupted; the episodes of a batch do not."""
        return {"steps": self.steps, "episodes": self.episodes}

    def load_state_dict(self, values: dict[str, int]) -> None:
        self.steps, self.episodes = values["steps"], values["episodes"]

    @staticmethod
    def _frames(pictures: object) -> Tensor:
        return to_float(torch.as_tensor(pictures))

    def close(self) -> None:
        """Free the simulators."""
        self._simulators.close()
