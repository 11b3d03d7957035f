"""`explorer` node: random actions for the world model's diet, one per control period, while enabled."""

from __future__ import annotations

import functools
import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_srvs.srv import SetBool

from world4rl_control.clocks_node import settle_clock, timing_clock
from world4rl_control.explorer import ExplorerConfig, RandomExplorer
from world4rl_control.explorer_episodes import EpisodePlan, ExplorerEpisodes, Phase
from world4rl_control.pacing import ObservationPacer
from world4rl_data.contract import TaskContract
from world4rl_data.episode import ActionSource
from world4rl_data.message_types import message_class
from world4rl_data.parameter_messages import describe
from world4rl_data.spin_node import spin_until_shutdown
from world4rl_interfaces.msg import Action, ArmStatus
from world4rl_interfaces.srv import ResetArm, StartEpisode, StopEpisode

_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_LOOK_S = 0.5  # how often an answer that is awaited is looked for
_SHAPE = ExplorerConfig()
_PARAMETERS: dict[str, tuple[Any, ...]] = {
    "contract": ("", "Task contract: a shipped name or the path of a YAML file."),
    "seed": (-1, "Seed of the random actions; -1: a different one every time.", -1, 2**31 - 1),
    "correlation_s": (_SHAPE.correlation_s, "How long the wandering remembers its direction [s].", 0.01, 10.0),
    "amplitude": (_SHAPE.amplitude, "Standard deviation of an action before the clamp to [-1, 1].", 0.0, 2.0),
    "jolt_probability": (_SHAPE.jolt_probability, "Part of the actions that are drawn afresh.", 0.0, 1.0),
    "gripper_hold_s": (_SHAPE.gripper_hold_s, "Mean time between changes of the gripper [s].", 0.1, 60.0),
    "episodes": (0, "Episodes to record after ~/enable; 0: act without recording until disabled.", 0, 100000),
    "episode_s": (0.0, "Length of an episode [s]; 0: nine tenths of the contract's max_episode_s, at which the gate "
                  "stops.", 0.0, 3600.0),
    "reset": (True, "Move the arm to the contract's home before each episode."),
    "answer_timeout_s": (60.0, "Real time after which gate or recorder is no longer waited for [s]; longer than the "
                         "gate's reset_timeout_s.", 1.0, 3600.0),
    "task": ("random exploration", "Task name that the episodes carry."),
}  # fmt: skip
_SERVICES = {
    "reset": (ResetArm, "arm_gate/reset", "is the arm gate running?"),
    "start": (StartEpisode, "start_episode", "is the recorder running and active?"),
    "stop": (StopEpisode, "stop_episode", "is the recorder running and active?"),
}


class ExplorerNode(Node):
    """Publishes `action` (source RANDOM) when a complete new observation has arrived. `~/enable` starts, stops."""

    def __init__(self, parameters: list[Parameter] | None = None) -> None:
        super().__init__("explorer", parameter_overrides=parameters or [])
        settle_clock(self)
        for name, (value, text, *span) in _PARAMETERS.items():
            self.declare_parameter(name, value, describe(text, *span))
        contract = TaskContract.load(self._value("contract"))
        seed = self._value("seed")
        self._frame = contract.base_frame
        shape = ("correlation_s", "amplitude", "jolt_probability", "gripper_hold_s")
        config = ExplorerConfig(**{name: self._value(name) for name in shape})
        self._explorer = RandomExplorer(contract, None if seed < 0 else seed, config)
        self._pacer = ObservationPacer(contract.observation_topics, contract.period_s)
        self._run = ExplorerEpisodes(self._plan(contract))
        self._gate = ArmStatus(enabled=True)  # until it has told: without a gate nothing moves anyway
        self._actions = self.create_publisher(Action, contract.action_topic, 1)
        self._awaited: tuple[Any, Any, float] | None = None  # client, future, and when it is given up [monotonic s]
        self._asked = {what: self.create_client(kind, name) for what, (kind, name, _) in _SERVICES.items()}
        for topic, kind in contract.observation_topics.items():
            # Raw: only that something new came is of interest here, and images are dear to decode.
            heard = functools.partial(self._on_message, topic)
            self.create_subscription(message_class(kind), topic, heard, _NEWEST, raw=True)
        self.create_subscription(ArmStatus, "arm_gate/status", self._on_gate, _LATCHED)
        self.create_service(SetBool, "~/enable", self._on_enable)
        # The clock's own message may come after the observation of the same instant: look again soon.
        self.create_timer(0.2 * contract.period_s, self._act_when_due, clock=timing_clock(self))
        # Steady: who does not answer may be the simulator's end, and with it the clock's.
        self.create_timer(_LOOK_S, self._give_up_when_late, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _plan(self, contract: TaskContract) -> EpisodePlan:
        seconds, limit_s = self._value("episode_s"), contract.max_episode_s
        if seconds >= limit_s:
            raise ValueError(
                f"episode_s is {seconds:g}, but the gate stops at the contract's max_episode_s, {limit_s:g} s"
            )
        return EpisodePlan(self._value("episodes"), seconds or 0.9 * limit_s, self._value("reset"))

    def _on_message(self, topic: str, _raw: bytes) -> None:
        self._pacer.saw(topic)
        self._act_when_due()

    def _on_gate(self, status: ArmStatus) -> None:
        self._gate = status

    def _act_when_due(self) -> None:
        now = self.get_clock().now()
        self._ask(self._run.tick(now.nanoseconds * 1e-9, "" if self._gate.enabled else self._gate.reason))
        if not self._run.acting or not self._pacer.due(now.nanoseconds * 1e-9):
            return
        action = Action(values=self._explorer.act(), source=int(ActionSource.RANDOM))
        action.header.stamp, action.header.frame_id = now.to_msg(), self._frame
        self._actions.publish(action)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success, response.message = True, "stopped"
        if not request.data:
            self._ask(self._run.end("disabled on request"))
            return response
        if self._run.phase is not Phase.IDLE:
            response.success, response.message = self._run.acting, f"{self._run.phase.value} already"
            return response
        if self._run.plan.episodes > 0 and not self._gate.enabled:
            response.success, response.message = False, f"the gate is disabled ({self._gate.reason}): enable it first"
            return response
        missing = f"waits for {', '.join(self._pacer.missing)}" if self._pacer.missing else ""
        self._explorer.reset()
        self._ask(self._run.begin(self._now_s()))
        idle = self._run.phase is Phase.IDLE  # what was asked for could not even be sent
        response.success, response.message = not idle, self._run.message if idle else missing or self._run.phase.value
        return response

    def _ask(self, what: str) -> None:
        """Call a service of the episode's order; its answer leads to the next one."""
        if not what:
            return
        kind, _, hint = _SERVICES[what]
        client = self._asked[what]
        if not client.service_is_ready():
            self._on_answered(False, f"no service {client.srv_name}: {hint}")
            return
        request = kind.Request()
        if what == "start":
            request.task = self._value("task")
        elif what == "stop":
            request.outcome = int(self._run.outcome)
        future = client.call_async(request)
        self._awaited = client, future, time.monotonic() + self._value("answer_timeout_s")
        future.add_done_callback(self._on_answer)

    def _on_answer(self, future: Any) -> None:
        if self._awaited is None or self._awaited[1] is not future:
            return  # it was given up
        self._awaited = None
        if future.exception() is not None:
            self._on_answered(False, f"{future.exception()}")
            return
        answer = future.result()
        self._on_answered(answer.success, answer.message)

    def _give_up_when_late(self) -> None:
        if self._awaited is None or time.monotonic() < self._awaited[2]:
            return
        (client, future, _), self._awaited = self._awaited, None
        client.remove_pending_request(future)
        waited_s = self._value("answer_timeout_s")
        self._on_answered(False, f"{client.srv_name} did not answer in {waited_s:g} s: does its node still run?")

    def _on_answered(self, success: bool, message: str) -> None:
        was = self._run.phase
        self.get_logger().info(f"{was.value}: {message or 'done'}")
        following = self._run.answered(success, message, self._now_s())
        if self._run.acting:
            self._explorer.reset()
        elif self._run.phase is Phase.IDLE:
            self.get_logger().info(f"the explorer rests: {self._run.message}")
        self._ask(following)

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value


def main(args: list[str] | None = None) -> None:
    """Entry point of `ros2 run world4rl_control explorer`."""
    spin_until_shutdown("explorer", ExplorerNode, args)


if __name__ == "__main__":
    main()
