"""Answers "what would happen if": checks a request, dreams it, or refuses it with a message that says what to mend."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from world4rl_data.contract import TaskContract
from world4rl_data.contract_parts import ContractError, ContractMismatch
from world4rl_data.image import ImageError
from world4rl_data.store import StoreError
from world4rl_wm.dream_context import DreamContext, checked_actions, given_context, store_context
from world4rl_wm.frames import to_float, to_uint8
from world4rl_wm.imagine_request import ContextSource, ImaginationLimits, ImagineRequest, Refusal
from world4rl_wm.loaded_models import LoadedModels
from world4rl_wm.protocols import Policy
from world4rl_wm.rollout import Rollout, imagine, sample_spread
from world4rl_wm.world_model import WorldModel

OnStep = Callable[[int, np.ndarray, float], bool]
"""Called with the step (from 1), the first dream's frame uint8 ``(C, H, W)`` and the spread; False stops the dream."""
Live = Callable[[], DreamContext]
"""Gives the present, or raises Refusal."""


@dataclass(frozen=True)
class Imagined:
    """An answer: `rollout`, whether it ran to its end, whether a reward model judged it, and the seconds it took."""

    rollout: Rollout
    complete: bool
    judged: bool
    compute_s: float


class _NoJudge:
    """Stands where no reward model is loaded: it knows nothing."""

    def probability(self, frames: Tensor) -> Tensor:
        return torch.full((len(frames),), float("nan"), device=frames.device)


@dataclass
class ImaginationService:
    """The one function over the loaded models. Not for two threads at once."""

    models: LoadedModels = field(default_factory=LoadedModels)
    limits: ImaginationLimits = field(default_factory=ImaginationLimits)

    def imagine(self, request: ImagineRequest, live: Live | None = None, on_step: OnStep | None = None) -> Imagined:
        """Dream a request; `live` gives the start for context source LIVE.

        Raises:
            Refusal: the request cannot be dreamt; the message says what to mend. The next request is not affected.
        """
        model = self._require_world_model()
        samples = self.limits.samples(request)
        policy = self._require_policy(model) if request.use_policy else None
        actions = None if policy else _actions(request, model.contract)
        context = _context(request, model, live)
        return self._dream(request, model, policy, actions, context, samples, on_step)

    def _dream(
        self,
        request: ImagineRequest,
        model: WorldModel,
        policy: Policy | None,
        actions: np.ndarray | None,
        context: DreamContext,
        samples: int,
        on_step: OnStep | None,
    ) -> Imagined:
        def repeated(array: np.ndarray) -> Tensor:
            """The same for every sample, on the model's device."""
            return torch.from_numpy(array).to(model.device).unsqueeze(0).repeat(samples, *[1] * array.ndim)

        def step_done(step: int, frames: Tensor) -> bool:
            return on_step is None or on_step(step, to_uint8(frames[0]).cpu().numpy(), float(sample_spread(frames)))

        proprio = None if model.state_model is None or context.proprio is None else repeated(context.proprio)
        started = time.monotonic()
        rollout = imagine(
            model,
            self.models.reward_model or _NoJudge(),  # type: ignore[arg-type]  # only `probability` is asked
            to_float(repeated(context.frames)),
            repeated(context.actions),
            None if actions is None else repeated(actions),
            request.horizon,
            request.seed,
            policy,
            step_done,
            proprio,
        )
        complete = rollout.frames.shape[1] == request.horizon
        return Imagined(rollout, complete, self.models.reward_model is not None, time.monotonic() - started)

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


def _actions(request: ImagineRequest, contract: TaskContract) -> np.ndarray:
    """float32 ``(horizon, A)``."""
    if not len(request.actions):
        raise Refusal(
            f"there is nothing to act with: give actions ({request.horizon} x {contract.action_dim} numbers), "
            f"or use_policy true for the loaded policy"
        )
    return checked_actions(request.actions, request.horizon, contract, "actions", f"horizon {request.horizon}")


def _context(request: ImagineRequest, model: WorldModel, live: Live | None) -> DreamContext:
    contract, history = model.contract, model.history
    try:
        if request.context_source == ContextSource.GIVEN:
            return given_context(request.context, request.context_actions, contract, history)
        if request.context_source == ContextSource.STORE:
            return store_context(request.store_uri, request.store_index, contract, history)
    except (ImageError, StoreError, ContractError, ContractMismatch, OSError) as error:
        raise Refusal(f"no start for the dream: {error}") from error
    if request.context_source != ContextSource.LIVE:
        known = ", ".join(f"{source.value} ({source.name})" for source in ContextSource)
        raise Refusal(f"context_source {request.context_source} is unknown: use one of {known}")
    if live is None:
        raise Refusal("there are no live cameras here: use context_source GIVEN (1) or STORE (2)")
    return live()
