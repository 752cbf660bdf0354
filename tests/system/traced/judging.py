"""What has to be true of every span, log line and number of a run. Pure: facts in, violations out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.system.graphs import loose_links, orphans
from tests.system.traced.producing import DOMAIN, EMAIL, FIRST_NAME, LAST_NAME, PHONE, TOKEN

from headwater.console.model import StoredSpan
from headwater.kernel.telemetry.names import (
    LINK_CREATION,
    LINK_PREVIOUS_ATTEMPT,
    is_registered_span,
    unregistered,
)

SpanId = tuple[str, str]
"""Trace id and span id."""
PLANTED: Final = re.compile(
    "|".join(
        (
            *(EMAIL, DOMAIN, FIRST_NAME, LAST_NAME, rf"(?:49|\b) ?{PHONE}\d{{6}}\b", TOKEN),
            *("sandbox-secret", "sandbox-refresh", r"hs-t\d\d-", r"00D5500000Hdwtr!"),
        )
    ),
    re.IGNORECASE,
)
"""Addresses, names, phones, keys of the events, and secrets and tokens of the CRMs."""
FIND_S_MAX: Final = 0.1


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a delivery, as the database has it."""

    connector: str
    entity_id: str
    number: int
    outcome: str
    span: SpanId


@dataclass(frozen=True, slots=True)
class History:
    """All that a run left behind.

    Args:
        spans: every span of the store.
        attempts: every attempt of the tenant.
        contexts: event key to its producer's span.
        texts: where to text: what processes logged, what their pages of numbers say.
        find_s: event key to how long the store took to find its traces; those not found are missing.
        lost: spans that processes say they could not export, by process.
    """

    spans: Sequence[StoredSpan]
    attempts: Sequence[Attempt]
    contexts: Mapping[str, SpanId]
    texts: Mapping[str, str]
    find_s: Mapping[str, float]
    asked: Sequence[str] = ()
    lost: Mapping[str, float] = field(default_factory=dict)


def judge(history: History) -> dict[str, list[str]]:
    """Return violations by oracle; every oracle is named, those content with an empty list."""
    return {
        "orphans": [_told(span) for span in orphans(history.spans)],
        "links into nothing": [f"{link.trace_id} {link.span_id}" for link in loose_links(history.spans)],
        "deliveries without their event": list(_unconnected(history)),
        "events without their commit": list(_unrecorded(history)),
        "names not registered": list(_unregistered(history.spans)),
        "planted values": list(_planted(history)),
        "not found, or late": list(_not_found(history)),
        "spans lost": [f"{name}: {count:g}" for name, count in history.lost.items() if count],
    }


def _told(span: StoredSpan) -> str:
    return f"{span.service} {span.name} {span.trace_id} {span.span_id}"


def _unconnected(history: History) -> Iterable[str]:
    """Yield attempts whose span is missing, or from which parents and causes do not lead to the event's producer."""
    known = {(span.trace_id, span.span_id): span for span in history.spans}
    for attempt in history.attempts:
        span = known.get(attempt.span)
        if span is None:
            yield f"{attempt}: its span is not in the store"
            continue
        key = str(span.attributes.get("headwater.event_key"))
        wanted = history.contexts.get(key)
        if wanted is None:
            yield f"{attempt}: {_told(span)} names no event of the run"
        elif wanted not in _causes(span, known):
            yield f"{attempt}: nothing leads from {_told(span)} to the producer of {key}"


def _causes(span: StoredSpan, known: Mapping[SpanId, StoredSpan]) -> set[SpanId]:
    """Return every span that parents, creations and earlier attempts lead to."""
    found: set[SpanId] = set()
    ahead = [span]
    while ahead:
        here = ahead.pop()
        follow = [(here.trace_id, here.parent_span_id)] if here.parent_span_id else []
        follow += [
            (link.trace_id, link.span_id)
            for link in here.links
            if link.attributes.get("headwater.link_role") in {LINK_CREATION, LINK_PREVIOUS_ATTEMPT}
        ]
        for there in follow:
            if there not in found:
                found.add(there)
                ahead += [known[there]] if there in known else []
    return found


def _unrecorded(history: History) -> Iterable[str]:
    """Yield accepted events that no `send event_log` links to."""
    linked = {
        (link.trace_id, link.span_id)
        for span in history.spans
        if span.name == "send event_log"
        for link in span.links
    }
    return (key for key, context in history.contexts.items() if context not in linked)


def _unregistered(spans: Iterable[StoredSpan]) -> Iterable[str]:
    for span in spans:
        carried = [*span.attributes, *(name for link in span.links for name in link.attributes)]
        carried += [name for happened in span.events for name in happened.attributes]
        for name in unregistered(carried):
            yield f"attribute {name} on {_told(span)}"
        if not is_registered_span(span.kind, span.name):
            yield f"name {span.kind} {span.name}"


def _planted(history: History) -> Iterable[str]:
    for span in history.spans:
        if found := PLANTED.search(repr(span)):
            yield f"{found[0]} on {_told(span)}"
    for where, text in history.texts.items():
        for line in text.splitlines():
            if found := PLANTED.search(line):
                yield f"{found[0]} in {where}: {line[:300]}"


def _not_found(history: History) -> Iterable[str]:
    for key in history.asked:
        took_s = history.find_s.get(key)
        if took_s is None:
            yield f"{key}: not found"
        elif took_s > FIND_S_MAX:
            yield f"{key}: found after {took_s * 1e3:.0f} ms"
