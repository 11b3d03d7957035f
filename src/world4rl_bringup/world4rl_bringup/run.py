"""Run a mode of the graph without the ``launch`` package: ``python -m world4rl_bringup.run sim_arm --task push_cube``.

The nodes are those that ``ros2 launch`` would start. Options may also be written as launch arguments
(``task:=push_cube``). Ctrl-C ends the graph in order; a node that ends by itself ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from world4rl_bringup.graph import MODES, graph, notices
from world4rl_bringup.middleware import middleware
from world4rl_bringup.options import OptionError, default_of, help_of, parse_options
from world4rl_bringup.refusals import refusals, unknown_arguments
from world4rl_bringup.running_graph import GraphError, RunningGraph
from world4rl_bringup.spec import NodeSpec

__all__ = ["GraphError", "NodeSpec", "RunningGraph", "graph", "main"]


def build_parser() -> argparse.ArgumentParser:
    """The command line: one sub-command per mode, with the options that the mode reads."""
    parser = argparse.ArgumentParser(prog="world4rl_bringup.run", description=__doc__)
    modes = parser.add_subparsers(dest="mode", required=True, metavar="MODE")
    for name, mode in MODES.items():
        sub = modes.add_parser(name, help=mode.summary, description=mode.summary)
        for option in mode.options:
            default = default_of(option)
            shown = str(default).lower() if isinstance(default, bool) else default
            text = f"{help_of(option)} Default: {'empty' if shown == '' else shown}."
            bare: dict[str, Any] = {"nargs": "?", "const": "true"} if isinstance(default, bool) else {}
            spellings = dict.fromkeys([f"--{option.replace('_', '-')}", f"--{option}"])
            sub.add_argument(*spellings, dest=option, default=argparse.SUPPRESS, metavar="VALUE", help=text, **bare)
        sub.add_argument("--log-dir", type=Path, default=None, help="Folder for logs. Default: log/world4rl/<time>.")
    return parser


def parse(argv: Sequence[str]) -> tuple[str, dict[str, str], Path]:
    """Mode, option texts and log folder of a command line. Ends the program with the usage where it is wrong."""
    parser = build_parser()
    mode = argv[0] if argv and argv[0] in MODES else None
    if mode:
        refused, unknown = unknown_arguments(mode, (word.split(":=")[0] for word in argv[1:] if ":=" in word))
        if refused or unknown:
            parser.error("; ".join(refused + [f"{mode} has no argument {name}" for name in unknown]))
    words = ["--" + word.replace(":=", "=", 1) if ":=" in word and not word.startswith("-") else word for word in argv]
    args = vars(parser.parse_args(words))
    log_dir = args.pop("log_dir") or Path("log/world4rl") / time.strftime("%Y-%m-%d_%H-%M-%S")
    return args.pop("mode"), args, log_dir


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal (exit code 0) or until a node ends (1). Wrong options: 2."""
    mode, texts, log_dir = parse(sys.argv[1:] if argv is None else argv)
    try:
        options = parse_options(texts)
        refused = refusals(mode, options, can_include_driver=False)
        specs = [] if refused else graph(mode, options)
        said = [] if refused else notices(mode, options)
    except OptionError as error:
        refused, specs, said = [str(error)], [], []
    if refused:
        print("\n".join(f"cannot start {mode}: {reason}" for reason in refused), file=sys.stderr)
        return 2
    for text in said:
        print(text, flush=True)
    env = {**os.environ, **middleware(mode, options, os.environ)}
    running = RunningGraph(specs, log_dir, env, autostart=options.autostart, echo=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: running.request_stop())
    try:
        with running:
            running.wait()
    except GraphError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
