"""The messages of one sender: which tenant, which records, new or sent before. Synchronous, fast, seeded.

Templates are built once; a message is one join. Identities are unique in the run: tag of the run, number of the
sender, number of the message; so nothing is a duplicate unless asked for.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, Literal

from headwater.load.payloads import Sizes, make_records
from headwater.load.wire import Record, Template, batch_head, identity, template

Shape = Literal["unary", "batch", "stream"]
Level = Literal["event", "batch"]

POOL_EVENTS: Final = 2_000
"""Different payloads of a sender, about; enough that no cache is flattered, few enough to be built in a moment."""
_POOL_TEMPLATES: Final = range(4, 257)
_REPEATED_TEMPLATES: Final = 32
"""Templates of a tenant where duplicates are asked for: each must be sent once before it can be sent again."""

ACCEPTED, DUPLICATE, QUARANTINED = 1, 2, 3
"""Dispositions expected, as the wire contract numbers them."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a sender's messages are made of.

    Args:
        batch: events of a message, 1..1000; 1 for unary.
        tenants: names, the first the busiest.
        skew: exponent of the tenants' Zipf law; 0 makes them equal.
        duplicates: share of events, or of whole messages, that were acknowledged before.
        sampled: share of messages under a sampled trace.
    """

    shape: Shape = "stream"
    batch: int = 100
    tenants: tuple[str, ...] = ("load-1",)
    skew: float = 0.0
    duplicates: float = 0.0
    level: Level = "event"
    sizes: Sizes = field(default_factory=Sizes)
    invalid: float = 0.0
    sampled: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message ready to be sent.

    Args:
        body: its events; a stream's message also needs `wire.stream_head`.
        duplicates: how many of its events were acknowledged before.
        traceparent: of the call; empty when not traced. A stream carries it in the events.
        expected: per event, the disposition due, one byte each.
        slot: which memory of identities it belongs to.
        mark: its own identity.
    """

    tenant_id: str
    body: bytes
    events: int
    duplicates: int
    traceparent: str
    expected: bytes
    slot: int
    mark: bytes


class Supply:
    """Makes messages without end; one per sender, used from one thread."""

    def __init__(
        self,
        mixture: Mixture,
        chance: random.Random,
        run_tag: str,
        sender: int,
        *,
        pool: Sequence[Record] = (),
    ) -> None:
        """Build the templates; `made` counts the messages.

        Args:
            run_tag: 8 characters, new for every run.
            sender: 0..4095.
            pool: records to use in place of made ones, a multiple of the batch's size.
        """
        self._mixture = mixture
        self._chance = chance
        self._prefix = f"{run_tag}-{sender:03x}-"
        self.made = 0
        batch = mixture.batch
        count = min(max(POOL_EVENTS // batch, _POOL_TEMPLATES.start), _POOL_TEMPLATES.stop - 1)
        records = list(pool) or make_records(chance, count * batch, mixture.sizes, mixture.invalid)
        groups = [records[first : first + batch] for first in range(0, len(records), batch)]
        events_field = 3 if mixture.shape == "stream" else 2
        self._plain = [template(group, field=events_field) for group in groups]
        self._traced = (
            [template(group, field=events_field, traced=True) for group in groups]
            if mixture.shape == "stream" and mixture.sampled
            else self._plain
        )
        self._expected = [
            bytes(QUARANTINED if item.invalid else ACCEPTED for item in group) for group in groups
        ]
        self._heads = [b"" if mixture.shape == "stream" else batch_head(name) for name in mixture.tenants]
        weights = ((rank + 1) ** -mixture.skew for rank in range(len(mixture.tenants)))
        self._heaviness = list(itertools.accumulate(weights))
        self._seen: dict[int, list[bytes]] = {}
        each = max(1, min(_REPEATED_TEMPLATES, len(groups) // len(mixture.tenants)))
        self._spread = each if mixture.duplicates else len(groups)

    def message(self, now_us: int) -> Message:
        """Return the next message; its events happened at *now_us*, microseconds since 1970."""
        mixture, chance = self._mixture, self._chance
        tenant = self._tenant()
        group = (tenant + chance.randrange(self._spread)) % len(self._plain)
        slot = tenant * len(self._plain) + group
        traceparent = self._traceparent() if mixture.sampled and chance.random() < mixture.sampled else ""
        in_events = bool(traceparent) and mixture.shape == "stream"
        cut = (self._traced if in_events else self._plain)[group]
        unique = f"{self._prefix}{self.made:011x}"
        self.made += 1
        mark = identity(unique, now_us)
        trace = identity(unique, now_us, traceparent)[len(mark) :] if in_events else b""
        again = self._again(slot, cut.events) if mixture.duplicates else ()
        head = self._heads[tenant]
        name = mixture.tenants[tenant]
        expected = self._expected[group]
        if not again:
            body = head + (mark + trace).join(cut.parts)
            return Message(name, body, cut.events, 0, traceparent, expected, slot, mark)
        seen = self._seen[slot]
        marks = [mark + trace] * cut.events
        due = bytearray(expected)
        for event in again:
            marks[event] = seen[event] + trace
            due[event] = DUPLICATE
        body = head + _joined(cut, marks)
        return Message(name, body, cut.events, len(again), traceparent, bytes(due), slot, mark)

    def acknowledged(self, message: Message) -> None:
        """Take note that every event of *message* is in the log, so that it may be sent again."""
        if not self._mixture.duplicates or message.duplicates == message.events:
            return
        seen = self._seen.get(message.slot)
        if seen is None or not message.duplicates:
            self._seen[message.slot] = [message.mark] * message.events
            return
        for event, due in enumerate(message.expected):
            if due != DUPLICATE:
                seen[event] = message.mark

    def _again(self, slot: int, events: int) -> Sequence[int]:
        """Return which events of the next message are ones sent before."""
        if slot not in self._seen:
            return ()
        share, chance = self._mixture.duplicates, self._chance
        if self._mixture.level == "batch":
            return range(events) if chance.random() < share else ()
        wanted = share * events
        count = int(wanted) + (chance.random() < wanted % 1)
        first = chance.randrange(events - count + 1) if count < events else 0
        return range(first, first + count)

    def _tenant(self) -> int:
        if len(self._heaviness) == 1:
            return 0
        return bisect(self._heaviness, self._chance.random() * self._heaviness[-1])

    def _traceparent(self) -> str:
        return f"00-{self._chance.getrandbits(128) | 1:032x}-{self._chance.getrandbits(64) | 1:016x}-01"


def _joined(cut: Template, marks: Sequence[bytes]) -> bytes:
    return b"".join(chain.from_iterable(zip(cut.parts, (*marks, b""), strict=True)))
