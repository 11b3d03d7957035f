"""Answers "what would happen if": checks a request, dreams it, or refuses it with a message that says what to mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from world4rl_data.contract import TaskContract
from world4rl_data.contract_parts import ContractMismatch
from world4rl_data.image import ImageError
from world4rl_wm.imagination.asked_task import asked_task
from world4rl_wm.imagination.dream_context import DreamContext, checked_actions, given_context, store_context
from world4rl_wm.imagination.dream_stream import Watch
from world4rl_wm.imagination.dreamer import Dreamer, Imagined, Question
from world4rl_wm.imagination.loaded_models import LoadedModels
from world4rl_wm.imagination.request import ContextSource, ImaginationLimits, ImagineRequest, Refusal
from world4rl_wm.model.world_model import WorldModel
from world4rl_wm.protocols import Policy, for_task

Live = Callable[[], DreamContext]
"""Gives the present, or raises Refusal."""


@dataclass
class ImaginationService:
    """The one function over the loaded models. Not for two threads at once."""

    models: LoadedModels = field(default_factory=LoadedModels)
    limits: ImaginationLimits = field(default_factory=ImaginationLimits)
    stores_dir: Path | None = None
    dreamer: Dreamer = field(init=False)

    def __post_init__(self) -> None:
        self.dreamer = Dreamer(self.models)

    def imagine(
        self,
        request: ImagineRequest,
        live: Live | None = None,
        watch: Watch = Watch(),  # noqa: B008 (frozen)
        limits: ImaginationLimits | None = None,
    ) -> Imagined:
        """Dream a request; `live` gives the start for context source LIVE, `limits` stand for the service's own.

        Raises:
            Refusal: the request cannot be dreamt; the message says what to mend. The next request is not affected.
        """
        limits = limits or self.limits
        model = self._require_world_model()
        samples = limits.samples(request)
        step_s = self.dreamer.step_seconds(samples, lambda s: request.horizon * s <= limits.max_seconds)
        if step_s is not None:
            limits.require_time(request, step_s)
        actor = self._require_policy(model) if request.use_policy else _actions(request, model.contract)
        context = self._context(request, model, live)
        task = asked_task(request.task, context.task, model)
        if not isinstance(actor, np.ndarray):
            actor = _told(actor, request.task or context.task or model.contract.name)
        question = Question(request, actor, context, samples, task)
        return self.dreamer.dream(question, model, limits.max_seconds, watch)

    def _require_world_model(self) -> WorldModel:
        if self.models.world_model is None:
            raise Refusal(
                "no world model is loaded: start the node with parameter world_model_checkpoint, or call "
                "~/load_checkpoint with the folder that `world4rl train world-model` wrote"
            )
        return self.models.world_model

    def _require_policy(self, model: WorldModel) -> Policy:
        policy = self.models.policy
        if policy is None:
            raise Refusal(
                "use_policy is true, but no policy is loaded: start the node with parameter policy_checkpoint, call "
                "~/load_checkpoint with a policy's folder, or give actions and use_policy false"
            )
        if policy.history > model.history:
            raise Refusal(
                f"the policy looks at {policy.history} frames, the world model carries {model.history}: "
                f"load a policy with a shorter history"
            )
        return policy

    def _context(self, request: ImagineRequest, model: WorldModel, live: Live | None) -> DreamContext:
        contract, history = model.contract, model.history
        try:
            if request.context_source == ContextSource.GIVEN:
                return given_context(request.context, request.context_actions, contract, history)
            if request.context_source == ContextSource.STORE:
                return store_context(request.store_uri, request.store_index, contract, history, self.stores_dir)
        except (ImageError, ContractMismatch, OSError) as error:
            raise Refusal(f"no start for the dream: {error}") from error
        if request.context_source != ContextSource.LIVE:
            known = ", ".join(f"{source.value} ({source.name})" for source in ContextSource)
            raise Refusal(f"context_source {request.context_source} is unknown: use one of {known}")
        if live is None:
            raise Refusal("there are no live cameras here: use context_source GIVEN (1) or STORE (2)")
        return live()


def _told(policy: Policy, task: str) -> Policy:
    try:
        return for_task(policy, task)
    except ValueError as error:
        raise Refusal(f"{error}: name one of these in task") from error


def _actions(request: ImagineRequest, contract: TaskContract) -> np.ndarray:
    """float32 ``(horizon, A)``."""
    if not len(request.actions):
        raise Refusal(
            f"there is nothing to act with: give actions ({request.horizon} x {contract.action_dim} numbers), "
            f"or use_policy true for the loaded policy"
        )
    return checked_actions(request.actions, request.horizon, contract, "actions", f"horizon {request.horizon}")
