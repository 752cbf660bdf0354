"""Writes in doubt: when to look them up, and what the verdict is. Pure.

A write is in doubt when its answer never came, when the vendor's answer passed it over, or when the actor
that sent it died. By default it is looked up by external id before anything else. Where the vendor promises
that a repeat is safe and the policy allows it, it is sent again without asking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from msgspec.structs import replace

from headwater.connectors.base import (
    Found,
    InDoubtProtocol,
    Promise,
    Target,
    Vendor,
    Write,
    WriteKind,
    keyed_kind,
)
from headwater.policy.account import Retry as RetryPolicy
from headwater.sync.domain.delivering import Claimed, adopt_found

Verdict = Literal["applied", "not_applied", "repeated"]
"""What became of a write in doubt: the CRM shows it, does not show it, or it was sent again unasked."""

_UNSAFE: Final = Promise(repeat_safe=False, reason="the vendor promises nothing")


@dataclass(frozen=True, slots=True)
class Doubts:
    """What may follow a write in doubt to one connector account.

    Args:
        kind_of: how the vendor would tell which record a write means.
        protocol: the vendor's promise for each kind.
        repeat_allowed: whether the policy makes use of a promise.
    """

    kind_of: Callable[[Target, Write], WriteKind]
    protocol: InDoubtProtocol
    repeat_allowed: bool

    def repeat_safe(self, target: Target, write: Write) -> bool:
        """Return whether the vendor promises that sending *write* twice changes nothing."""
        return self.protocol.get(self.kind_of(target, write), _UNSAFE).repeat_safe

    def must_look_up(self, claimed: Claimed, target: Target) -> bool:
        """Return whether the CRM must be asked before *claimed* is written.

        An entity that has ended is always looked up: what it left behind decides whether it needs a write.
        """
        if not claimed.in_doubt:
            return False
        if not self.repeat_allowed or claimed.state != "active":
            return True
        return not self.repeat_safe(target, Write(str(claimed.entity_id), claimed.crm_id, {}))


def doubts_of(vendor: Vendor, retry: RetryPolicy) -> Doubts:
    """Return what may follow a write in doubt to an account of *vendor*."""
    return Doubts(vendor.write_kind, vendor.in_doubt, retry.repeat_in_doubt)


_KEYED: Final = Promise(repeat_safe=True, reason="the port asks for upserts by external id")
LOOK_UP_ALWAYS: Final = Doubts(
    lambda _target, write: keyed_kind(write),
    {WriteKind.UPSERT: _KEYED, WriteKind.UPDATE: _KEYED},
    repeat_allowed=False,
)
"""Every write is keyed, and still every doubt is looked up: the policy's default."""


def looked_up(claimed: Claimed, found: Found | None, unread: frozenset[str] = frozenset()) -> Claimed:
    """Return *claimed* as the CRM shows it, with the verdict on the write in doubt.

    Applied: the CRM holds the record for the first time, or other values than were known before the write. What an
    earlier look-up of the same round has shown stays told: it was not settled yet.

    Args:
        unread: CRM fields that were not asked for, as no scope lets them be read.
    """
    if found is None:
        return claimed if claimed.state != "active" else replace(claimed, verdict="not_applied")
    shown = adopt_found(claimed, found, unread)
    applied = claimed.verdict == "applied" or not claimed.crm_id or shown.learned
    learned = (*claimed.learned, *shown.learned)
    return replace(shown, learned=learned, verdict="applied" if applied else "not_applied")


def repeated(claimed: Claimed) -> Claimed:
    """Return *claimed*, to be sent again without a look-up."""
    return replace(claimed, verdict="repeated")


def told(claimed: Claimed) -> tuple[Mapping[str, Any], ...]:
    """Return the changes of the audit entry about the verdict; none when nothing was in doubt."""
    if not claimed.verdict:
        return claimed.learned
    rule = "repeat_safe" if claimed.verdict == "repeated" else "looked_up"
    verdict = {"field": "#write", "before": "in_doubt", "after": claimed.verdict, "rule": rule}
    return (verdict, *claimed.learned)
