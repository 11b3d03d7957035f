"""`world4rl collect`: episodes in the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from world4rl.commands.common import SeedOption, require_amounts
from world4rl.errors import CommandError

if TYPE_CHECKING:
    from world4rl_data.store import EpisodeStore

PURPOSE = {"expert": "demonstrate", "policy": "train", "random": "random"}


def collect(
    out: Path,
    task: str,
    behaviour: Literal["expert", "policy", "random"] = "expert",
    episodes: int = 50,
    noise: float = 0.1,
    policy: Path | None = None,
    seed: SeedOption = 0,
    first: int | None = None,
    workers: int = 2,
    contract: str | None = None,
) -> None:
    """Collect episodes of the simulated arm, through the same safety gate and task contract as on the graph, or of one
    of Meta-World's tasks, into a training store.

    Episodes that the store holds already are not collected again; several calls may fill one store.

    Args:
        out: Store to write; made where there is none.
        task: Scene of the simulated arm (press_button, push_cube, lift_cube) or a task of Meta-World (door-lock ...).
        behaviour: Who acts: the scripted expert, a policy, or random motion.
        episodes: Number of episodes.
        noise: Standard deviation of the noise on each action [action units, 1 = a full step]; unused by random motion.
        policy: Checkpoint folder; needed with --behaviour policy.
        first: First start state (simulator seed); None takes the range that run --seed sets apart for this.
        workers: Processes.
        contract: Task contract, a name or a YAML file; None takes the task's own (of Meta-World's, metaworld_32).
    """
    from world4rl.episodes.collect import Behaviour, episode_id
    from world4rl.episodes.collect import collect as collect_episodes
    from world4rl.episodes.simulation import contract_for, task_named
    from world4rl.runs.record import checkpoint_digest, note
    from world4rl.runs.seed_ranges import SeedRanges
    from world4rl_data.episode import Outcome
    from world4rl_policy.actor_critic import KIND
    from world4rl_wm.checkpoint import read_config

    if (behaviour == "policy") != (policy is not None):
        raise CommandError("give --policy with --behaviour policy, and only then")
    require_amounts(episodes, workers, noise)
    if policy is not None:
        read_config(policy, KIND)
    task, asked = task_named(task), contract_for(task, contract)
    start = SeedRanges(seed).take(PURPOSE[behaviour], episodes).start if first is None else first
    digest = "" if policy is None else checkpoint_digest(policy)
    store = open_store(out, asked)
    require_same_policy(store, policy, digest)
    acting = Behaviour(behaviour, 0.0 if behaviour == "random" else noise, policy)
    have = {i.episode_id for i in store.infos}
    missing = [s for s in range(start, start + episodes) if episode_id(task, acting, s) not in have]
    settings = {"task": task, "behaviour": behaviour, "noise": acting.noise, "first": start, "episodes": episodes}
    settings |= {"policy": str(policy or ""), "digest": digest}
    if missing:  # before the first episode: an interrupted store too says whose episodes it holds
        note(out, "collect", settings, seed, {"missing": len(missing)})
    successes = 0
    with store:
        for episode in collect_episodes(task, asked, acting, missing, workers) if missing else ():
            store.append(episode)
            successes += episode.outcome == Outcome.SUCCESS
    note(out, "collect", settings, seed, {"collected": len(missing), "successful": successes, "in_store": len(store)})
    print(f"{out}: {len(missing)} episodes collected, {successes} of them successful; {len(store)} in the store")


def open_store(out: Path, contract: object) -> EpisodeStore:
    """The store at `out`, made where there is none; one of another contract is refused."""
    from world4rl_data.contract import TaskContract
    from world4rl_data.store import EpisodeStore

    assert isinstance(contract, TaskContract)
    if not (out / "index.json").is_file():
        return EpisodeStore.create(out, contract)
    store = EpisodeStore.open(out)
    contract.require_same(store.contract, f"store {out}")
    return store


def require_same_policy(store: EpisodeStore, policy: Path | None, digest: str) -> None:
    """Episodes carry their policy's folder name only, so that one name must not mean two policies in a store."""
    from world4rl.runs.record import noted

    if policy is None or all(info.policy_id != policy.name for info in store.infos):
        return
    digests = [row["settings"].get("digest") for row in noted(store.path) if _policy_name(row) == policy.name]
    if digests and digests[-1] != digest:  # those before it left no episode, or are the same
        raise CommandError(f"{store.path} holds episodes of another policy named '{policy.name}': use another --out")


def _policy_name(row: dict[str, Any]) -> str:
    return Path(row["settings"].get("policy", "")).name
