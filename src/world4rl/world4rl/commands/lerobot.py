"""`world4rl dataset export-lerobot` and `import-lerobot`: stores as LeRobotDataset v3.0, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from world4rl.errors import CommandError, existing

Words = tuple[str, ...]


def export_lerobot(
    store: Annotated[Path, tyro.conf.Positional],
    out: Path,
    crf: int = 18,
    pixel_format: Literal["yuv420p", "yuv444p"] = "yuv420p",
    source: Words = (),
    outcome: tuple[Literal["success", "failure", "unlabelled"], ...] = (),
    workers: int | None = None,
) -> None:
    """Write the episodes of a store as a LeRobotDataset v3.0 that `LeRobotDataset(..., root=OUT)` opens.

    Pictures become H.264; everything else is kept exactly, the task contract and our labels beside LeRobot's own files.

    Args:
        store: Training store.
        out: Folder of the new dataset; must be empty or not be there.
        crf: Quality of the videos: 0 is nearly lossless, 18 hardly visible, 51 the worst.
        pixel_format: yuv420p plays everywhere; yuv444p keeps the resolution of colours, and odd picture sizes.
        source: Only episodes of these sources (expert, policy, random, intervention); none takes all.
        outcome: Only episodes with these outcomes; none takes all.
        workers: Processes; None takes the cores of this machine.
    """
    from world4rl_data.episode import Outcome
    from world4rl_data.lerobot.export import export_store
    from world4rl_data.lerobot.video import VideoConfig
    from world4rl_data.store import EpisodeStore

    outcomes = [Outcome[name.upper()] for name in outcome]
    chosen = EpisodeStore.open(store).select(source=source or None, outcome=outcomes or None)
    if not chosen:
        raise CommandError(f"{store} has no such episodes: `world4rl dataset info {store}` shows what it holds")
    print(export_store(store, out, VideoConfig(crf, pixel_format), chosen, workers))


def import_lerobot(
    dataset: Annotated[Path, tyro.conf.Positional],
    out: Path,
    contract: str | None = None,
    image: Words = (),
    state: Words = (),
    action: Words = (),
    action_kind: Literal["normalised", "delta", "target"] | None = None,
    gripper_open: float | None = None,
    gripper_closed: float | None = None,
    outcome: Literal["next.success", "reward", "success", "failure", "unlabelled"] | None = None,
    success_reward: float = 1.0,
    stride: int = 1,
    clip: bool = False,
    sender: Literal["human", "scripted", "policy", "random"] = "human",
    workers: int | None = None,
) -> None:
    """Write the episodes of a LeRobotDataset v3.0 as a training store.

    What World4RL exported needs DATASET and --out only. A foreign dataset needs a contract and a mapping; whatever is
    missing is listed, with the option that gives it.

    Args:
        dataset: Folder of the dataset, with meta/, data/ and videos/.
        out: Folder of the new store; must be empty or not be there.
        contract: Task contract by name or path: picture sizes, action scales and the rate of the store.
        image: STREAM=KEY for each stream of the contract, such as front=observation.images.top.
        state: Names or indices in observation.state, one for each proprioceptive number of the contract, in its order.
        action: Names or indices in action, one for each action of the contract, in its order.
        action_kind: delta: metres and radians per frame; target: absolute positions in metres; normalised: the
            contract's.
        gripper_open: Value of the gripper action that opens the hand.
        gripper_closed: Value of the gripper action that closes it.
        outcome: Where success is said: in next.success, in next.reward, or the same for all episodes.
        success_reward: With --outcome reward: from this next.reward on, the task counts as done.
        stride: Take every STRIDE-th frame, adding up the motions between them.
        clip: Cut actions that exceed the contract's scale instead of leaving the episode out.
        sender: Who acted, where the dataset does not say.
        workers: Processes; None takes the cores of this machine.
    """
    from world4rl_data.contract import TaskContract
    from world4rl_data.lerobot.import_store import import_dataset
    from world4rl_data.lerobot.mapping import Mapping

    streams = dict(_pair(text) for text in image)
    hand = {"gripper_open": gripper_open, "gripper_closed": gripper_closed}
    success = {"outcome": outcome, "success_reward": success_reward}
    mapping = Mapping(streams, state, action, action_kind, **hand, **success, stride=stride, clip=clip, sender=sender)  # type: ignore[arg-type]
    loaded = None if contract is None else TaskContract.load(contract)
    print(import_dataset(existing(dataset, "dataset"), out, loaded, mapping, workers))


def _pair(text: str) -> tuple[str, str]:
    stream, equals, key = text.partition("=")
    if not (stream and equals and key):
        raise CommandError(f"--image takes STREAM=KEY, such as front=observation.images.top, got '{text}'")
    return stream, key
