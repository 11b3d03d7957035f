"""Several simulators of a task that take their steps together, in this process or shared out among others."""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world4rl.episodes.simulation import make_env
from world4rl_data.contract import TaskContract
from world4rl_data.end_with_parent import end_with_parent
from world4rl_sim.task_env import TaskEnv

Stepped = tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]


class Simulators:
    """`count` simulators in this process. Pictures are uint8 ``(count, C, H, W)``, as a policy sees them."""

    def __init__(self, task: str, contract: TaskContract, count: int) -> None:
        self.contract = contract
        self.envs: list[TaskEnv] = [make_env(task, contract) for _ in range(count)]
        self._pictures: NDArray[np.uint8] = np.zeros(0, np.uint8)

    def reset(self, seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Begin an episode in each, from the start states `seeds`."""
        begun = [env.reset(seed=seed)[0] for env, seed in zip(self.envs, seeds, strict=True)]
        self._pictures = np.stack([self._picture(observation) for observation in begun])
        return self._pictures

    def step(self, actions: NDArray[np.float32], going: NDArray[np.bool_]) -> Stepped:
        """Act where an episode is `going` on; elsewhere time stands still, which costs nothing.

        Returns pictures, whether the task is done, and whether the time is up.
        """
        done, out_of_time = np.zeros(len(self.envs), bool), np.zeros(len(self.envs), bool)
        self._pictures = self._pictures.copy()
        for number in np.flatnonzero(going):
            observation, reward, _, truncated, _ = self.envs[number].step(actions[number])
            self._pictures[number] = self._picture(observation)
            done[number], out_of_time[number] = reward > 0, truncated
        return self._pictures, done, out_of_time

    def _picture(self, observation: dict[str, Any]) -> NDArray[np.uint8]:
        return np.concatenate([observation["images"][s.name].transpose(2, 0, 1) for s in self.contract.images])

    def close(self) -> None:
        for env in self.envs:
            env.close()


_held: list[Simulators] = []  # of a worker process


def _hold(task: str, contract: str, count: int) -> None:
    import atexit

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    end_with_parent()
    _held.append(Simulators(task, TaskContract.from_dict(json.loads(contract)), count))
    atexit.register(_held[0].close)


def _reset_held(seeds: Sequence[int]) -> NDArray[np.uint8]:
    return _held[0].reset(seeds)


def _step_held(actions: NDArray[np.float32], going: NDArray[np.bool_]) -> Stepped:
    return _held[0].step(actions, going)


class SharedSimulators:
    """The same, shared out among `workers` processes."""

    def __init__(self, task: str, contract: TaskContract, count: int, workers: int) -> None:
        context, text = multiprocessing.get_context("spawn"), json.dumps(contract.to_dict())
        self._shares = [share for share in np.array_split(np.arange(count), workers) if len(share)]
        self._workers = [
            ProcessPoolExecutor(1, context, initializer=_hold, initargs=(task, text, len(share)))
            for share in self._shares
        ]

    def reset(self, seeds: Sequence[int]) -> NDArray[np.uint8]:
        """As `Simulators.reset`."""
        return np.concatenate(self._each(_reset_held, np.asarray(seeds).tolist()))

    def step(self, actions: NDArray[np.float32], going: NDArray[np.bool_]) -> Stepped:
        """As `Simulators.step`."""
        pictures, done, out_of_time = zip(*self._each(_step_held, actions, going), strict=True)
        return np.concatenate(pictures), np.concatenate(done), np.concatenate(out_of_time)

    def _each(self, work: Callable[..., Any], *whole: Any) -> list[Any]:
        """Each worker's result for its share of `whole`."""
        jobs: list[Future[Any]] = []
        for worker, share in zip(self._workers, self._shares, strict=True):
            piece = slice(int(share[0]), int(share[-1]) + 1)
            jobs.append(worker.submit(work, *(values[piece] for values in whole)))
        return [job.result() for job in jobs]

    def close(self) -> None:
        for worker in self._workers:
            worker.shutdown()
