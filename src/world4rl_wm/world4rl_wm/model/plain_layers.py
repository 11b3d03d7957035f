"""The switch back from this project's quick layers to torch's own: to count their operations, and to compare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_asked = False


@contextmanager
def plain_layers() -> Iterator[None]:
    """Within it, `winograd` and `packed` layers compute as those of torch that they stand for."""
    global _asked
    before, _asked = _asked, True
    try:
        yield
    finally:
        _asked = before


def plain_layers_asked() -> bool:
    return _asked
