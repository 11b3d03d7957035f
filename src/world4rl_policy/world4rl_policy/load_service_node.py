"""The service `~/load_checkpoint`: loads in a thread of its own and answers when the checkpoint is in place."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future

from world4rl_interfaces.srv import LoadCheckpoint
from world4rl_policy.background_load import BackgroundLoad

if TYPE_CHECKING:  # torch takes seconds to import
    from world4rl_policy.policy_runner import PolicyRunner


class LoadService:
    """`load` runs in the loading thread, then `install` in the executor's; where one raises, nothing is changed and the
    response says why."""

    def __init__(
        self,
        node: LifecycleNode,
        load: Callable[[str], PolicyRunner],
        install: Callable[[PolicyRunner, str], None],
        in_place: Callable[[], str],
    ) -> None:
        """`in_place` names the checkpoint that stays when loading fails, empty for none."""
        self._node, self._load, self._install, self._in_place = node, load, install, in_place
        self._loading: BackgroundLoad[PolicyRunner] = BackgroundLoad()
        # the answer waits for the loading thread: in a group of its own, so that all else goes on meanwhile
        node.create_service(
            LoadCheckpoint, "~/load_checkpoint", self._on_request, callback_group=ReentrantCallbackGroup()
        )
        self._woken = node.create_guard_condition(lambda: None)  # makes the executor look at its tasks again

    async def _on_request(
        self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response
    ) -> LoadCheckpoint.Response:
        loaded: Future = Future()

        def done(result: PolicyRunner | Exception) -> None:
            loaded.set_result(result)
            self._woken.trigger()

        try:
            self._loading.start(lambda: self._load(request.uri), done)
            result = await loaded
            if isinstance(result, Exception):
                raise result
            self._install(result, request.uri)
            response.success, response.contract_hash = True, result.policy.contract.hash
        except Exception as error:  # a damaged folder must not take the node down
            self._node.get_logger().error(f"cannot load {request.uri}: {error}")
            self._node.get_logger().debug(traceback.format_exc())
            kept = self._in_place()
            response.message = f"{type(error).__name__}: {error}" + (f"; {kept} stays" if kept else "")
        return response
