"""What the engine logs while it is simulated, in the run's own journal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tests.simulation.journal import Journal


class _Remarks(logging.Handler):
    """Puts what the engine logs into the journal."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write it down, with the end of its traceback."""
        self._journal.remark(f"{record.name}: {self.format(record)}")


@contextmanager
def logged_to(journal: Journal) -> Iterator[None]:
    """Have the engine's log nowhere but in a journal that is kept."""
    log = logging.getLogger("headwater")
    handler, propagate, level = _Remarks(journal), log.propagate, log.level
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.WARNING if journal.keeps else logging.CRITICAL)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagate
        log.setLevel(level)
