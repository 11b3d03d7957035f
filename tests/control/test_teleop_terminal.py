"""Keys from a terminal, on a real pseudo-terminal: single keys come through, and it is given back as it was."""

import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from world4rl_control.teleop_terminal import Terminal


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """(the person's end, the program's end)."""
    person, program = pty.openpty()
    yield person, program
    os.close(person)
    os.close(program)


def _typed(terminal: Terminal, count: int) -> str:
    keys, end = "", time.monotonic() + 5.0
    while len(keys) < count and time.monotonic() < end:
        keys += terminal.read()
    return keys


def test_keys_come_one_by_one_without_enter_and_the_modes_come_back(ends):
    person, program = ends
    before = termios.tcgetattr(program)
    terminal = Terminal(program)
    modes = termios.tcgetattr(program)[3]
    assert not modes & (termios.ICANON | termios.ECHO) and modes & termios.ISIG, "Ctrl-C must still end the node"
    assert terminal.read() == "", "reading does not wait"
    os.write(person, b"ww")
    assert _typed(terminal, 2) == "ww"
    terminal.close()
    assert termios.tcgetattr(program) == before
    terminal.close()


def test_arrow_and_function_keys_are_not_taken_for_letters(ends):
    person, program = ends
    terminal = Terminal(program)
    os.write(person, b"\x1b[A\x1b[3~\x1bOP\x1b[1;5Dw\x1b[ax")  # up, delete, F1, ctrl-left, w, shift-up (rxvt), x
    assert _typed(terminal, 2) == "wx"
    terminal.close()


def test_what_is_no_terminal_is_refused_with_the_way_out():
    with open(os.devnull) as nothing, pytest.raises(ValueError, match="no terminal on standard input"):
        Terminal(nothing.fileno())


def test_a_terminal_that_goes_away_ends_the_reading():
    person, program = pty.openpty()
    terminal = Terminal(program)
    os.close(person)
    with pytest.raises(EOFError, match="terminal is gone"):
        _typed(terminal, 1)
    terminal.close()
    os.close(program)


def test_a_program_that_fails_gives_the_terminal_back(ends):
    _, program = ends
    before = termios.tcgetattr(program)
    code = "from world4rl_control.teleop_terminal import Terminal; Terminal(); raise SystemExit(3)"
    ended = subprocess.run([sys.executable, "-c", code], stdin=program, check=False, timeout=60)
    assert ended.returncode == 3 and termios.tcgetattr(program) == before
