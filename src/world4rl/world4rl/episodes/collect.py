"""Episodes from the simulator, in several processes: experts, policies with exploration noise, random motion."""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tqdm import tqdm

from world4rl.episodes.simulation import make_env
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource, Episode, Outcome
from world4rl_data.workers import ordered
from world4rl_sim.task_contracts import TASK_CONTRACTS

if TYPE_CHECKING:
    from world4rl_sim.task_env import TaskEnv

Controller = Callable[[dict[str, Any]], np.ndarray]

_SOURCE = {"expert": ActionSource.SCRIPTED, "policy": ActionSource.POLICY, "random": ActionSource.RANDOM}


@dataclass(frozen=True)
class Behaviour:
    """Who acts. `noise` is the standard deviation added to each action (expert: its own clumsiness), in action units.

    A policy acts by its mean plus `noise`. Another `variant` draws other random numbers from the same start state.
    """

    kind: Literal["expert", "policy", "random"]
    noise: float = 0.0
    checkpoint: Path | None = None
    variant: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Success of a deterministic policy on start states given by their seeds."""

    seeds: list[int]
    success: list[bool]
    steps: list[int]

    @property
    def rate(self) -> float:
        return float(np.mean(self.success))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _expert(env: TaskEnv, behaviour: Behaviour, rng: np.random.Generator) -> Controller:
    act = env.expert(behaviour.noise, rng)
    return lambda _: act()


def _random(contract: TaskContract, seed: int | tuple[int, ...]) -> Controller:
    from world4rl_control.explorer import RandomExplorer

    explorer = RandomExplorer(contract, seed)
    return lambda _: explorer.act()


@lru_cache(maxsize=4)
def _load_policy(path: str, _written_ns: int) -> Any:
    from world4rl_policy.actor_critic import GaussianPolicy

    return GaussianPolicy.load(path)


def frame_of(observation: dict[str, Any], contract: TaskContract) -> np.ndarray:
    """uint8 (C, H, W): the streams of an environment's observation stacked on the channels, as in a store."""
    return np.concatenate([observation["images"][s.name].transpose(2, 0, 1) for s in contract.images])


def _policy(task: str, contract: TaskContract, behaviour: Behaviour, rng: np.random.Generator) -> Controller:
    import torch

    from world4rl_wm.model.frames import to_float

    if behaviour.checkpoint is None:
        raise ValueError("a policy behaviour needs a checkpoint")
    weights = behaviour.checkpoint / "model.safetensors"
    policy = _load_policy(str(behaviour.checkpoint), weights.stat().st_mtime_ns).for_task(task)
    past: list[np.ndarray] = []

    def act(observation: dict[str, Any]) -> np.ndarray:
        frame = frame_of(observation, contract)
        past.extend([frame] * (policy.history if not past else 1))
        del past[: -policy.history]
        action = policy.act(to_float(torch.from_numpy(np.stack(past))).unsqueeze(0))[0].numpy()
        return np.clip(action + behaviour.noise * rng.standard_normal(action.shape), -1, 1).astype(np.float32)

    return act


def episode_id(task: str, behaviour: Behaviour, seed: int) -> str:
    """Name of an episode in a store. Meta-World's begin with the task, for its tasks share a contract and a store."""
    policy = "" if behaviour.checkpoint is None else behaviour.checkpoint.name
    name = f"{behaviour.kind}-{policy}-{behaviour.noise:g}-{seed}" + (
        f"-{behaviour.variant}" if behaviour.variant else ""
    )
    return name if task in TASK_CONTRACTS else f"{task}-{name}"


def run_episode(env: TaskEnv, task: str, behaviour: Behaviour, seed: int) -> Episode:
    """One episode from the start state `seed`; its actions are those that the gate executed."""
    contract = env.contract
    variant = behaviour.variant
    rng = np.random.default_rng([seed, 1 + variant])
    if behaviour.kind == "expert":
        act = _expert(env, behaviour, rng)
    elif behaviour.kind == "random":
        act = _random(contract, (seed, variant) if variant else seed)
    else:
        act = _policy(task, contract, behaviour, rng)
    observation, _ = env.reset(seed=seed)
    observations, actions, done = [observation], [], False
    info: dict[str, Any] = {}
    while not done:
        observation, _, terminated, truncated, info = env.step(act(observation), _SOURCE[behaviour.kind])
        observations.append(observation)
        actions.append(info["executed"])
        done = terminated or truncated
    period_ns = int(1e9 / contract.control_rate_hz)
    name = "" if behaviour.checkpoint is None else behaviour.checkpoint.name
    return Episode(
        images={s.name: np.stack([o["images"][s.name] for o in observations]) for s in contract.images},
        proprio=np.stack([o["proprio"] for o in observations]),
        actions=np.stack(actions).astype(np.float32),
        action_sources=np.full(len(actions), _SOURCE[behaviour.kind], np.uint8),
        stamps=np.arange(len(observations), dtype=np.int64) * period_ns,
        task=task,
        source=behaviour.kind,
        outcome=Outcome.SUCCESS if info["success"] else Outcome.FAILURE,
        success_index=info["success_index"],
        contract_hash=contract.hash,
        episode_id=episode_id(task, behaviour, seed),
        seed=seed,
        policy_id=name,
    )


_held: dict[tuple[str, str], TaskEnv] = {}  # this process's environment, by task and contract


def _env(task: str, contract_text: str) -> TaskEnv:
    """The environment, made once; that of another task or contract is closed first."""
    if (task, contract_text) not in _held:
        _close_held()
        env = make_env(task, TaskContract.from_dict(json.loads(contract_text)))
        atexit.unregister(_close_held)
        atexit.register(_close_held)  # EGL contexts complain when the interpreter, or MuJoCo, goes first
        _held[task, contract_text] = env
    return _held[task, contract_text]


def _close_held() -> None:
    while _held:
        _held.popitem()[1].close()


@contextmanager
def _one_thread() -> Iterator[None]:
    """For one frame at a time more threads only wait for each other; afterwards the caller has its own again."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _work(task: str, contract_text: str, behaviour: Behaviour, seed: int) -> Episode:
    env = _env(task, contract_text)
    if behaviour.kind != "policy":
        return run_episode(env, task, behaviour, seed)
    with _one_thread():
        return run_episode(env, task, behaviour, seed)


def collect(
    task: str,
    contract: TaskContract,
    behaviour: Behaviour,
    seeds: Sequence[int],
    workers: int = 2,
    progress: bool = True,
    description: str = "",
) -> Generator[Episode, None, None]:
    """Episodes in the order of `seeds`; the same seed and behaviour give the same episode.

    Raises:
        WorkerError: a process died at its work.
    """
    text = json.dumps(contract.to_dict())
    bar = tqdm(total=len(seeds), desc=description or behaviour.kind, unit="episode", disable=not progress)
    for _, episode in ordered(partial(_work, task, text, behaviour), seeds, workers):
        if isinstance(episode, Exception):
            raise episode
        yield episode
        bar.update()
    bar.close()


def evaluate(
    task: str,
    contract: TaskContract,
    checkpoint: Path,
    seeds: Sequence[int],
    noise: float = 0.0,
    workers: int = 2,
    progress: bool = True,
) -> Evaluation:
    """Success of the policy (its mean, unless `noise`) on the start states `seeds`."""
    behaviour = Behaviour("policy", noise, checkpoint)
    episodes = list(collect(task, contract, behaviour, seeds, workers, progress, f"evaluate {checkpoint.name}"))
    return Evaluation(list(seeds), [e.outcome == Outcome.SUCCESS for e in episodes], [len(e) for e in episodes])
