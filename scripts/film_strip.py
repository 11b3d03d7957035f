"""A strip of pictures out of a run's clip: the real frames above, the imagined ones below, time to the right.

python scripts/film_strip.py runs/demo/clips/success-dreamed-as-success-1.mp4 docs/pictures/success.webp
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import cv2
import numpy as np

COLUMNS = 4
TOP, GAP = 24, 4  # pixels: a clip's line of text above each picture; between the strip's pictures


def strip(clip: Path) -> np.ndarray:
    """uint8 RGB (height, width, 3). A clip shows real and imagined frame side by side, the probability below."""
    with av.open(str(clip)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    height, width, _ = frames[0].shape
    half = (width - 8) // 2  # 8 pixels between the two
    picture = half // 2  # two square cameras side by side
    columns = []
    for index in np.linspace(0, len(frames) - 1, COLUMNS).round().astype(int):
        real = frames[index][TOP : TOP + picture, :half]
        imagined = frames[index][TOP : TOP + picture, width - half :]
        probability = frames[index][TOP + picture : height, width - half :]
        line = np.full((GAP, half, 3), 255, np.uint8)
        columns += [np.concatenate([real, line, imagined, probability]), None]
    space = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([space if column is None else column for column in columns[:-1]], axis=1)


if __name__ == "__main__":
    picture = cv2.cvtColor(strip(Path(sys.argv[1])), cv2.COLOR_RGB2BGR)
    cv2.imwrite(sys.argv[2], picture, [cv2.IMWRITE_WEBP_QUALITY, 75])
