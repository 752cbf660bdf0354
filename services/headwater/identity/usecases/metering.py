"""What identity counts: a call at a time. Knows the metrics' names, decides nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter

from headwater.identity.domain.resolving.values import Resolution
from headwater.kernel.metrics import Metrics, names

_kind = attrgetter("kind")


class ResolveMeter:
    """The counters of one process's resolving.

    Args:
        ticks: seconds of a clock that never goes back.
    """

    def __init__(self, metrics: Metrics | None = None, ticks: Callable[[], float] = time.monotonic) -> None:
        metrics = metrics or Metrics()
        self._records = metrics.counter(names.IDENTITY_RECORDS)
        self._latency = metrics.histogram(names.IDENTITY_RESOLVE).of()
        self._ticks = ticks

    @contextmanager
    def resolving(self) -> Iterator[None]:
        """Time what the block resolves; what fails is not counted here."""
        begun_s = self._ticks()
        yield
        self._latency.observe((self._ticks() - begun_s,))

    def resolved(self, resolutions: Sequence[Resolution]) -> None:
        """Count what became of records."""
        for kind, count in Counter(map(_kind, resolutions)).items():
            self._records.of(kind).add(count)
