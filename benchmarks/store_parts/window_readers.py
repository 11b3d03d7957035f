"""Windows of five pictures for training, from the store and from where the store comes from."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mcap.reader import McapReader, make_reader
from rosbags.typesys import Stores, get_typestore

from world4rl_data.contract_parts import ImageStream
from world4rl_data.image import decode_image, prepare
from world4rl_data.lerobot.dataset import LeRobotDataset
from world4rl_data.lerobot.video import decode
from world4rl_data.store import EpisodeStore
from world4rl_wm.model.frames import FrameWindows

TYPES = get_typestore(Stores.ROS2_HUMBLE)
WINDOW = 5  # pictures: a history of four and the next one
Reader = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Episodes (B,) and first steps (B,) -> uint8 (B, WINDOW, C, H, W)."""


def from_store(store: EpisodeStore, in_memory: int) -> Reader:
    """As training reads them; `in_memory` 0: from the mapped files."""
    windows = FrameWindows(store, range(len(store)), 1, in_memory=in_memory)
    starts = np.array([info.start for info in store.infos])

    def read(episodes: np.ndarray, steps: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(starts[episodes] + steps)
        return windows.frames[rows.unsqueeze(1) + torch.arange(WINDOW)].numpy()

    return read


def from_bags(store: EpisodeStore) -> Reader:
    """Rival: mcap's own reader seeks each window's time in the bag; its newest pictures are decoded and made small."""
    files = [next(Path(info.uri).glob("*.mcap")) for info in store.infos]
    stamps = [np.array(store.array("stamps")[store.rows_of(i)]) for i in range(len(store))]

    def read(episodes: np.ndarray, steps: np.ndarray) -> np.ndarray:
        batch = []
        for episode, step in zip(episodes, steps, strict=True):
            wanted = stamps[episode][step : step + WINDOW]
            with files[episode].open("rb") as file:
                reader = make_reader(file)
                pictures = [_pictures(reader, stream, wanted) for stream in store.contract.images]
            batch.append(np.concatenate(pictures, axis=1))
        return np.stack(batch)

    return read


def _pictures(reader: McapReader, stream: ImageStream, wanted: np.ndarray) -> np.ndarray:
    """The newest picture stamped at or before each of the stamps `wanted` [ns], uint8 (len(wanted), 3, H, W)."""
    span = {"start_time": int(wanted[0]) - 10**8, "end_time": int(wanted[-1]) + 10**8}
    held = [message.data for _, _, message in reader.iter_messages(topics=[stream.topic], **span)]
    times = np.array([struct.unpack_from("<iI", data, 4) for data in held]) @ (10**9, 1)
    newest = np.searchsorted(times, wanted, side="right") - 1
    pictures = []
    for data in (held[i] for i in newest):
        message: Any = TYPES.deserialize_cdr(data, "sensor_msgs/msg/Image")
        picture = decode_image(message.encoding, message.height, message.width, message.step, message.data)
        pictures.append(prepare(picture, stream))
    return np.stack(pictures).transpose(0, 3, 1, 2)


def from_videos(dataset: LeRobotDataset, keys: list[str]) -> Reader:
    """Rival: the same pictures as H.264 in a LeRobot dataset, sought and decoded by PyAV."""

    def read(episodes: np.ndarray, steps: np.ndarray) -> np.ndarray:
        batch = []
        for episode, step in zip(episodes, steps, strict=True):
            row, pictures = dataset.episodes[episode], []
            for key in keys:
                place = {name: row[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index")}
                path = dataset.root / str(dataset.info["video_path"]).format(video_key=key, **place)
                begin = row[f"videos/{key}/from_timestamp"] + step / dataset.fps
                pictures.append(np.stack(list(decode(path, begin, WINDOW, dataset.fps))).transpose(0, 3, 1, 2))
            batch.append(np.concatenate(pictures, axis=1))
        return np.stack(batch)

    return read
