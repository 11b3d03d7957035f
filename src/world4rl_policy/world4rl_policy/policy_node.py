"""The lifecycle node `policy`: observations in, actions out, once per control period and only when it was enabled.

The executor's thread only takes messages and answers services; the policy acts in a thread of its own, another one
loads checkpoints, and a third watches whether the policy can be trusted.
"""

from __future__ import annotations

import gc
import sys
import traceback
from typing import TYPE_CHECKING, Any

from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from std_srvs.srv import SetBool

from world4rl_data.contract import TaskContract
from world4rl_data.file_address import path_of
from world4rl_data.parameter_messages import describe
from world4rl_data.spin_node import spin_until_shutdown
from world4rl_policy.load_service_node import LoadService
from world4rl_policy.policy_report_node import PolicyReporter, PolicyState

if TYPE_CHECKING:  # torch takes seconds to import: when the node is configured
    from world4rl_policy.policy_links_node import PolicyLinks
    from world4rl_policy.policy_loop import PolicyLoop
    from world4rl_policy.policy_runner import PolicyRunner
    from world4rl_policy.trust_watch import TrustWatch

PARAMETERS = {
    "checkpoint": ("", "folder of a policy; empty: load one later with ~/load_checkpoint"),
    "contract": ("", "name or path of the task contract that checkpoints must have; empty: any"),
    "task": (
        "",
        "of a policy or world model that has learned several: which; empty: the one that has the contract's name",
    ),
    "device": ("cpu", "where the policy runs: cpu, cuda ...; small policies are quicker on the cpu"),
    "deterministic": (True, "act with the mean action; false: sample, as for exploration"),
    "world_model_checkpoint": ("", "folder of a world model with trust.json, to watch the policy; empty: nobody does"),
    "world_model_device": ("auto", "where that runs: cpu, cuda, cuda:1 ...; auto: cuda where there is one"),
}
NUMBERS = {
    "trust_threshold": (
        0.0,
        "surprise from which the policy is stopped, in the units of trust.json; 0: the limit there",
        0.0,
        1e6,
    ),
    "trust_steps": (0, "for how many actions in a row; 0: as trust.json says", 0, 1000),
}
THREAD_SWITCH_S = 0.0001  # for how long a thread may keep the interpreter from the one that acts; Python's own is 5 ms


class PolicyNode(LifecycleNode):
    """Parameters, life cycle and `~/enable` around `PolicyLoop`. Starts disabled, and never enables itself."""

    def __init__(self) -> None:
        super().__init__("policy")
        for name, (default, text, *span) in (PARAMETERS | NUMBERS).items():
            self.declare_parameter(name, default, describe(text, *span))
        self._loop: PolicyLoop | None = None
        self._links: PolicyLinks | None = None
        self._trust: TrustWatch | None = None
        self._contract: TaskContract | None = None  # the one required
        self._checkpoint = ""
        self._configured = self._active = False
        self._reporter = PolicyReporter(self, self._state)
        self._load_service = LoadService(self, self._load, self._install, lambda: self._checkpoint)
        self.create_service(SetBool, "~/enable", self._on_enable)

    def _parameter(self, name: str) -> Any:
        return self.get_parameter(name).value

    # -- life cycle ----------------------------------------------------------------------------------------------

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Load the checkpoints that are named; one that does not fit is a failure."""
        import torch

        torch.set_num_threads(1)  # for one frame at a time, more threads only wait for each other
        sys.setswitchinterval(THREAD_SWITCH_S)
        self._configured = True
        try:
            self._contract = TaskContract.load(self._parameter("contract")) if self._parameter("contract") else None
            self._trust = self._load_trust()
            if self._parameter("checkpoint"):
                self._install(self._load(self._parameter("checkpoint")), self._parameter("checkpoint"))
        except Exception as error:  # a damaged folder must not take the node down
            self._unload()
            self.get_logger().error(f"cannot configure: {error}")
            self.get_logger().debug(traceback.format_exc())
            return TransitionCallbackReturn.FAILURE
        gc.freeze()  # what is loaded now stays: no collection walks it while the policy acts
        self._reporter.publish_status()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        self._active = True
        self._reporter.publish_status()
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        if self._loop is not None:
            self._loop.disable()
        self._active = False
        self._reporter.publish_status()
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        self._unload()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        self._active = False
        self._unload()
        return TransitionCallbackReturn.SUCCESS

    def _unload(self) -> None:
        if self._links is not None:
            self._links.close()
        if self._trust is not None:
            self._trust.close()
        self._links, self._loop, self._trust, self._checkpoint, self._configured = None, None, None, "", False

    # -- loading -------------------------------------------------------------------------------------------------

    def _load_trust(self) -> TrustWatch | None:
        if not self._parameter("world_model_checkpoint"):
            return None
        from world4rl_policy.trust_watch import TrustWatch  # its libraries take seconds to import

        path = path_of(self._parameter("world_model_checkpoint")).resolve()
        device, threshold, steps = (self._parameter(name) for name in ("world_model_device", *NUMBERS))
        trust = TrustWatch.load(path, device, threshold, steps, self._stop, self._parameter("task"))
        if self._contract is not None:
            self._contract.require_same(trust.contract, f"world model {path}")
        return trust

    def _load(self, uri: str) -> PolicyRunner:
        """A policy that is ready to act. By any thread; raises what a damaged folder makes it raise."""
        if not self._configured:
            raise RuntimeError("the node is not configured: configure it first")
        from world4rl_policy.policy_loading import load_runner
        from world4rl_policy.policy_runner import RunnerConfig

        required = self._contract if self._trust is None else self._trust.contract
        config = RunnerConfig(deterministic=self._parameter("deterministic"), task=self._parameter("task"))
        return load_runner(uri, self._parameter("device"), required, config)

    def _install(self, runner: PolicyRunner, uri: str) -> None:
        """Put a loaded policy to work: between two actions of one with the same contract, else disabled.

        Raises:
            RuntimeError: a policy acts that has another contract, or the node was cleaned up meanwhile.
        """
        contract = runner.policy.contract
        if not self._configured:
            raise RuntimeError("the node was cleaned up meanwhile: configure it again")
        if self._loop is not None and self._loop.contract.hash == contract.hash:
            self._loop.swap(runner)
        else:
            self._connect(runner)
        self._checkpoint = str(path_of(uri).resolve())
        self.get_logger().info(f"loaded {self._checkpoint} for contract {contract.name} {contract.hash}")
        self._reporter.publish_status()

    def _connect(self, runner: PolicyRunner) -> None:
        """Topics and thread for the policy's contract."""
        from world4rl_policy.policy_links_node import PolicyLinks
        from world4rl_policy.policy_loop import PolicyLoop

        if self._loop is not None and self._loop.enabled:
            raise RuntimeError(
                f"a policy of contract {self._loop.contract.name} is acting, and this one has contract "
                f"{runner.policy.contract.name}: disable it first (~/enable with data false)"
            )
        loop = PolicyLoop(runner)
        links = PolicyLinks(self, loop, self._on_ended, self._trust)
        if self._links is not None:
            self._links.close()
        self._loop, self._links = loop, links

    # -- acting --------------------------------------------------------------------------------------------------

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if not request.data:
            if self._loop is not None:
                self._loop.disable()
            response.success, response.message = True, "disabled"
        elif not self._active:
            response.message = "the node is not active: configure and activate it first"
        elif self._loop is None:
            response.message = "no checkpoint is loaded: call ~/load_checkpoint with a policy's folder"
        else:
            if self._trust is not None:
                self._trust.restart()
            self._loop.enable()
            waiting = self._loop.problem(self._now_ns())
            response.success, response.message = True, f"enabled; it waits: {waiting}" if waiting else "enabled"
        self._reporter.publish_status()
        return response

    def _stop(self, reason: str) -> None:
        """By the watching thread: the policy is not to be trusted."""
        if self._loop is not None and self._loop.enabled and self.context.ok():
            self._loop.disable(reason)
            self._on_ended()

    def _on_ended(self) -> None:
        """By any thread: nobody asked for it, but the policy has stopped."""
        self.get_logger().error(self._problem())
        self._reporter.publish_status()

    # -- telling -------------------------------------------------------------------------------------------------

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _state(self) -> PolicyState:
        return PolicyState(self._checkpoint, self._problem(), self._loop, self._trust)

    def _problem(self) -> str:
        if not self._active:
            return "the node is not active"
        if self._loop is None:
            return "no checkpoint is loaded: call ~/load_checkpoint"
        return self._loop.problem(self._now_ns())


def main() -> None:
    """Run the node until it is told to end."""
    spin_until_shutdown("policy", PolicyNode)


if __name__ == "__main__":
    main()
