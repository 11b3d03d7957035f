"""Where things lie in a LeRobotDataset v3.0 and what its columns are called.

Source: huggingface/lerobot, src/lerobot/datasets (utils.py, dataset_metadata.py, dataset_writer.py), codebase v3.0.
"""

from __future__ import annotations

from typing import Any

from ..contract import TaskContract

CODEBASE_VERSION = "v3.0"
CHUNKS_SIZE = 1000  # files per chunk folder
DATA_FILE_MB, VIDEO_FILE_MB = 100, 200

INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"

# What LeRobot has no place for. The contract is a file of its own (unknown keys in info.json bring warnings), labels
# are columns of the episodes' table, and the frame columns are not called action... or observation..., because
# LeRobot takes whatever begins so for an input or output of the policy.
OURS = "meta/world4rl.json"
OUR_FORMAT = "world4rl-lerobot-1"
STAMP, ACTION_SOURCE = "world4rl.stamp_ns", "world4rl.action_source"
LABELS = ("episode_id", "source", "outcome", "success_index", "seed", "policy_id", "uri", "digest")

ACTION, STATE, IMAGES = "action", "observation.state", "observation.images."
SUCCESS, DONE, REWARD = "next.success", "next.done", "next.reward"


class LeRobotError(RuntimeError):
    """A dataset that cannot be written or read; the message says what to do."""


def scalar(dtype: str) -> dict[str, Any]:
    """Feature of one number per frame; a column of plain values, though its shape is [1]."""
    return {"dtype": dtype, "shape": [1], "names": None}


INDEX_FEATURES = {
    "timestamp": scalar("float32"),
    "frame_index": scalar("int64"),
    "episode_index": scalar("int64"),
    "index": scalar("int64"),
    "task_index": scalar("int64"),
}


def image_key(stream: str) -> str:
    return f"{IMAGES}{stream}"


def label(name: str) -> str:
    """Column of the episodes' table for one of LABELS."""
    return f"world4rl/{name}"


def state_names(contract: TaskContract) -> list[str]:
    """Name of each proprioceptive number: stream and field, such as `position.pose.position.x`."""
    return [f"{stream.name}.{field}" for stream in contract.proprioception for field in stream.fields]


def vector_features(contract: TaskContract) -> dict[str, Any]:
    """Features that are numbers, in the order of the data table's columns (without LeRobot's own index columns)."""
    features: dict[str, Any] = {
        ACTION: {"dtype": "float32", "shape": [contract.action_dim], "names": list(contract.action_names)}
    }
    if contract.proprio_dim:
        features[STATE] = {"dtype": "float32", "shape": [contract.proprio_dim], "names": state_names(contract)}
    features |= {REWARD: scalar("float32"), DONE: scalar("bool"), SUCCESS: scalar("bool")}
    features |= {STAMP: scalar("int64"), ACTION_SOURCE: scalar("int64")}
    return features


def next_file(chunk: int, file: int) -> tuple[int, int]:
    """Chunk and file index after these."""
    return (chunk + 1, 0) if file == CHUNKS_SIZE - 1 else (chunk, file + 1)


def info(
    contract: TaskContract, fps: int, episodes: int, frames: int, tasks: int, videos: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Contents of meta/info.json. `videos`: image key -> feature."""
    return {
        "codebase_version": CODEBASE_VERSION,
        "robot_type": contract.robot,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNKS_SIZE,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA,
        "video_path": VIDEO,
        "features": {**videos, **vector_features(contract), **INDEX_FEATURES},
    }
