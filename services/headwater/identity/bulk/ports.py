"""Where a scan's records come from, in words of the scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class Records(Protocol):
    """A set of records that stays as it is while it is scanned, numbered from 0 without gaps.

    Read by range from several processes, so an implementation can be pickled and opens nothing before it is read.
    """

    @property
    def fields(self) -> Sequence[str]:
        """Names of the values behind number and id."""
        ...

    @property
    def count(self) -> int:
        """How many records there are."""
        ...

    def read(self, start: int, stop: int) -> Iterator[tuple[int, str, Sequence[str | None]]]:
        """Yield number, id and values of the records from *start* to before *stop*, in order."""
        ...
