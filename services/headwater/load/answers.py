"""What acknowledgements say, read cheaply, or fully on request. Owns the comparison of outcomes with what is due."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Final

from headwater.ingest.v1 import ingest_pb2
from headwater.load.meter import Meter, Timing
from headwater.load.supply import ACCEPTED, DUPLICATE, QUARANTINED, Message, Shape, Supply
from headwater.load.wire import Counted, count_outcomes

KEYS_MAX: Final = 20_000_000
"""Keys that a sender with `verify` remembers, about 100 bytes each; beyond that, a repeated key is not looked for."""


class Ledger:
    """Books the answers of one sender.

    Args:
        verify: parse every answer, compare each outcome with the one due, and see that no key is new twice.
    """

    def __init__(self, shape: Shape, supply: Supply, meter: Meter, *, verify: bool = False) -> None:
        self._shape = shape
        self._supply = supply
        self._meter = meter
        self._verify = verify
        self._keys: set[bytes] = set()

    def book(self, message: Message, answer: bytes, timing: Timing, *, resent: bool = False) -> None:
        """Count an answer to *message*.

        Args:
            resent: it was sent before and pushed back, so that duplicates are no surprise.
        """
        counted = count_outcomes(answer)
        unexpected = 0
        if self._verify or counted.recorded != message.events:
            counted, unexpected = self._read(message, answer, resent=resent)
        elif counted.duplicate > message.duplicates and not resent:
            unexpected = counted.duplicate - message.duplicates
        self._meter.answered(timing)
        refused = max(0, message.events - counted.recorded)
        self._meter.add(
            messages=1,
            events=message.events,
            accepted=counted.accepted,
            duplicate=counted.duplicate,
            quarantined=counted.quarantined,
            refused=refused,
            fresh_recorded=max(0, counted.recorded - message.duplicates),
            unexpected=unexpected,
            bytes_received=len(answer),
        )
        if not refused:
            self._supply.acknowledged(message)

    def _read(self, message: Message, answer: bytes, *, resent: bool) -> tuple[Counted, int]:
        """Parse an answer; return its counts and how many outcomes were not the ones due."""
        outcomes = _outcomes(self._shape, answer)
        said = [int(outcome.disposition) for outcome in outcomes]
        unexpected = abs(len(said) - message.events)
        for outcome, due in zip(outcomes, message.expected, strict=False):
            again = resent and outcome.disposition == DUPLICATE
            twice = self._verify and outcome.disposition != DUPLICATE and self._known(outcome.event_key)
            unexpected += (outcome.disposition != due and not again) or twice
        tally = Counter(said)
        return Counted(tally[ACCEPTED], tally[DUPLICATE], tally[QUARANTINED]), unexpected

    def _known(self, key: str) -> bool:
        """Remember a key that was told new; return whether it had been told new before."""
        if not key:
            return False
        raw = uuid.UUID(key).bytes
        if raw in self._keys:
            return True
        if len(self._keys) < KEYS_MAX:
            self._keys.add(raw)
        return False


def _outcomes(shape: Shape, answer: bytes) -> list[ingest_pb2.EventOutcome]:
    if shape == "stream":
        return list(ingest_pb2.StreamEventsResponse.FromString(answer).outcomes)
    if shape == "batch":
        return list(ingest_pb2.BatchRecordEventsResponse.FromString(answer).outcomes)
    return [ingest_pb2.RecordEventResponse.FromString(answer).outcome]
