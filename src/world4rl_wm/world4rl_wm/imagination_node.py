"""The node `imagination`: dreams on request. One dream at a time; who asks meanwhile is told that it is busy."""

from __future__ import annotations

import gc
import threading
import traceback
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import rclpy
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image
from std_msgs.msg import Float32

from world4rl_data.contract import TaskContract
from world4rl_data.observation import message_stamp
from world4rl_interfaces.action import ImagineRollouts
from world4rl_interfaces.msg import Action
from world4rl_interfaces.srv import ImagineRollout, LoadCheckpoint
from world4rl_wm.imagine_request import ImaginationLimits, ImagineRequest, Refusal
from world4rl_wm.live_context import LiveContext
from world4rl_wm.message_types import message_class
from world4rl_wm.rollout_messages import fill_response, image_message, preview_message

BUSY = "busy with another dream: ask again when it has ended"
RESULT_TIMEOUT_S = 60  # how long an action's result is kept for a client that comes for it
THREADS = 4  # one dreams; the others take pictures, answer "busy" and take cancel requests meanwhile
CHECKPOINTS = ("world_model_checkpoint", "reward_checkpoint", "policy_checkpoint")

Watch = Callable[[int, np.ndarray], bool]
"""Called with the step (from 1) and the first dream's frame; False stops the dream."""


class ImaginationNode(Node):
    """Parameters, topics and services around `ImaginationService`; see `world4rl_interfaces/srv/ImagineRollout`."""

    def __init__(self) -> None:
        super().__init__("imagination")
        self._declare_parameters()
        # torch and diffusers take seconds to import: the node is on the graph before, its services come after
        from world4rl_wm.imagination_service import ImaginationService
        from world4rl_wm.loaded_models import LoadedModels, resolve_device

        name = self._parameter("contract")
        self._models = LoadedModels(
            resolve_device(self._parameter("device")), TaskContract.load(name) if name else None
        )
        limits = ImaginationLimits(self._parameter("max_horizon"), self._parameter("max_frames"))
        self._service = ImaginationService(self._models, limits)
        self._working = threading.Lock()
        self._live: LiveContext | None = None
        self._observations: list[Subscription] = []
        for name in CHECKPOINTS:  # one that fails is told, and can be loaded later
            if self._parameter(name):
                self._load(self._parameter(name))
        self._create_interfaces()

    def _parameter(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _declare_parameters(self) -> None:
        texts = {
            "world_model_checkpoint": ("", "folder of a world model; empty: load one later with ~/load_checkpoint"),
            "reward_checkpoint": ("", "folder of a reward model; empty: no success probabilities"),
            "policy_checkpoint": ("", "folder of a policy, for use_policy; empty: none"),
            "device": ("auto", "where the models run: cpu, cuda, cuda:1 ...; auto: cuda where there is one"),
            "contract": ("", "name or path of the task contract that checkpoints must have; empty: any"),
        }
        for name, (default, text) in texts.items():
            self.declare_parameter(name, default, ParameterDescriptor(description=text, read_only=True))
        numbers = {
            "max_horizon": (100, "longest roll-out of one request [control periods]"),
            "max_frames": (1000, "most frames of one request, horizon x samples"),
        }
        for name, (number, text) in numbers.items():
            span = IntegerRange(from_value=1, to_value=100_000, step=1)
            descriptor = ParameterDescriptor(description=text, read_only=True, integer_range=[span])
            self.declare_parameter(name, number, descriptor)

    def _create_interfaces(self) -> None:
        self._frames = self.create_publisher(Image, "~/frames", 1)
        self._uncertainty = self.create_publisher(Float32, "~/uncertainty", 1)
        alone, together = MutuallyExclusiveCallbackGroup(), ReentrantCallbackGroup()
        self.create_service(LoadCheckpoint, "~/load_checkpoint", self._on_load, callback_group=alone)
        self.create_service(ImagineRollout, "imagine_rollout", self._on_request, callback_group=together)
        self._action_server = ActionServer(
            self,
            ImagineRollouts,
            "imagine_rollouts",
            execute_callback=self._on_goal,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
            callback_group=together,
            result_timeout=RESULT_TIMEOUT_S,
        )

    # -- live observations ---------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Subscribe to what the world model's contract calls an observation, and to what the gate executes."""
        model = self._models.world_model
        if model is None or (self._live is not None and self._live.contract.hash == model.contract.hash):
            return
        for subscription in self._observations:
            self.destroy_subscription(subscription)
        self._live = live = LiveContext(model.contract, model.history)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._observations = [
            self.create_subscription(message_class(kind), topic, self._taker(live, topic), newest)
            for topic, kind in model.contract.observation_topics.items()
        ]
        every = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        take = lambda message: live.push_action(self._stamp_of(message), message.values)  # noqa: E731
        self._observations.append(self.create_subscription(Action, "executed_action", take, every))

    def _taker(self, live: LiveContext, topic: str) -> Callable[[Any], None]:
        return lambda message: live.push(topic, self._stamp_of(message), message)

    def _stamp_of(self, message: Any) -> int:
        return message_stamp(message, self._now_ns())

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    # -- loading -------------------------------------------------------------------------------------------------

    def _load(self, uri: str) -> tuple[bool, str, str]:
        """Success, message and contract hash."""
        try:
            contract, note = self._models.load(uri)
            self._follow()
        except Exception as error:  # whatever a damaged folder does, the node goes on with what it had
            self.get_logger().error(f"cannot load {uri}: {error}")
            self.get_logger().debug(traceback.format_exc())
            return False, f"{type(error).__name__}: {error}", ""
        self.get_logger().info(f"loaded {uri} for contract {contract.name} {contract.hash}; {note or 'all set'}")
        return True, note, contract.hash

    def _on_load(self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response) -> LoadCheckpoint.Response:
        if not self._working.acquire(blocking=False):
            response.message = BUSY
            return response
        try:
            response.success, response.message, response.contract_hash = self._load(request.uri)
        finally:
            self._working.release()
        return response

    # -- dreaming ------------------------------------------------------------------------------------------------

    def _on_request(
        self, request: ImagineRollout.Request, response: ImagineRollout.Response
    ) -> ImagineRollout.Response:
        self._answer(request, response)
        return response

    def _on_goal(self, goal_handle: Any) -> ImagineRollouts.Result:
        goal, result = goal_handle.request, ImagineRollouts.Result()

        def watch(step: int, frame: np.ndarray) -> bool:
            preview = preview_message(frame, self.get_clock().now().to_msg())
            goal_handle.publish_feedback(ImagineRollouts.Feedback(step=step, total=goal.horizon, preview=preview))
            return not goal_handle.is_cancel_requested

        self._answer(goal, result, watch)
        if goal_handle.is_cancel_requested:
            goal_handle.canceled()
        elif result.success:
            goal_handle.succeed()
        else:
            goal_handle.abort()
        return result

    def _answer(self, request: Any, response: Any, watch: Watch | None = None) -> None:
        """Dream `request` into `response` (service or action: the fields are the same), or say why not."""
        if not self._working.acquire(blocking=False):
            response.message = BUSY
            return
        try:
            self._dream(request, response, watch)
        except Refusal as refusal:
            response.message = str(refusal)
        except Exception as error:  # one bad dream must not end the node
            self.get_logger().error(f"the dream failed: {traceback.format_exc()}")
            response.message = f"the dream failed ({type(error).__name__}: {error}); the node's log holds the details"
        finally:
            self._working.release()

    def _dream(self, request: Any, response: Any, watch: Watch | None) -> None:
        def show(step: int, frame: np.ndarray, spread: float) -> bool:
            self._frames.publish(image_message(frame, self.get_clock().now().to_msg()))
            self._uncertainty.publish(Float32(data=spread))
            return self.context.ok() and (watch is None or watch(step, frame))

        wanted = ImagineRequest(**{f.name: getattr(request, f.name) for f in fields(ImagineRequest)})
        live, now_ns = self._live, self._now_ns()
        imagined = self._service.imagine(wanted, None if live is None else lambda: live.context(now_ns), show)
        fill_response(response, imagined, request.return_frames, self.get_clock().now().to_msg())


def main() -> None:
    """Run the node until it is told to end."""
    rclpy.init()
    executor = MultiThreadedExecutor(num_threads=THREADS)
    try:
        executor.add_node(ImaginationNode())
        gc.freeze()  # what is loaded now stays: no collection walks it, and the node ends without seconds of tidying
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
