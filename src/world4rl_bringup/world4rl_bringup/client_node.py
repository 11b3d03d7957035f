"""`World4RLClient`: the graph from a script. Blocking calls, typed answers, errors that say what to do."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import ArrayLike
from std_srvs.srv import SetBool, Trigger

from world4rl_bringup import client_messages as messages
from world4rl_bringup.client_link_node import ClientLink
from world4rl_bringup.client_types import (
    ArmState,
    ClientError,
    Imagination,
    Live,
    NotThere,
    PolicyState,
    Progress,
    RecorderState,
    Refused,
    Start,
    StartedEpisode,
)
from world4rl_data.episode import Outcome
from world4rl_data.file_address import path_of
from world4rl_interfaces.action import ImagineRollouts
from world4rl_interfaces.msg import ArmStatus, EpisodeStatus, PolicyStatus
from world4rl_interfaces.srv import ImagineRollout, LoadCheckpoint, ResetArm, StartEpisode, StopEpisode

_ARM, _POLICY, _RECORDER = "arm_gate/status", "policy/status", "recorder/status"


class World4RLClient:
    """Records, imagines, loads and enables from a script, beside any other use of ROS in the process.

    It brings a ROS context, a node and a thread of its own, so it works whether or not the caller has called
    ``rclpy.init`` (then in the caller's domain), and from any thread or callback. Close it, or use it in a ``with``.

    Every method raises, all of them :class:`ClientError`: :class:`NotThere` (the message names the node to start),
    :class:`Refused` (the node's own message), :class:`NoAnswer` (in `timeout_s`, which counts finding the service too).

    Args:
        namespace: where World4RL's nodes stand.
        timeout_s: for calls that do not give their own [s].
        name: of this client's node.
        domain_id: of the graph; None: the caller's, else ``ROS_DOMAIN_ID``.
    """

    def __init__(
        self,
        namespace: str = "world4rl",
        timeout_s: float = 30.0,
        name: str = "world4rl_client",
        domain_id: int | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self._recorded = ""  # the uri of the last episode that this client has started
        self._link = ClientLink("/" + namespace.strip("/"), name, domain_id)
        for kind, topic in ((ArmStatus, _ARM), (PolicyStatus, _POLICY), (EpisodeStatus, _RECORDER)):
            self._link.follow(kind, topic)

    def __enter__(self) -> World4RLClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the client's thread and node; nothing on the graph changes. Safe to call twice."""
        self._link.close()

    # -- episodes ------------------------------------------------------------------------------------------------

    def start_episode(
        self, task: str = "", operator_id: str = "", note: str = "", *, timeout_s: float | None = None
    ) -> StartedEpisode:
        """Begin to record. `task` empty: the contract's name."""
        request = StartEpisode.Request(task=task, operator_id=operator_id, note=note)
        self._recorded = ""
        answer = self._ask(StartEpisode, "start_episode", request, timeout_s)
        self._recorded = answer.uri
        return StartedEpisode(answer.episode_id, Path(answer.uri))

    def stop_episode(self, outcome: Outcome, note: str = "", *, timeout_s: float | None = None) -> Path:
        """End the episode with its label; the folder of the closed bag.

        After NoAnswer call it again: an episode of this client that was saved with that label meanwhile is no error.
        """
        request = StopEpisode.Request(outcome=int(outcome), note=note)
        answer = self._link.call(StopEpisode, "stop_episode", request, self._seconds(timeout_s))
        saved = answer.uri != "" and answer.uri == self._recorded  # by a request before this one
        return Path(answer.uri if saved else self._granted("stop_episode", answer).uri)

    def discard_episode(self, *, timeout_s: float | None = None) -> str:
        """End the episode and throw it away; the recorder's message."""
        return self._ask(Trigger, "discard_episode", Trigger.Request(), timeout_s).message

    # -- the arm -------------------------------------------------------------------------------------------------

    def enable_arm(self, *, timeout_s: float | None = None) -> str:
        """The gate lets actions through from now on; the gate's message."""
        return self._enable("arm_gate/enable", True, timeout_s)

    def disable_arm(self, *, timeout_s: float | None = None) -> str:
        """The gate holds the arm and lets nothing through."""
        return self._enable("arm_gate/enable", False, timeout_s)

    def disable(self, *, timeout_s: float | None = None) -> None:
        """Stop everything that moves: the gate first, then the policy where there is one. No emergency stop.

        The policy is asked whatever became of the gate. Where both fail the gate's error is raised, from the policy's.
        """
        try:
            self.disable_arm(timeout_s=timeout_s)
        except BaseException as gates:  # Ctrl-C too
            try:
                self._silence_policy()
            except ClientError as policys:
                raise gates from policys
            raise
        self._silence_policy()

    def _silence_policy(self) -> None:
        with contextlib.suppress(NotThere):  # a graph without a policy
            self.disable_policy(timeout_s=1.0)

    def release(self, *, timeout_s: float | None = None) -> str:
        """A human hands the arm back: the next source that speaks has it."""
        return self._ask(Trigger, "arm_gate/release", Trigger.Request(), timeout_s).message

    def reset(self, *, seed: int | None = None, pose: str = "", timeout_s: float | None = None) -> None:
        """Without `seed`: the gate drives the arm to a pose of the contract (empty: home) and it has arrived.

        With `seed` (simulator only): the scene is drawn anew, and the arm put to `pose`.
        """
        name = "arm_gate/reset" if seed is None else "sim_arm/reset"
        request = ResetArm.Request(pose=pose) if seed is None else ResetArm.Request(pose=pose, seed=seed)
        self._ask(ResetArm, name, request, timeout_s)

    def recover(self, *, timeout_s: float | None = None) -> str:
        """After a reflex: the driver's error recovery. The gate stays disabled; look before `enable_arm`."""
        return self._ask(Trigger, "arm_gate/recover", Trigger.Request(), timeout_s).message

    # -- the policy ----------------------------------------------------------------------------------------------

    def load_policy(self, uri: str | Path, *, timeout_s: float | None = None) -> str:
        """Have the policy node load a checkpoint folder; the hash of its contract. The old one stays on failure."""
        return self._load("policy/load_checkpoint", uri, timeout_s)

    def enable_policy(self, *, timeout_s: float | None = None) -> str:
        """The policy acts from now on; the node's message, which says what it waits for."""
        return self._enable("policy/enable", True, timeout_s)

    def disable_policy(self, *, timeout_s: float | None = None) -> str:
        """The policy falls silent. The gate stays enabled: other sources may move the arm."""
        return self._enable("policy/enable", False, timeout_s)

    # -- imagination ---------------------------------------------------------------------------------------------

    def load_model(self, uri: str | Path, *, timeout_s: float | None = None) -> str:
        """Have the imagination node load a world model, reward model or policy; the hash of its contract."""
        return self._load("imagination/load_checkpoint", uri, timeout_s)

    def imagine(
        self,
        horizon: int,
        actions: ArrayLike | None = None,
        start: Start = Live(),  # noqa: B008 (frozen)
        *,
        samples: int = 1,
        seed: int = 0,
        frames: bool = True,
        task: str = "",
        timeout_s: float | None = None,
    ) -> Imagination:
        """Dream `horizon` control periods ahead and wait for all of it.

        Args:
            actions: float ``(horizon, action_dim)`` in [-1, 1]; None: the policy that the imagination node has loaded.
            start: Live(), Given(...) or Stored(...).
            samples: dreams from the same start, each with noise of its own.
            frames: False: numbers only.
            task: for a world model of several tasks; empty: the stored episode's, or the only one.

        Raises ValueError where arrays have the wrong shape.
        """
        request = messages.fill_request(ImagineRollout.Request(), horizon, start, actions, samples, seed, frames, task)
        answer = self._link.call(ImagineRollout, "imagine_rollout", request, self._seconds(timeout_s))
        if not answer.success and not len(answer.uncertainty):
            raise Refused(answer.message)
        return messages.imagination(answer, samples)

    def imagine_many(
        self,
        horizon: int,
        actions: ArrayLike | None = None,
        start: Start = Live(),  # noqa: B008 (frozen)
        *,
        samples: int = 1,
        seed: int = 0,
        frames: bool = True,
        task: str = "",
        on_progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
        timeout_s: float | None = None,
    ) -> Imagination:
        """As `imagine`, for long or many dreams: tells its progress and can be cancelled.

        `on_progress` is called in this thread after each step. Setting `cancel`, there or in another thread, ends the
        dream; what was dreamt by then is returned with `complete` False. An exception of `on_progress` cancels too.
        """
        goal = messages.fill_request(ImagineRollouts.Goal(), horizon, start, actions, samples, seed, frames, task)
        answer = self._link.run_goal(
            ImagineRollouts, "imagine_rollouts", goal, self._seconds(timeout_s), on_progress, cancel
        )
        return messages.imagination(answer, samples)

    # -- waiting for states --------------------------------------------------------------------------------------

    def wait_for_arm(self, met: Callable[[ArmState], bool] = bool, timeout_s: float | None = None) -> ArmState:
        """The gate's newest status, as soon as it meets the condition; without one: as soon as there is any."""
        return self._await(_ARM, messages.arm_state, met, timeout_s)

    def wait_for_policy(self, met: Callable[[PolicyState], bool] = bool, timeout_s: float | None = None) -> PolicyState:
        """As `wait_for_arm`, of the policy node."""
        return self._await(_POLICY, messages.policy_state, met, timeout_s)

    def wait_for_recorder(
        self, met: Callable[[RecorderState], bool] = bool, timeout_s: float | None = None
    ) -> RecorderState:
        """As `wait_for_arm`, of the recorder."""
        return self._await(_RECORDER, messages.recorder_state, met, timeout_s)

    # -- the rest ------------------------------------------------------------------------------------------------

    def _seconds(self, timeout_s: float | None) -> float:
        return self.timeout_s if timeout_s is None else timeout_s

    def _await(
        self, topic: str, read: Callable[[Any], Any], met: Callable[[Any], bool], timeout_s: float | None
    ) -> Any:
        message = self._link.await_status(topic, lambda newest: met(read(newest)), self._seconds(timeout_s))
        return read(message)

    def _ask(self, kind: Any, name: str, request: Any, timeout_s: float | None) -> Any:
        return self._granted(name, self._link.call(kind, name, request, self._seconds(timeout_s)))

    def _granted(self, name: str, answer: Any) -> Any:
        if not answer.success:
            raise Refused(f"{self._link.absolute(name)} refused: {answer.message or 'no reason given, see its log'}")
        return answer

    def _enable(self, name: str, on: bool, timeout_s: float | None) -> str:
        return self._ask(SetBool, name, SetBool.Request(data=on), timeout_s).message

    def _load(self, name: str, uri: str | Path, timeout_s: float | None) -> str:
        # The node may have another working folder.
        path = path_of(str(uri)).resolve()
        return self._ask(LoadCheckpoint, name, LoadCheckpoint.Request(uri=str(path)), timeout_s).contract_hash
