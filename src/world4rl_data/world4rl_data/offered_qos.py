"""The quality of service to ask for, from what the publishers of a topic offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Offer(NamedTuple):
    """What one publisher offers. `node`: its name, for people."""

    node: str
    reliable: bool
    latched: bool  # durability transient local


class Request(NamedTuple):
    """What a subscription asks for. `note`: what it cannot have from whom; empty when it gets everything."""

    reliable: bool
    latched: bool
    note: str = ""


def subscription_qos(offers: Sequence[Offer]) -> Request:
    """The most that all publishers offer: a subscription that asks one for more gets nothing from it, silently."""
    reliable = all(offer.reliable for offer in offers)
    latched = bool(offers) and all(offer.latched for offer in offers)
    notes = []
    if not reliable and any(offer.reliable for offer in offers):
        best_effort = ", ".join(sorted(offer.node for offer in offers if not offer.reliable))
        notes.append(f"is recorded best effort, because {best_effort} publishes it so")
    if not latched and any(offer.latched for offer in offers):
        volatile = ", ".join(sorted(offer.node for offer in offers if not offer.latched))
        notes.append(f"is published latched and (by {volatile}) not: what was latched before is not recorded")
    return Request(reliable, latched, "; ".join(notes))
