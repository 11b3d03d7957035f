"""What a GPU's results are compared with: a CPU that computes as it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
import torch
from accelerate.state import AcceleratorState

from world4rl_wm import precision
from world4rl_wm.model.plain_layers import plain_layers


@contextmanager
def plain_cpu() -> Iterator[torch.device]:
    """Within it there is no GPU, and the CPU computes in float32 on one thread, layers as torch has them.

    accelerate and the number format find that out anew, then and at the end.
    """
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, threads)
        torch.set_num_threads(1)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(precision, "_NATIVE_BFLOAT16", frozenset())
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(torch.accelerator, "is_available", lambda: False)
        for forget in (precision.native_bfloat16.cache_clear, partial(AcceleratorState._reset_state, True)):
            forget()
            stack.callback(forget)
        stack.enter_context(plain_layers())
        yield torch.device("cpu")
