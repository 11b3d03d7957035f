"""Environment that the nodes of a mode need: Fast DDS with shared memory that holds several camera pictures."""

from __future__ import annotations

from collections.abc import Mapping

from world4rl_bringup.options import GraphOptions
from world4rl_bringup.paths import share_file

PROFILE = "config/fastdds_large_messages.xml"
# The second is the name that Humble and Jazzy read.
VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_WITH_CAMERAS = ("real_arm", "driver", "learned", "record")


def middleware(mode: str, options: GraphOptions, env: Mapping[str, str]) -> dict[str, str]:
    """Variables to set beside ``env`` for a mode with real cameras; none where the user chose a profile.

    Without it a picture of 640x480 (0.92 MB) does not fit into Fast DDS's shared memory (512 KiB) and goes over UDP in
    pieces, some of which are lost under load. Other middlewares do not read these variables.
    """
    if mode not in _WITH_CAMERAS or options.use_fake_hardware or any(name in env for name in VARIABLES):
        return {}
    return dict.fromkeys(VARIABLES, str(share_file(PROFILE)))
