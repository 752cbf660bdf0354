"""What answers have told so far: keys to ask for again, pages to go on with, and every key that is in the log."""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from typing import Final

POOL_MAX: Final = 4_096


class Pool:
    """The newest pairs of tenant and text, up to a bound."""

    def __init__(self) -> None:
        self._items: list[tuple[str, str]] = []
        self._next = 0

    def add(self, tenant: str, text: str) -> None:
        """Keep a pair, in place of the oldest when there are enough."""
        if len(self._items) < POOL_MAX:
            self._items.append((tenant, text))
        else:
            self._items[self._next] = (tenant, text)
            self._next = (self._next + 1) % POOL_MAX

    def pick(self, chance: random.Random) -> tuple[str, str] | None:
        """Return one of them, None when there is none."""
        return self._items[chance.randrange(len(self._items))] if self._items else None


class Seen:
    """The memory of a run."""

    def __init__(self) -> None:
        self.recorded = Pool()
        self.quarantined = Pool()
        self.tokens = Pool()
        self.keys: defaultdict[str, set[bytes]] = defaultdict(set)
        """By tenant, every key that an answer called recorded."""
        self.uncertain: defaultdict[str, int] = defaultdict(int)
        """By tenant, how many events were sent whose outcome was never told."""

    def note(self, tenant: str, key: str, *, quarantined: bool) -> None:
        """Remember that an event is in the log."""
        self.keys[tenant].add(uuid.UUID(key).bytes)
        (self.quarantined if quarantined else self.recorded).add(tenant, key)

    def knows(self, tenant: str, key: str) -> bool:
        """Tell whether an answer said that the event is in the log."""
        try:
            return uuid.UUID(key).bytes in self.keys[tenant]
        except ValueError:
            return False
