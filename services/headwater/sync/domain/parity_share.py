"""Which part of an account's limits reconciliation may use: so much of each window, and of the vendor's day. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headwater.policy.account import Limits
from headwater.policy.words import EndpointClass

_CLASSES: Final[tuple[EndpointClass, ...]] = ("read", "search")


@dataclass(frozen=True, slots=True)
class CallShare:
    """What may be used.

    Args:
        pauses_s: class of endpoints to the shortest time between two of its calls.
        day_calls: calls of a day; None: as many as the account's ledger lets through.
    """

    pauses_s: Mapping[str, float]
    day_calls: int | None


def call_share(limits: Limits, share: float) -> CallShare:
    """Return *share* (above 0, up to 1) of *limits*."""
    pauses: dict[str, float] = {name: _pause_s(limits, name, share) for name in _CLASSES}
    dearest = max(limits.costs.get(name, 1) for name in _CLASSES)
    days = [
        *([limits.daily_calls] if limits.daily_calls else []),
        *([limits.daily_tokens // max(1, dearest)] if limits.daily_tokens else []),
    ]
    return CallShare(pauses, max(1, int(min(days) * share)) if days else None)


def _pause_s(limits: Limits, endpoint_class: EndpointClass, share: float) -> float:
    cost = limits.costs.get(endpoint_class, 1)
    pauses = [
        window.window_s / (window.calls * share)
        if window.calls
        else window.window_s * cost / ((window.tokens or 1) * share)
        for window in limits.all_windows
        if not window.classes or endpoint_class in window.classes
    ]
    return max(pauses, default=0.0)
