"""The `world4rl` command: finds the command that the words name, reads its options, says known errors in one line."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence

from world4rl.commands.registry import COMMANDS, find
from world4rl_data.partial_folder import FULL

DEBUG = "WORLD4RL_DEBUG"
_SPOKEN = (ValueError, RuntimeError, OSError, LookupError)
_ABOUT_FILES = (FileNotFoundError, PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 where the command found faults; 2 for bad input; 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    found = find(words)
    if found is None:
        return _help(words)
    name, command = found
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends worker processes and the graph, as Ctrl-C does
    try:
        if name == ("run",):  # the graph's options are defined once, in world4rl_bringup
            from world4rl.commands.run import run_words

            return run_words(words[1:])
        import tyro

        function = command.load()
        prog = " ".join(("world4rl", *name))
        config = (tyro.conf.FlagCreatePairsOff,)
        return int(tyro.cli(function, prog=prog, args=words[len(name) :], config=config) or 0)
    except KeyboardInterrupt:
        print("\ninterrupted" + ("; the same command goes on from here" if command.resumes else ""), file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get(DEBUG) or not is_spoken(error):
            raise
        full = isinstance(error, OSError) and error.errno in FULL
        mend = ": free space and give the same command again" if full else ""
        print(f"world4rl {' '.join(name)}: {' '.join(str(error).split())}{mend}", file=sys.stderr)
        return 2


def is_spoken(error: Exception) -> bool:
    """Whether the error is a sentence of this project or the system's about a file or disk; else a fault of ours."""
    if type(error).__module__.split(".")[0].startswith("world4rl"):
        return True
    if isinstance(error, _ABOUT_FILES) or (isinstance(error, OSError) and error.errno in (*FULL, errno.EIO)):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised_in = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    deliberate = isinstance(error, _SPOKEN) and not isinstance(error, KeyError | IndexError)
    return deliberate and raised_in.startswith("world4rl")


def _help(words: list[str]) -> int:
    """The list of commands, or of a group's; for words that name none, what they could have been, on stderr."""
    if words == ["--version"]:
        from importlib.metadata import version

        print(version("world4rl"))
        return 0
    group = {name: command for name, command in COMMANDS.items() if words and name[0] == words[0]}
    rest = words[1:] if group else words
    if rest and rest[0] not in ("-h", "--help", "help"):
        known = ", ".join(" ".join(name) for name in group or COMMANDS)
        asked = " ".join([*words[:1], *rest[:1]] if group else rest[:1])
        print(f"world4rl: no command '{asked}': use one of {known}", file=sys.stderr)
        return 2
    usage = f"{words[0]} COMMAND" if group else "COMMAND"
    print(f"usage: world4rl {usage} [OPTIONS]\n\nLearn in a world model of the robot, on a ROS graph.\n\ncommands:")
    for name, command in (group or COMMANDS).items():
        print(f"  {' '.join(name):<22} {command.summary}")
    print("\n`world4rl COMMAND --help` shows a command's options, their units and defaults.")
    print(f"Where an interrupted command says so, the same again goes on from there. {DEBUG}=1 shows tracebacks.")
    if not group:
        print("First: `world4rl demo`, or docs/quick_start.md, which needs no ROS. The guide: docs/index.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
