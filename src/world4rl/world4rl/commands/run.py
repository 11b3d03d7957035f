"""`world4rl run MODE`: the ROS graph without the `launch` package."""

from __future__ import annotations

from collections.abc import Sequence

from world4rl.errors import CommandError


def run_words(words: Sequence[str]) -> int:
    """Run a mode of the graph; its options, as words, are those of world4rl_bringup.run."""
    try:
        from world4rl_bringup.run import main
    except ModuleNotFoundError as error:
        raise CommandError(f"the graph needs ROS 2 and world4rl_bringup, but {error.name} is missing") from error
    return main(list(words))
