"""Playing in a dream: the same actions and seed give the same dream, and keys do what the list at the start says."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from dream_rig import CONTRACT, policy, press_run, press_store, reward_model, world_model

from world4rl.cli import main
from world4rl.play.hands import ActionFile, KeyboardHand, Order, Wish, key_help
from world4rl.play.joystick import JoystickHand
from world4rl.play.loop import Play
from world4rl.play.picture import play_picture
from world4rl.play.session import Moment, PlaySession
from world4rl.play.views import TerminalView, half_blocks
from world4rl_wm.imagination.dream import Dream
from world4rl_wm.model.frames import StartStates, to_uint8
from world4rl_wm.uncertainty.ensemble import Ensemble
from world4rl_wm.uncertainty.kind import UncertaintyKind

AHEAD = np.array([1, 0, 0], np.float32)


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> StartStates:
    return StartStates.of(press_store(tmp_path_factory.mktemp("play") / "store"), range(4))


def session(starts: StartStates, seed: int = 3, first: int | None = None) -> PlaySession:
    return PlaySession(world_model(), reward_model(), Ensemble((world_model(5),)), starts, seed, first)


# -- the dream -------------------------------------------------------------------------------------------------------


def test_a_play_is_the_world_models_dream(starts: StartStates) -> None:
    played = session(starts, seed=7, first=2)
    dream = Dream.from_start(world_model(), starts[2:3], 7)
    assert np.array_equal(played.moments[0].frame, starts.frames[2].numpy()) and played.moments[0].uncertainty == 0
    for number in range(1, 4):
        moment = played.step(AHEAD * 5)  # clamped
        expected = to_uint8(dream.step(torch.from_numpy(AHEAD).unsqueeze(0)))[0].numpy()
        assert np.array_equal(moment.frame, expected) and moment.step == number
        assert 0 <= moment.success <= 1 and moment.uncertainty > 0
    assert len(played.moments) == 4


def test_seed_and_actions_decide_everything(starts: StartStates) -> None:
    def played(seed: int) -> list[Moment]:
        game = session(starts, seed)
        seen = list[Moment]()
        for _ in range(3):
            game.step(AHEAD)
            seen += game.moments
            game.new_start()
        return seen

    def same(one: list[Moment], other: list[Moment]) -> bool:
        return all(np.array_equal(a.frame, b.frame) and a.success == b.success for a, b in zip(one, other))

    assert same(played(1), played(1)) and not same(played(1), played(2))


def test_reset_repeats_the_dream_and_a_new_start_does_not(starts: StartStates) -> None:
    game = session(starts, first=1)
    first = game.step(AHEAD)
    game.reset()
    assert len(game.moments) == 1 and np.array_equal(game.step(AHEAD).frame, first.frame)
    rows = {game.row for _ in range(20) if game.new_start()}
    assert len(rows) > 2


# -- hands -----------------------------------------------------------------------------------------------------------


def test_keys_move_and_order_and_let_go() -> None:
    typed, now = [""], [10.0]
    hand = KeyboardHand(CONTRACT, lambda: typed[0], lambda: now[0])
    assert hand.poll() == Wish(), "nothing held: the dream waits"
    typed[0] = "wd"
    action = hand.poll().action
    assert action is not None and action.tolist() == [1, -1, 0]
    typed[0], now[0] = "", 10.1
    assert hand.poll().action is not None, "until the key would have repeated"
    now[0] = 10.5
    assert hand.poll().action is None
    typed[0] = " "
    still = hand.poll().action
    assert still is not None and not still.any()
    for key, order in {"c": Order.RESET, "t": Order.NEW_START, "y": Order.SAVE, "b": Order.POLICY}.items():
        typed[0], now[0] = key, now[0] + 5
        assert hand.poll() == Wish((order,))


def test_the_end_of_the_keyboard_quits() -> None:
    def gone() -> str:
        raise EOFError

    assert KeyboardHand(CONTRACT, gone).poll().orders == (Order.QUIT,)


def test_the_list_of_keys_names_what_the_contract_has_and_every_order() -> None:
    text = key_help(CONTRACT)
    assert all(f"{name} + / -" in text for name in CONTRACT.action_names) and "gripper" not in text and "rx" not in text
    assert all(order.value in text for order in Order)


@pytest.mark.parametrize("name", ["a.npy", "a.csv"])
def test_actions_come_from_a_file_and_end(tmp_path: Path, name: str) -> None:
    table = np.array([[0.5, 0, -1], [0, 1, 0]])
    np.save(tmp_path / name, table) if name == "a.npy" else np.savetxt(tmp_path / name, table, delimiter=",")
    hand = ActionFile(tmp_path / name, CONTRACT)
    for row in table:
        action = hand.poll().action
        assert action is not None and action.tolist() == row.tolist()
    assert hand.poll().orders == (Order.QUIT,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2", "row per step with the columns dx, dy, dz"),
        ("0,0,1.5", "action 0, dz is 1.5"),
        ("0,0,nan", "dz is nan"),
        ("dx,dy,dz", "holds no table of actions"),
    ],
)
def test_files_that_are_no_actions_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text + "\n")
    with pytest.raises(ValueError, match=message):
        ActionFile(tmp_path / "a.csv", CONTRACT)


def test_a_joystick_steers_while_its_dead_man_is_held(tmp_path: Path) -> None:
    """Events of the Linux kernel, through a pipe: sticks push away from the person and to the left are positive."""
    device = tmp_path / "js0"
    os.mkfifo(device)
    hand = JoystickHand(device, CONTRACT, lambda: 10.0)
    kernel = os.open(device, os.O_WRONLY)

    def told(*events: tuple[int, int, int]) -> Wish:
        for kind, number, value in events:
            os.write(kernel, struct.pack("IhBB", 0, value, kind, number))
        return hand.poll()

    button, axis, initial = 1, 2, 0x80
    states = [(button | initial, n, 0) for n in range(11)] + [(axis | initial, n, 0) for n in range(8)]
    assert told(*states) == Wish() and told((axis, 1, -32767)) == Wish(), "no dead-man, no motion"
    moved = told((button, 4, 1)).action
    assert moved is not None and moved.tolist() == [1, 0, 0]
    moved = told((axis, 1, 0), (axis, 0, -32767), (axis, 4, 32767)).action
    assert moved is not None and moved.tolist() == [0, 1, -1]
    assert told((button, 4, 0)).action is None
    assert told((button, 7, 1), (button, 7, 0), (button, 6, 1)).orders == (Order.NEW_START, Order.RESET)
    os.close(kernel)
    assert hand.poll().orders == (Order.QUIT,), "pulled out"
    hand.close()


# -- the loop --------------------------------------------------------------------------------------------------------


class Script:
    """A hand that wishes what a list says, then quits."""

    live = False

    def __init__(self, *wishes: Wish) -> None:
        self._wishes = iter(wishes)

    def poll(self) -> Wish:
        return next(self._wishes, Wish((Order.QUIT,)))


class Notes:
    """A view that keeps step and note."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []

    def show(self, moments: list[Moment], kind: UncertaintyKind, note: str) -> None:
        self.seen.append((moments[-1].step, note))


def test_orders_are_done_and_the_policy_acts_until_somebody_moves(starts: StartStates, tmp_path: Path) -> None:
    view, move = Notes(), Wish(action=AHEAD)
    wishes = [move, Wish((Order.POLICY,)), Wish(), move, Wish(), Wish((Order.SAVE,)), Wish((Order.RESET,)), move]
    waited: list[float] = []
    game = Play(session(starts, first=0), Script(*wishes), [view], tmp_path / "clip.mp4", policy(), waited.append)
    assert game.run() == 5 and len(waited) == 3
    acts = "the policy acts"
    saved = f"saved {tmp_path / 'clip-1.mp4'}"
    expected = [(0, "start 0"), (1, ""), (1, acts), (2, acts), (3, acts), (4, ""), (4, saved), (0, "start 0"), (1, "")]
    assert view.seen == expected
    with av.open(str(tmp_path / "clip-1.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5


def test_without_a_policy_the_order_says_so(starts: StartStates, tmp_path: Path) -> None:
    view = Notes()
    Play(session(starts), Script(Wish((Order.POLICY,)), Wish()), [view], tmp_path / "a.mp4", None, lambda s: None).run()
    assert view.seen[-1][1].startswith("no policy is loaded: start with --policy")


# -- views -----------------------------------------------------------------------------------------------------------


def test_pictures_keep_their_size_and_show_the_frame() -> None:
    frame = np.full((6, 32, 32), 200, np.uint8)
    moments = [Moment(i, frame, 0.5, 0.01 * i) for i in range(80)]
    for kind in UncertaintyKind:
        shapes = {play_picture(moments[:n], kind, "x").shape for n in (1, 2, 80)}
        assert len(shapes) == 1
    picture = play_picture(moments, UncertaintyKind.NONE)
    assert (picture[24:344, :640] == 200).all()


def test_without_a_display_a_window_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["play", "--run", str(press_run(tmp_path / "run")), "--view", "window", "--device", "cpu"]) == 2
    assert "no window: there is no display (DISPLAY is not set); or use --view terminal" in capsys.readouterr().err


def test_terminal_shows_two_pixels_in_a_character() -> None:
    picture = np.zeros((2, 1, 3), np.uint8)
    picture[0], picture[1] = (1, 2, 3), (4, 5, 6)
    assert half_blocks(picture) == ["\x1b[38;2;1;2;3m\x1b[48;2;4;5;6m▀\x1b[0m"]
    out = io.StringIO()
    view = TerminalView(out, columns=40)
    for step in range(2):
        moment = Moment(step, np.zeros((6, 32, 32), np.uint8), 0.25, 0.5)
        view.show([moment], UncertaintyKind.DISAGREEMENT, "note")
    first, second = out.getvalue().split("\x1b[10A")  # 9 lines of 39 characters and the line of text, drawn over
    assert first.count("▀") == second.count("▀") == 9 * 39
    assert "step    1  success 0.25" in second


# -- the command -----------------------------------------------------------------------------------------------------


def test_actions_from_a_file_make_a_film_twice_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = press_run(tmp_path / "run")
    np.save(tmp_path / "a.npy", np.zeros((4, 3)))
    films = []
    for name in ("one", "two"):
        out = tmp_path / f"{name}.mp4"
        words = ["play", "--run", str(run), "--actions", str(tmp_path / "a.npy"), "--out", str(out), "--view", "line"]
        assert main([*words, "--episode", "1", "--seed", "5", "--device", "cpu"]) == 0
        assert f"4 steps dreamt; {out}" in capsys.readouterr().out
        with av.open(str(out)) as container:
            films.append(np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]))
    assert len(films[0]) == 5 and np.array_equal(*films)


def test_without_a_keyboard_the_mend_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["play", "--run", str(press_run(tmp_path / "run")), "--view", "line", "--device", "cpu"]) == 2
    assert "start it in a terminal, or give --actions, --joystick or --joy" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.mp4"))


def test_a_person_at_a_terminal_plays(tmp_path: Path) -> None:
    """The program itself on a pseudo-terminal: keys typed, pictures drawn, the clip saved, the terminal given back."""
    press_run(tmp_path / "run")
    person, program = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")} | {"COLUMNS": "100"}
    words = [sys.executable, "-m", "world4rl", "play", "--run", "run", "--view", "terminal", "--device", "cpu"]
    done = subprocess.Popen(words, stdin=program, stdout=program, stderr=program, cwd=tmp_path, env=env)
    os.close(program)
    screen = ""

    def until(pattern: str, typed: str = "") -> None:
        nonlocal screen
        end = time.monotonic() + 60
        while not re.search(pattern, screen):
            assert time.monotonic() < end and done.poll() is None, screen
            os.write(person, typed.encode())
            if select.select([person], [], [], 0.05)[0]:
                screen += os.read(person, 65536).decode(errors="replace")
        screen = ""

    until(r"step +0 ")
    until(r"step +3 .*success", typed="w")
    until(r"saved play-1\.mp4", typed="y")
    os.write(person, b"x")
    while done.poll() is None and select.select([person], [], [], 60)[0]:
        try:
            screen += os.read(person, 65536).decode(errors="replace")
        except OSError:  # the terminal's other end is closed
            break
    assert done.wait(60) == 0, screen
    os.close(person)
    assert (tmp_path / "play.mp4").is_file() and (tmp_path / "play-1.mp4").is_file()
