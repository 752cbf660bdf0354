"""The oracles of traced runs: each notices the one thing it is there for, and only that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.system.traced.judging import Attempt, History, judge

from headwater.console.model import SpanLink, StoredSpan

KEY = "0198f2c0-0000-7000-8000-000000000001"
TRACE, OTHER = "a" * 32, "b" * 32


def _span(name: str, kind: str, span_id: str, parent: str | None = None, **more: object) -> StoredSpan:
    given: dict[str, object] = {"trace_id": TRACE, "service": "sync", **more}
    return StoredSpan(
        span_id=span_id * 16, parent_span_id=parent and parent * 16, name=name, kind=kind, status="UNSET", start_ns=0,
        end_ns=1, **given,  # type: ignore[arg-type]
    )  # fmt: skip


def _link(span_id: str, role: str, trace_id: str = TRACE) -> SpanLink:
    return SpanLink(trace_id, span_id * 16, {"headwater.link_role": role})


PRODUCER = _span("import row", "INTERNAL", "1", service="producer")
SEND = _span(
    "send event_log", "PRODUCER", "2", trace_id=OTHER, service="ingest", links=(_link("1", "member"),)
)
PROJECTION = _span("process headwater.events", "CONSUMER", "3", "1", links=(_link("1", "creation"),))
DELIVERY = _span(
    "process headwater.deliveries", "CONSUMER", "4", "3", attributes={"headwater.event_key": KEY}
)
RETRY = _span(
    "process headwater.deliveries", "CONSUMER", "5", trace_id="c" * 32, attributes={"headwater.event_key": KEY},
    links=(_link("3", "creation"), _link("4", "previous_attempt")),
)  # fmt: skip
ATTEMPTS = (
    Attempt("hubspot", "e", 1, "failed", (TRACE, "4" * 16)),
    Attempt("hubspot", "e", 2, "created", ("c" * 32, "5" * 16)),
)
SOUND = History(
    spans=(PRODUCER, SEND, PROJECTION, DELIVERY, RETRY), attempts=ATTEMPTS, contexts={KEY: (TRACE, "1" * 16)},
    texts={"log of sync": "settled 1 delivery"}, find_s={KEY: 0.01}, asked=(KEY,), lost={"metrics of sync-1": 0},
)  # fmt: skip


def _found(history: History) -> set[str]:
    return {oracle for oracle, violations in judge(history).items() if violations}


def _with(*spans: StoredSpan) -> History:
    changed = {span.span_id: span for span in spans}
    return replace(SOUND, spans=tuple(changed.get(span.span_id, span) for span in SOUND.spans))


def _without(*spans: StoredSpan) -> History:
    return replace(SOUND, spans=tuple(span for span in SOUND.spans if span not in spans))


def test_a_sound_run_is_found_sound() -> None:
    """Parents, links of creation and of the attempt before lead every delivery to its producer."""
    assert _found(SOUND) == set()


@pytest.mark.parametrize(
    ("history", "oracle"),
    [
        (_with(replace(SEND, parent_span_id="9" * 16)), "orphans"),
        (_with(replace(RETRY, links=(*RETRY.links, _link("9", "member")))), "links into nothing"),
        (_with(replace(RETRY, links=())), "deliveries without their event"),
        (_with(replace(RETRY, links=(_link("3", "member"),))), "deliveries without their event"),
        (_without(RETRY), "deliveries without their event"),
        (_with(replace(DELIVERY, attributes={})), "deliveries without their event"),
        (_with(replace(SEND, links=())), "events without their commit"),
        (_with(replace(DELIVERY, attributes={**DELIVERY.attributes, "email": ""})), "names not registered"),
        (_with(replace(SEND, links=(replace(SEND.links[0], attributes={"who": "x"}),))), "names not registered"),
        (_with(replace(DELIVERY, name="process contact 42")), "names not registered"),
        (_with(replace(DELIVERY, kind="CLIENT", name="GET /crm/v3/objects/contacts/4711")), "names not registered"),
        (_with(replace(DELIVERY, status_message="canary.7@north.example exists")), "planted values"),
        (replace(SOUND, texts={"log": "refused: +49 3055000007"}), "planted values"),
        (replace(SOUND, texts={"log": "refused: +493055000007"}), "planted values"),
        (replace(SOUND, texts={"metrics": 'x{who="wilhelmina"} 1'}), "planted values"),
        (replace(SOUND, texts={"log": "Authorization: Bearer hs-t00-123"}), "planted values"),
        (replace(SOUND, texts={"log": "planted-token-3"}), "planted values"),
        (replace(SOUND, find_s={}), "not found, or late"),
        (replace(SOUND, find_s={KEY: 0.11}), "not found, or late"),
        (replace(SOUND, lost={"metrics of sync-1": 1}), "spans lost"),
    ],
)  # fmt: skip
def test_each_oracle_notices_its_fault(history: History, oracle: str) -> None:
    """One planted fault, one oracle that objects."""
    assert _found(history) == {oracle}


@pytest.mark.parametrize(
    "text", ["1763055000007 ns", "event_key=0198f2c0-3055-7000-8000-000000000001", "port 30550"]
)
def test_numbers_that_only_look_alike_are_no_phones(text: str) -> None:
    """Times, ids and ports of a log are not taken for what was planted."""
    assert _found(replace(SOUND, texts={"log": text})) == set()
