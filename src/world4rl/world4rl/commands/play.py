"""`world4rl play`: steer a dream."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from world4rl.commands.common import SeedOption
from world4rl.commands.dream_models import (
    DeviceOption,
    DreamFolders,
    DreamModels,
    EnsembleOption,
    RewardOption,
    RunOption,
    StoreOption,
    WorldModelOption,
    reward_folder,
)
from world4rl.errors import CommandError

if TYPE_CHECKING:
    from world4rl.play.hands import Hand
    from world4rl.play.ros_node import PlayNode
    from world4rl.play.views import View, WindowView
    from world4rl_data.contract import TaskContract


def play(
    run: RunOption = None,
    store: StoreOption = None,
    world_model: WorldModelOption = None,
    reward: RewardOption = None,
    ensemble: EnsembleOption = (),
    episode: int | None = None,
    actions: Path | None = None,
    joystick: Path | None = None,
    joy: str | None = None,
    policy: Path | None = None,
    view: Literal["auto", "window", "terminal", "line"] = "auto",
    out: Path | None = None,
    ros: bool = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Steer the world model's dream by hand and see what it shows, with success probability and uncertainty.

    One step for each action, at the robot's pace at most; while nothing is held the dream waits. The keys are those of
    teleoperation, listed at the start. Works without a display (the terminal shows the frames) and without ROS.

    Args:
        episode: Index of the episode whose first frame the dream starts from; None: a random one.
        actions: File of actions instead of a keyboard: .npy (steps, dimensions), or .csv with a row per step.
        joystick: Device of a joystick instead of a keyboard, such as /dev/input/js0 (Linux).
        joy: Topic of sensor_msgs/Joy instead of a keyboard, such as /joy; needs ROS.
        policy: Policy checkpoint that can be given the dream.
        view: window (OpenCV), terminal (coloured characters), line (text alone); auto takes the first that works.
        out: MP4 of all that is shown; None: none beside a window, else play.mp4. Clips get -1, -2 ... in its name.
        ros: Also publish to /world4rl/play/frames, success_probability and uncertainty.
    """
    from world4rl.play.hands import ActionFile
    from world4rl.play.loop import Play
    from world4rl.play.session import PlaySession
    from world4rl.play.views import FilmView
    from world4rl_policy.actor_critic import GaussianPolicy
    from world4rl_wm.model.frames import StartStates

    if sum(hand is not None for hand in (actions, joystick, joy)) > 1:
        raise CommandError("give one of --actions, --joystick and --joy")
    folders = DreamFolders.find(run, store, world_model, ensemble)
    models = DreamModels.load(folders, reward_folder(run, reward), device)
    data, contract = models.data, models.data.contract
    if episode is not None and not 0 <= episode < len(data):
        raise CommandError(f"--episode must be 0 to {len(data) - 1}, got {episode}")
    actor = None if policy is None else GaussianPolicy.load(policy, models.world_model.device, contract)
    starts = StartStates.of(data, range(len(data)))
    session = PlaySession(models.world_model, models.judge, models.ensemble, starts, seed, episode)
    print(f"uncertainty: {models.told}")
    with ExitStack() as stack:
        window, shown = _window(view, stack)
        node = _node(stack) if ros or joy is not None else None
        if actions is not None:
            hand: Hand = ActionFile(actions, contract)
        elif joystick is not None:
            hand = _joystick(joystick, contract, stack)
        elif joy is not None:
            hand = _joy(node, contract, joy)
        else:
            hand = _keyboard(contract, window, stack)
        views: list[View] = [shown]
        film = out or (None if window else Path("play.mp4"))
        if film is not None:
            written = FilmView(film, contract.control_rate_hz)
            stack.callback(written.close)
            views.append(written)
        if ros:
            from world4rl.play.ros_node import TopicsView

            assert node is not None  # made above
            views.append(TopicsView(node))
        clips = film or (Path() if run is None else run / "clips") / "play.mp4"
        steps = Play(session, hand, views, clips, actor).run()
    print(f"{steps} steps dreamt{'' if film is None else f'; {film}'}")


def _window(view: str, stack: ExitStack) -> tuple[WindowView | None, View]:
    """The window, where there is one, and what shows the dream."""
    from world4rl.play.views import LineView, TerminalView, WindowView

    if view in ("auto", "window"):
        try:
            window = WindowView()
        except RuntimeError as error:
            if view == "window":
                raise CommandError(f"no window: {error}; or use --view terminal") from error
            print(f"no window: {error}")
        else:
            stack.callback(window.close)
            return window, window
    if view == "terminal" or (view == "auto" and sys.stdout.isatty()):
        if not sys.stdout.isatty():
            raise CommandError("--view terminal needs a terminal on standard output: use --view line")
        return None, TerminalView()
    return None, LineView()


def _node(stack: ExitStack) -> PlayNode:
    try:
        from world4rl.play.ros_node import PlayNode
    except ImportError as error:
        raise CommandError(f"--joy and --ros need ROS: source it and install/setup.bash ({error})") from error
    node = PlayNode()
    stack.callback(node.close)
    return node


def _joystick(device: Path, contract: TaskContract, stack: ExitStack) -> Hand:
    from world4rl.play.joystick import JoystickHand

    try:
        hand = JoystickHand(device, contract)
    except OSError as error:
        raise CommandError(f"cannot read the joystick ({error}): is it there, and may you read it?") from error
    stack.callback(hand.close)
    return hand


def _joy(node: PlayNode | None, contract: TaskContract, topic: str) -> Hand:
    from world4rl.play.ros_node import JoyHand

    assert node is not None  # made for it
    return JoyHand(node, contract, topic)


def _keyboard(contract: TaskContract, window: WindowView | None, stack: ExitStack) -> Hand:
    """The keys of the window and of the terminal, which is given back at the end."""
    from world4rl.play.hands import KeyboardHand, key_help

    sources = [] if window is None else [window.keys]
    if sys.stdin.isatty():
        from world4rl_control.teleop_terminal import Terminal

        terminal = Terminal()
        stack.callback(terminal.close)
        sources.append(terminal.read)
    if not sources:
        raise CommandError("there is no keyboard: start it in a terminal, or give --actions, --joystick or --joy")
    print(key_help(contract))
    return KeyboardHand(contract, lambda: "".join(read() for read in sources))
