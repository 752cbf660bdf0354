"""The short way through the door: a plain event that keeps every rule is let in at a few microseconds. Pure.

It decides nothing of its own: `Passage.admit` either gives the very event that `read_envelope`, `judge` and
`mint` give, or None, and then those three decide (a property test holds both ways together). What is the same
for all events of a tenant, source and object is worked out once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from headwater.ingest.domain.contract import UNREADABLE_KEY
from headwater.ingest.domain.depth import may_be_deep
from headwater.ingest.domain.envelope import PAYLOAD_BYTES_MAX, SOURCE_VERSION_CHARS_MAX, actor_violations
from headwater.ingest.domain.event import EVENT_OBJECTS, NOBODY, Actor, Arrival, NewEvent
from headwater.ingest.domain.keys import Stem, canonical_payload, identify, stem_of
from headwater.kernel.ids import ENTITY_PREFIX, EXTERNAL_ID_CHARS_MAX, SOURCE_PATTERN
from headwater.kernel.telemetry import TraceContext
from headwater.kernel.telemetry.old_news import BACKFILL_STATE
from headwater.policy.contract import Keeps, compile_contract
from headwater.policy.document import PolicyDocument
from headwater.policy.pointing import FETCH_KEY

ACTORS_KEPT: Final = 1024
"""Verdicts on actors at hand."""

_UPSERTS: Final = frozenset({0, 1})
_STATES: Final = frozenset({"", BACKFILL_STATE})
"""Trace states that need no closer look."""
_decode = msgspec.json.Decoder(dict).decode
_BAD_JSON: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


class Passage(msgspec.Struct, frozen=True):
    """What is known of every event of one tenant, source and object."""

    source: str
    object: str
    stem: Stem
    keeps: Keeps
    skew_us: int
    dedup_window_s: float | None


class Door:
    """A tenant's passages under one policy.

    Args:
        policy: its systems and their objects bound the number of passages.
    """

    def __init__(self, tenant_id: str, policy: PolicyDocument) -> None:
        self.policy = policy
        self._tenant_id = tenant_id
        self._passages = dict(_passages(tenant_id, policy))

    def admit(self, arrival: Arrival, now_us: int, call: TraceContext | None) -> NewEvent | None:
        """Return the event that *arrival* is, or None where it needs a closer look."""
        passage = self._passages.get((arrival.source, arrival.object))
        time_us = arrival.event_time_us
        if (
            passage is None
            or time_us is None
            or not 0 <= time_us <= now_us + passage.skew_us
            or arrival.operation not in _UPSERTS
            or arrival.request_id
        ):
            return None
        external_id, version, raw, trace = arrival.external_id, arrival.source_version, arrival.payload, call
        if (
            not 0 < len(external_id) <= EXTERNAL_ID_CHARS_MAX
            or not external_id.isprintable()
            or external_id.startswith(ENTITY_PREFIX)
            or (version and not (len(version) <= SOURCE_VERSION_CHARS_MAX and version.isprintable()))
            or (arrival.actor is not NOBODY and not _is_fine(arrival.actor))
            or len(raw) > PAYLOAD_BYTES_MAX
            or (b"\\" in raw and b"\\u0000" in raw)
            or ((b"[" in raw or raw.find(b"{", 1) > 0) and may_be_deep(raw))
        ):
            return None
        if arrival.traceparent:
            state = arrival.tracestate
            trace = None if state not in _STATES else TraceContext.parse(arrival.traceparent, state)
            if trace is None:
                return None
        try:
            payload = _decode(raw)
            if UNREADABLE_KEY in payload or FETCH_KEY in payload or not passage.keeps(payload):
                return None
            canonical = canonical_payload(payload)
        except _BAD_JSON:
            return None
        key, content, record = identify(self._tenant_id, passage.stem, arrival, time_us, 1, canonical)
        return NewEvent(  # by position, in the order of its fields: half the price of names
            self._tenant_id, key, content, record, passage.source, passage.object, external_id, version,
            time_us, 1, raw, arrival.actor, "", trace, (), None, passage.dedup_window_s,
        )  # fmt: skip


@lru_cache(ACTORS_KEPT)
def _is_fine(actor: Actor) -> bool:
    return not actor_violations(actor, "")


def _passages(tenant_id: str, policy: PolicyDocument) -> list[tuple[tuple[str, str], Passage]]:
    found: list[tuple[tuple[str, str], Passage]] = []
    for source, system in policy.systems.items():
        for object_name in system.inbound:
            keeps = compile_contract(policy, source, object_name)
            if keeps is None or object_name not in EVENT_OBJECTS or not SOURCE_PATTERN.fullmatch(source):
                continue
            stem = stem_of(tenant_id, source, object_name)
            passage = Passage(
                source, object_name, stem, keeps, int(system.clock_skew_s * 1e6), system.dedup_window_s
            )
            found.append(((source, object_name), passage))
    return found
