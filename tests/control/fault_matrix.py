"""The fault matrix as data: each fault, how it is caused, what the gate must do, and the table that says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from arm_rig import CAMERAS, STATE, ArmRig
from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped

from world4rl_interfaces.msg import Action

TABLE = Path(__file__).resolve().parents[2] / "docs/fault_matrix.md"
PERIOD_S = 0.1  # of the contract franka_sim_press
WITHIN_S = 2 * PERIOD_S

Reaction = Literal["hold", "stop", "drop", "limit"]
MEANING: dict[Reaction, str] = {
    "hold": "hold: no further target; goes on by itself when the cause is gone",
    "stop": "latched stop: disabled until `~/enable`, told to stay at the measured pose where that is known",
    "drop": "the action is dropped and counted; the next good one is applied",
    "limit": "the action is cut to the limits; `executed_action` says what was done",
}


class MatrixRig(ArmRig):
    """The rig with a driver's robot state, and a policy that asks for small moves at the control rate."""

    def __init__(self) -> None:
        self.state_speaks, self.mode, self.driving = True, 2, False
        self.rival = None
        super().__init__()
        self.follow = True
        self._state = self.create_publisher(FrankaRobotState, f"{STATE}/robot_state", 1)
        self.statuses: list[tuple[float, bool, str]] = []  # gate's time of publication, enabled, reason
        self._sign = 1.0
        self.create_timer(PERIOD_S, self._drive)

    def _speak(self) -> None:
        super()._speak()
        if self.state_speaks:
            self._state.publish(FrankaRobotState(robot_mode=self.mode))

    def _drive(self) -> None:
        if self.driving:
            self._sign = -self._sign
            self.send([0.3 * self._sign, 0.0, 0.0])

    def send(self, values: list[float], late_s: float = 0.0) -> None:
        """Publish one action of the policy; `late_s` old."""
        action = Action(values=values, source=Action.POLICY, policy_id="matrix")
        nanoseconds = self.get_clock().now().nanoseconds - round(late_s * 1e9)
        action.header.stamp.sec, action.header.stamp.nanosec = divmod(nanoseconds, 1_000_000_000)
        self.actions.publish(action)

    def pause(self) -> None:
        """The policy says nothing for two periods, so that the next action is not an early one."""
        self.driving = False
        self.spin(2 * PERIOD_S)

    def _on_status(self, status) -> None:  # type: ignore[no-untyped-def]
        super()._on_status(status)
        stamp = status.header.stamp
        self.statuses.append((stamp.sec + 1e-9 * stamp.nanosec, status.enabled, status.reason))

    def mend(self) -> None:
        """Everything in order again, apart from the gate."""
        self.speaking, self.state_speaks, self.mode, self.silent = True, True, 2, set()
        if self.rival is not None:
            self.destroy_publisher(self.rival)
            self.rival = None


@dataclass(frozen=True)
class Fault:
    """`limit_s` after its cause the fault can be told from a mere delay; from then on the reaction's time counts."""

    name: str
    reaction: Reaction
    says: str  # part of the reason on ~/status; empty for "limit"
    cause: Callable[[MatrixRig], None]
    limit_s: float = 0.0
    limit: str = "at once"
    mend: str = "—"


def _silent_camera(rig: MatrixRig) -> None:
    rig.silent = {CAMERAS[0]}


def _silent_state(rig: MatrixRig) -> None:
    rig.state_speaks = False


def _nan(rig: MatrixRig) -> None:
    rig.send([float("nan"), 0.0, 0.0])


def _out_of_range(rig: MatrixRig) -> None:
    rig.send([50.0, -50.0, 50.0])


def _jump_of_the_action(rig: MatrixRig) -> None:
    rig.send([1.0, 0.0, 0.0])
    rig.spin(1.1 * PERIOD_S)
    rig.send([-1.0, 0.0, 0.0])


def _jump_of_the_pose(rig: MatrixRig) -> None:
    rig.follow = False
    rig.position = rig.position + np.array([0.0, 0.6, 0.0])  # also far for a pose that comes late


def _late(rig: MatrixRig) -> None:
    rig.send([0.5, 0.0, 0.0], late_s=1.0)


def _source_dies(rig: MatrixRig) -> None:
    rig.send([0.1, 0.0, 0.0])


def _two_publishers(rig: MatrixRig) -> None:
    rig.rival = rig.create_publisher(PoseStamped, "/target_pose", 1)


def _reflex(rig: MatrixRig) -> None:
    rig.mode = 4


def _driver_gone(rig: MatrixRig) -> None:
    rig.speaking = rig.state_speaks = False
    rig.silent = set()


FAULTS = (
    Fault("silent camera", "hold", "nothing on /camera", _silent_camera, 0.25, "the stream's `timeout_s`, 0.25 s",
          "start the camera's driver"),
    Fault("silent state", "stop", "robot_state silent", _silent_state, 1.0, "`driver_timeout_s`, 1 s",
          "restart the driver, `~/enable`"),
    Fault("NaN", "drop", "not finite", _nan, mend="mend the source"),
    Fault("out-of-range action", "limit", "", _out_of_range),
    Fault("jump of the action", "limit", "", _jump_of_the_action),
    Fault("jump of the measured pose", "stop", "jumped", _jump_of_the_pose, mend="see what publishes it, `~/enable`"),
    Fault("late action", "drop", "late action", _late, mend="a quicker source, or synchronised clocks"),
    Fault("source dies", "hold", "no usable action", _source_dies, 0.5, "`action_timeout_s`, 0.5 s",
          "start the source again"),
    Fault("two publishers", "stop", "other publisher", _two_publishers, mend="end the other one, `~/enable`"),
    Fault("reflex mode", "stop", "reflex", _reflex, mend="`~/recover`, then `~/enable`"),
    Fault("driver gone", "hold", "no measured pose", _driver_gone, 0.25, "pose older than 0.25 s", "see the next line"),
    Fault("driver gone for long", "stop", "driver lost", _driver_gone, 1.0, "`driver_timeout_s`, 1 s",
          "restart the driver, `~/enable`"),
)  # fmt: skip
ENDED = (
    "gate told to end (SIGINT, SIGTERM)",
    "at once",
    "told to stay at the measured pose where that is known; the next gate starts disabled",
    "start it again, `~/enable`",
)
KILLED = (
    "gate killed and restarted",
    "at once",
    "no target after the kill; the new gate starts disabled",
    "`~/enable`",
)

_HEAD = """# Fault matrix

What the safety gate does when something fails, seen over DDS against doubles of the driver, the cameras and a policy
that acts at 10 Hz. This page is written by a test, which fails when a reaction is another one or takes more than 2
control periods (0.2 s) from the moment at which the fault can be known:

```bash
WORLD4RL_WRITE_FAULT_MATRIX=1 make test ARGS=tests/control/test_fault_matrix.py
```

"Known after" is the limit that lies between the cause and that moment: silence is a fault only once it lasts. The times
are of one run, to the message on `~/status` or the target, and of two signals the slower one's; no real arm was there.
What the words mean: [safety.md](safety.md).

| fault | known after | reaction | mended by | time [ms] |
|---|---|---|---|---|
"""


def row(fault: Fault, seconds: float) -> tuple[str, ...]:
    return (fault.name, fault.limit, MEANING[fault.reaction], fault.mend, f"{1000 * seconds:.0f}")


def write_table(rows: list[tuple[str, ...]]) -> None:
    TABLE.write_text(_HEAD + "".join(f"| {' | '.join(cells)} |\n" for cells in rows), encoding="utf-8")


def committed_rows() -> list[tuple[str, ...]]:
    """The committed table's cells, without its head."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[1:]]


def wall_s() -> float:
    """The clock of the messages' stamps [s]."""
    return time.time()
