"""Answers to messages that ask for a dream: one at a time, every one answered, whatever is in it."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any, TypeVar

from world4rl_wm.imagination.dream_stream import Watch
from world4rl_wm.imagination.request import ImaginationLimits, ImagineRequest, Refusal
from world4rl_wm.imagination.service import ImaginationService, Live
from world4rl_wm.ros.rollout_messages import fill_response

BUSY = "busy with another dream: ask again when it has ended"
FIELDS = [field.name for field in fields(ImagineRequest)]

Answer = TypeVar("Answer")


class Answers:
    """Stands between messages and the models. For any number of threads; who comes while one works is told BUSY.

    All work is done in one thread of its own: the C library keeps freed memory for each thread that asked for it, and
    an executor's threads taking turns at loading would hold several times what the models need.

    Args:
        service: what dreams.
        stamp: gives the present as builtin_interfaces/Time.
        complain: takes the details of a failure that nobody foresaw.
    """

    def __init__(self, service: ImaginationService, stamp: Callable[[], Any], complain: Callable[[str], Any]):
        self._service, self._stamp, self._complain = service, stamp, complain
        self._working = threading.Lock()
        self._worker = ThreadPoolExecutor(1, "imagination")

    def work(self, work: Callable[[], Answer]) -> Answer:
        """What `work` gives, done in the thread where all work is done; waits for what is under way there."""
        return self._worker.submit(work).result()

    def imagine(
        self,
        request: Any,
        response: Any,
        limits: ImaginationLimits,
        live: Live | None = None,
        watch: Watch = Watch(),  # noqa: B008 (frozen)
    ) -> None:
        """Dream an ImagineRollout request (or ImagineRollouts goal) into its response (result), or say why not."""

        def dream() -> None:
            wanted = ImagineRequest(**{name: getattr(request, name) for name in FIELDS})
            imagined = self._service.imagine(wanted, live, watch, limits)
            fill_response(response, imagined, request.return_frames, self._stamp())

        self._alone(response, dream)

    def load(self, response: Any, load: Callable[[], tuple[bool, str, str]]) -> None:
        """Fill a LoadCheckpoint response with what `load` says: success, message, hash of the contract."""

        def change() -> None:
            response.success, response.message, response.contract_hash = load()

        self._alone(response, change)

    def _alone(self, response: Any, work: Callable[[], None]) -> None:
        if not self._working.acquire(blocking=False):
            response.message = BUSY
            return
        try:
            self.work(work)
        except Refusal as refusal:
            response.message = str(refusal)
        except Exception as error:  # one bad dream must not end the node
            self._complain(f"the dream failed: {traceback.format_exc()}")
            response.message = f"the dream failed ({type(error).__name__}: {error}); the node's log holds the details"
        finally:
            self._working.release()
