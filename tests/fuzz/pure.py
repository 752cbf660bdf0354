"""The pure parts of the door as functions of bytes: what a coverage-guided fuzzer calls millions of times in process.

A target returns for input that is taken or refused in order, and raises for anything else: that is a finding.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError
from tests.fuzz.policy import POLICY, TENANTS
from tests.fuzz.wire import damage

from headwater.event.v1 import event_pb2
from headwater.ingest.domain import paging
from headwater.ingest.domain.contract import judge, judge_policy, skew_of
from headwater.ingest.domain.envelope import WellFormed, read_envelope
from headwater.ingest.domain.event import NewEvent, Outcome
from headwater.ingest.domain.flush import decide
from headwater.ingest.domain.minting import mint
from headwater.ingest.domain.passage import Door
from headwater.ingest.rpc.translate import read_arrival, write_outcome
from headwater.ingest.store.copying import copy_stream
from headwater.ingest.store.rows import append_arguments, settle_arguments, violations_json
from headwater.kernel.errors import HeadwaterError
from headwater.kernel.ids import OBJECTS
from headwater.kernel.rpc.checks import read_page_token
from headwater.kernel.rpc.status import to_status
from headwater.kernel.telemetry import TraceContext
from headwater.policy.document import PolicyDocument
from headwater.policy.inbound import canonicalise
from headwater.policy.loading import PolicyRefused, load_policy

NOW_US: Final = 1_770_000_000_000_000
PAGE_READERS: Final[tuple[Callable[[str], Any], ...]] = (paging.read_log_token, paging.read_place_token)
_decode = msgspec.json.Decoder().decode


@cache
def _policy() -> PolicyDocument:
    return load_policy(POLICY)


@cache
def _door() -> Door:
    return Door(TENANTS[0], _policy())


def event(raw: bytes) -> None:
    """Bytes of an `Event` all the way to a row of the log, an answer, and the projection."""
    try:
        arrival = read_arrival(event_pb2.Event.FromString(raw))
    except DecodeError:
        return
    skew_s = skew_of(_policy(), arrival.source)
    read = read_envelope(arrival, now_us=NOW_US, skew_s=skew_s)
    if not isinstance(read, WellFormed):
        assert read, "refused without a rule"
        violations_json(read)
        return
    if arrival.object not in OBJECTS:
        return
    judged: Any = judge(_policy(), TENANTS[0], read)
    if isinstance(judged, Outcome):
        write_outcome(judged)
        return
    minted = mint(TENANTS[0], read, violations=judged)
    short = _door().admit(arrival, NOW_US, None)
    assert short is None or (short.event_key, short.content_hash, short.violations) == (
        minted.event_key,
        minted.content_hash,
        minted.violations,
    ), "the short way and the long one disagree"
    _record(minted)
    if not judged and read.payload:
        name = arrival.object
        found = canonicalise(_policy(), arrival.source, name, _decode(minted.payload))
        assert not found.violations, f"accepted, but not for the projection: {found.violations[0]}"


def _record(minted: NewEvent) -> None:
    decision = decide([minted, minted], {})
    assert [int(item.disposition) for item in decision.outcomes] == [int(minted.disposition), 2]
    for outcome in decision.outcomes:
        write_outcome(outcome)
    append_arguments(decision.fresh, decision.resends)
    copy_stream(decision.fresh)
    settle_arguments(decision.fresh, decision.resends)


def payload(raw: bytes) -> None:
    """Bytes as the payload of a contact, a lead, an activity."""
    for name in ("contact", "lead", "activity"):
        message = event_pb2.Event(source="shop", object=name, external_id="x", payload=raw)
        message.event_time.seconds = 1_760_000_000
        event(message.SerializeToString())


def policy(raw: bytes) -> None:
    """Bytes as the text of a policy; a policy that is taken must be able to judge."""
    try:
        document = load_policy(raw.decode("utf-8", "replace"))
    except PolicyRefused as error:
        judge_policy({"document": raw.decode("utf-8", "replace")})
        to_status(error)
        return
    probes: tuple[Any, ...] = ("01-02-93", 1, None, [], {})
    for source, system in document.systems.items():
        for name, inbound in system.inbound.items():
            for value in probes:
                canonicalise(document, source, name, {path: value for path, _ in inbound.readings()})


def page_token(raw: bytes) -> None:
    """Bytes as a page token of any list."""
    text = raw.decode("utf-8", "replace")
    for read in PAGE_READERS:
        with suppress(HeadwaterError):
            read(text)
    read_page_token(text, "events")


def trace(raw: bytes) -> None:
    """Bytes as traceparent and tracestate; what is read must read the same again."""
    parent, _, state = raw.decode("utf-8", "replace").partition("\n")
    found = TraceContext.parse(parent, state)
    if found is not None:
        assert TraceContext.parse(found.traceparent, found.tracestate) == found
        TraceContext.from_bytes(found.to_bytes(), found.tracestate)


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "event": event,
    "payload": payload,
    "policy": policy,
    "page_token": page_token,
    "trace": trace,
}


def mutated(raw: bytes, size_max: int, seed: int) -> bytes:
    """Return damaged wire bytes: a mutator that knows the wire format, for the target `event`."""
    return damage(random.Random(seed), raw)[:size_max]
