"""The node `imagination`: dreams on request. One dream at a time; who asks meanwhile is told that it is busy."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node

from world4rl_data.contract import TaskContract
from world4rl_data.spin_node import until_shutdown
from world4rl_interfaces.action import ImagineRollouts
from world4rl_interfaces.srv import ImagineRollout, LoadCheckpoint
from world4rl_wm.imagination.request import ImaginationLimits
from world4rl_wm.ros.imagination_parameters_node import read_parameters
from world4rl_wm.ros.rollout_messages import preview_message

RESULT_TIMEOUT_S = 60  # how long an action's result is kept for a client that comes for it
THREADS = 4  # one waits for the dream; the others take pictures, answer "busy" and take cancel requests meanwhile
CHECKPOINTS = ("world_model_checkpoint", "reward_checkpoint", "policy_checkpoint")


class ImaginationNode(Node):
    """Parameters, topics and services around `ImaginationService`; see `world4rl_interfaces/srv/ImagineRollout`."""

    def __init__(self) -> None:
        super().__init__("imagination")
        self._limits = parameters = read_parameters(self)
        # torch and diffusers take seconds to import: the node is on the graph before, its services come after
        from world4rl_wm.devices import resolve_device
        from world4rl_wm.imagination.imagined_path import PathColours
        from world4rl_wm.imagination.loaded_models import LoadedModels
        from world4rl_wm.imagination.service import ImaginationService
        from world4rl_wm.ros.answer_messages import Answers
        from world4rl_wm.ros.dream_topics_node import DreamTopics
        from world4rl_wm.ros.live_observations_node import LiveObservations

        texts = parameters.texts
        contract = TaskContract.load(texts["contract"]) if texts["contract"] else None
        self._models = LoadedModels(resolve_device(texts["device"]), contract)
        self._service = ImaginationService(self._models, parameters.service_limits, parameters.stores_dir)
        self._answers = Answers(self._service, lambda: self.get_clock().now().to_msg(), self.get_logger().error)
        colours = PathColours(texts["path_colour"], parameters.full_uncertainty)  # type: ignore[arg-type]
        self._topics = DreamTopics(self, colours, parameters.path_lifetime_s)
        self._live = LiveObservations(self)
        loaders = dict.fromkeys(CHECKPOINTS, self._models.load)
        loaders["second_world_model_checkpoint"] = self._models.load_second
        for name, load in loaders.items():  # one that fails is told, and can be loaded later
            if texts[name]:
                self._answers.work(partial(self._load, texts[name], load))
        self._create_interfaces()

    def _create_interfaces(self) -> None:
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

    # -- loading -------------------------------------------------------------------------------------------------

    def _load(self, uri: str, load: Callable[[str], tuple[TaskContract, str]]) -> tuple[bool, str, str]:
        """Success, message and contract hash."""
        try:
            contract, note = load(uri)
            if self._models.world_model is not None:
                self._live.follow(self._models.world_model)
                self._service.dreamer.calibrate()
        except Exception as error:  # whatever a damaged folder does, the node goes on with what it had
            self.get_logger().error(f"cannot load {uri}: {error}")
            self.get_logger().debug(traceback.format_exc())
            return False, f"{type(error).__name__}: {error}", ""
        self.get_logger().info(f"loaded {uri} for contract {contract.name} {contract.hash}; {note or 'all set'}")
        return True, note, contract.hash

    def _on_load(self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response) -> LoadCheckpoint.Response:
        self._answers.load(response, lambda: self._load(request.uri, self._models.load))
        return response

    # -- dreaming ------------------------------------------------------------------------------------------------

    def _on_request(
        self, request: ImagineRollout.Request, response: ImagineRollout.Response
    ) -> ImagineRollout.Response:
        self._imagine(request, response, self._limits.service_limits, lambda step: True)
        return response

    def _on_goal(self, goal_handle: Any) -> ImagineRollouts.Result:
        goal, result = goal_handle.request, ImagineRollouts.Result()

        def report(step: Any) -> bool:
            preview = preview_message(step.frames[0].cpu().numpy(), self.get_clock().now().to_msg())
            goal_handle.publish_feedback(
                ImagineRollouts.Feedback(step=step.number, total=goal.horizon, preview=preview)
            )
            return not goal_handle.is_cancel_requested

        self._imagine(goal, result, self._limits.action_limits, report)
        if goal_handle.is_cancel_requested:
            goal_handle.canceled()
        elif result.success:
            goal_handle.succeed()
        else:
            goal_handle.abort()
        return result

    def _imagine(self, request: Any, response: Any, limits: ImaginationLimits, go_on: Callable[[Any], bool]) -> None:
        """Answer either kind of request, with each step on the topics; `go_on` sees the steps too, False stops."""
        from world4rl_wm.imagination.dream_stream import Watch

        def show(step: Any) -> bool:
            self._topics.step(step)
            return self.context.ok() and go_on(step)

        watch = Watch(show, self._topics.start, self._topics.end)
        self._answers.imagine(request, response, limits, self._live.present(), watch)


def main() -> None:
    """Run the node until it is told to end."""
    rclpy.init()
    executor = MultiThreadedExecutor(num_threads=THREADS)
    try:
        with until_shutdown():
            executor.add_node(ImaginationNode())
            gc.freeze()  # what is loaded now stays: no collection walks it, the node ends without seconds of tidying
            executor.spin()
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
