"""Which rows are parked whose handling fails unexpectedly, and when the account is to blame instead. Pure.

A row is parked when others of its batch went through, or when it failed alone again and again. When
nothing of a batch goes through, the cause is most likely not in the rows: parking them all would bury
a whole queue under one fault of ours. So then one row at a time is parked, after several rounds, and the
counts of the others begin anew: two bad rows that are all there is to do are both parked in the end, and
a fault of ours costs a queue a few rows, not all of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Final

ALONE_TRIES: Final = 3
"""Unexpected failures of a row, nothing else of its batch being handled, after which it is parked."""
SUSPECTS_MAX: Final = 1_000
"""Rows whose failures are counted at once; the ones that failed longest ago are forgotten."""


class Suspects:
    """How often rows have failed by themselves since they were last handled; outlives the actors that they fail."""

    def __init__(self) -> None:
        self._tries: dict[uuid.UUID, int] = {}

    def failed(self, entities: Sequence[uuid.UUID]) -> list[int]:
        """Count one more failure of each; return how many each has had."""
        for entity_id in entities:
            self._tries[entity_id] = self._tries.pop(entity_id, 0) + 1
        found = [self._tries[entity_id] for entity_id in entities]
        for entity_id in list(self._tries)[: max(0, len(self._tries) - SUSPECTS_MAX)]:
            del self._tries[entity_id]
        return found

    def clear(self, entities: Iterable[uuid.UUID]) -> None:
        """Forget the failures of *entities*: they were handled, or are to be judged anew."""
        for entity_id in entities:
            self._tries.pop(entity_id, None)


def choose_parked(tries: Sequence[int], passed: int) -> Collection[int]:
    """Return the indexes of the rows to park; none: the account starts again, with a pause.

    Args:
        tries: of each row whose handling raised even alone, 1 or more: its failures, this one included.
        passed: rows of the same batch that were handled.
    """
    if passed:
        return range(len(tries))
    worst = max(range(len(tries)), key=tries.__getitem__)
    return (worst,) if tries[worst] >= ALONE_TRIES else ()
