"""What was refused at the door: counted, told in the log at a bounded rate, and held for the audit of the caller's tenant.

Owns all three; decides nothing. A flood is one entry of the audit with its count: there are as many as different refusals,
and beyond a bound they share one for each tenant. A caller without a good credential has no tenant: it is counted and
told in the log alone.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import anyio

from headwater.kernel.errors import HeadwaterError
from headwater.kernel.security.principal import Principal

LINES_PER_S: Final = 10.0
LINES_BURST: Final = 50.0
"""Lines at once, and a second after; what is held back is counted in the next line."""
SUBJECT_CHARS_MAX: Final = 128

HELD_MAX: Final = 200
"""Different refusals that are held for the audit between two writes; what comes beyond shares an entry by tenant."""
WRITE_S: Final = 30.0
"""Between two writes to the audit."""
LAST_WRITE_S: Final = 2.0
OTHERS: Final = "(others)"
"""In place of a subject, where there are too many."""

_log = logging.getLogger("headwater.security")


@dataclass(frozen=True, slots=True)
class Denied:
    """What was refused, alike for every call of a flood.

    Args:
        tenant_id: the only tenant of the credential, in whose audit it is told.
        named: the tenant that the call named, where it was refused for that.
    """

    tenant_id: str
    subject: str
    method: str
    reason: str
    named: str = ""


class DenialBook(Protocol):
    """Where refusals are kept for good."""

    async def write(self, denied: Sequence[tuple[Denied, int]]) -> bool:
        """Write refusals, each with how often; return whether they are written."""
        ...


class Tally(Protocol):
    """What counts refusals by reason for /metrics."""

    def of(self, *labels: str) -> Tallied:
        """Return what counts under these labels."""
        ...


class Tallied(Protocol):
    """One count."""

    def add(self, amount: float = 1.0) -> None:
        """Count."""
        ...


class Denials:
    """Counts denied calls by method and reason.

    Only methods that are served come here, so that the counter has as many keys as the table times the reasons.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        """By (method, reason) since the start."""
        self.held_back = 0
        """Lines not written since the last one that was."""
        self.tally: Tally | None = None
        self._held: Counter[Denied] = Counter()
        self._monotonic = monotonic
        self._lines = LINES_BURST
        self._time = monotonic()

    def note(self, method: str, error: HeadwaterError, principal: Principal | None) -> None:
        """Count a denial and write its line while lines are left.

        The line names credential, method and rule; nothing of what the request was about.
        """
        self.counts[method, error.reason] += 1
        if self.tally is not None:
            self.tally.of(error.reason).add()
        if principal is not None and principal.only_tenant:
            named = str((error.metadata or {}).get("tenant_id", ""))
            subject = principal.subject[:SUBJECT_CHARS_MAX]
            self._hold(Denied(principal.only_tenant, subject, method, error.reason, named), 1)
        if not self._may_write():
            self.held_back += 1
            return
        fields = {
            "method": method,
            "reason": error.reason,
            "subject": principal.subject[:SUBJECT_CHARS_MAX] if principal is not None else "",
            "authenticated_by": principal.method if principal is not None else "",
            "held_back": self.held_back,
        }
        self.held_back = 0
        _log.warning("denied", extra=fields)

    def take(self) -> list[tuple[Denied, int]]:
        """Return what was refused since the last time, each with how often."""
        held, self._held = self._held, Counter()
        return list(held.items())

    def give_back(self, denied: Sequence[tuple[Denied, int]]) -> None:
        """Hold what could not be written, for the next time."""
        for one, count in denied:
            self._hold(one, count)

    async def keep(self, book: DenialBook) -> None:
        """Write what is held from time to time until cancelled, and once more then."""
        try:
            while True:
                await anyio.sleep(WRITE_S)
                await self.write(book)
        finally:
            with anyio.move_on_after(LAST_WRITE_S, shield=True):
                await self.write(book)

    async def write(self, book: DenialBook) -> None:
        """Write what is held; what cannot be written now is held on."""
        denied = self.take()
        if denied and not await book.write(denied):
            self.give_back(denied)

    def _hold(self, denied: Denied, count: int) -> None:
        if denied not in self._held and len(self._held) >= HELD_MAX:
            denied = Denied(denied.tenant_id, OTHERS, "", "")
        self._held[denied] += count

    def _may_write(self) -> bool:
        now = self._monotonic()
        self._lines = min(LINES_BURST, self._lines + (now - self._time) * LINES_PER_S)
        self._time = now
        if self._lines < 1:
            return False
        self._lines -= 1
        return True
