"""What was refused at the door: counted, and told in the log at a bounded rate. Owns both; decides nothing."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from headwater.kernel.errors import HeadwaterError
from headwater.kernel.security.principal import Principal

LINES_PER_S: Final = 10.0
LINES_BURST: Final = 50.0
"""Lines at once, and a second after; what is held back is counted in the next line."""
SUBJECT_CHARS_MAX: Final = 128

_log = logging.getLogger("headwater.security")


class Denials:
    """Counts denied calls by method and reason.

    Only methods that are served come here, so that the counter has as many keys as the table times the reasons.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        """By (method, reason) since the start."""
        self.held_back = 0
        """Lines not written since the last one that was."""
        self._monotonic = monotonic
        self._lines = LINES_BURST
        self._time = monotonic()

    def note(self, method: str, error: HeadwaterError, principal: Principal | None) -> None:
        """Count a denial and write its line while lines are left.

        The line names credential, method and rule; nothing of what the request was about.
        """
        self.counts[method, error.reason] += 1
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

    def _may_write(self) -> bool:
        now = self._monotonic()
        self._lines = min(LINES_BURST, self._lines + (now - self._time) * LINES_PER_S)
        self._time = now
        if self._lines < 1:
            return False
        self._lines -= 1
        return True
