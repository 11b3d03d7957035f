"""The recorder's services: start, stop and discard with arguments, and as plain triggers for buttons."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from world4rl_interfaces.srv import StartEpisode, StopEpisode

from .episode import Outcome

StartRequest = Callable[[str, str, str], Awaitable[tuple[bool, str, str, str]]]  # task, operator, note
StopRequest = Callable[[int, str], Awaitable[tuple[bool, str, str]]]  # outcome, note


class EpisodeServices:
    """Translates service calls into `start(task, operator, note)` and `stop(outcome, note)`.

    `start` gives (success, message, episode id, uri), `stop` (success, message, uri).
    """

    def __init__(self, node: Node, group: CallbackGroup, start: StartRequest, stop: StopRequest) -> None:
        self._node, self._start, self._stop = node, start, stop
        self._services = [
            node.create_service(kind, name, callback, callback_group=group)
            for kind, name, callback in (
                (StartEpisode, "start_episode", self._on_start),
                (StopEpisode, "stop_episode", self._on_stop),
                (Trigger, "discard_episode", self._stop_with(Outcome.DISCARDED)),
                (Trigger, "~/start", self._on_start_button),
                (Trigger, "~/stop_success", self._stop_with(Outcome.SUCCESS)),
                (Trigger, "~/stop_failure", self._stop_with(Outcome.FAILURE)),
                (Trigger, "~/discard", self._stop_with(Outcome.DISCARDED)),
            )
        ]

    def close(self) -> None:
        for service in self._services:
            self._node.destroy_service(service)

    async def _on_start(self, request: Any, response: Any) -> Any:
        answer = await self._start(request.task, request.operator_id, request.note)
        response.success, response.message, response.episode_id, response.uri = answer
        return response

    async def _on_start_button(self, request: Any, response: Any) -> Any:
        task = self._node.get_parameter("task").value
        response.success, response.message, _, _ = await self._start(task, "", "")
        return response

    async def _on_stop(self, request: Any, response: Any) -> Any:
        response.success, response.message, response.uri = await self._stop(request.outcome, request.note)
        return response

    def _stop_with(self, outcome: Outcome) -> Callable[[Any, Any], Awaitable[Any]]:
        async def callback(request: Any, response: Any) -> Any:
            response.success, response.message, _ = await self._stop(int(outcome), "")
            return response

        return callback
