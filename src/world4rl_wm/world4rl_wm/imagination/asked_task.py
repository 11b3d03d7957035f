"""Which task the world model is told where a request names one, or leaves it to what is known."""

from __future__ import annotations

from world4rl_wm.imagination.request import Refusal
from world4rl_wm.model.world_model import WorldModel


def asked_task(task: str, stored: str, model: WorldModel) -> str:
    """The task that `model` is told, empty: none.

    Args:
        task: as the request names it, or empty. Then it is `stored`, else the contract's name, else the only one that
            the model has learned, whichever it knows.
        stored: the task of the episode that the dream starts from; empty where that is not known.

    Raises:
        Refusal: a task was named that the model has not learned, or it is told none.
    """
    known = model.config.tasks
    if task and not known:
        raise Refusal(f"task is '{task}', but this world model was trained without being told tasks: leave task empty")
    if task and task not in known:
        raise Refusal(f"task is '{task}', but the world model has learned {', '.join(known)} only: name one of these")
    likely = [task, stored, model.contract.name, *(known if len(known) == 1 else ())]
    return next((name for name in likely if name in known), "")
