"""Strategies made from descriptors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.fuzz.methods import IDENTITY, INGEST, SYNC, Method
from tests.fuzz.strategies import INGEST_HINTS, message_strategy, payloads

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2

SEED = 20_261_121
METHODS = [*INGEST.values(), *IDENTITY.values(), *SYNC.values()]
FAST = settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("method", METHODS, ids=lambda item: f"{item.service}.{item.name}")
def test_every_request_can_be_generated(method: Method) -> None:
    """Messages of every method's request come out, and go over the wire and back unchanged."""

    @FAST
    @given(message_strategy(method.request.DESCRIPTOR, INGEST_HINTS))
    def check(message: Message) -> None:
        again = method.request.FromString(message.SerializeToString(deterministic=True))
        assert again.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)

    check()


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Return that many values; which, Hypothesis decides by the seed and by the modules that are loaded."""
    found: list[Any] = []

    @seed(SEED)
    @settings(FAST, max_examples=count, database=None, phases=[Phase.generate])
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


@pytest.fixture(scope="module")
def events() -> list[event_pb2.Event]:
    """A thousand events: every edge below is in one of fifty."""
    return drawn(message_strategy(event_pb2.Event.DESCRIPTOR, INGEST_HINTS), 1_000)


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    """Payloads by themselves: the rarest edge below is in one of two hundred."""
    return drawn(payloads, 2_500)


@pytest.mark.parametrize(
    ("wanted", "condition"),
    [
        ("an operation unknown to the contract", lambda item: item.operation not in {0, 1, 2}),
        ("negative nanoseconds", lambda item: item.event_time.nanos < 0),
        ("a time beyond the year 9999", lambda item: item.event_time.seconds > 253_402_300_799),
        ("NUL in a text", lambda item: "\0" in item.external_id),
        ("four-byte characters", lambda item: any(ord(char) > 0xFFFF for char in item.external_id)),
        ("no time at all", lambda item: not item.HasField("event_time")),
    ],
)
def test_edges_are_reached(
    wanted: str, condition: Callable[[event_pb2.Event], bool], events: list[event_pb2.Event]
) -> None:
    """Each kind of odd value turns up."""
    assert any(condition(item) for item in events), wanted


@pytest.mark.parametrize(
    ("wanted", "condition"),
    [
        ("NaN", lambda body: b"NaN" in body),
        ("invalid UTF-8", lambda body: b"\xff" in body),
        ("depth", lambda body: body.count(b"[") > 900),
    ],
)
def test_edges_of_payloads_are_reached(
    wanted: str, condition: Callable[[bytes], bool], bodies: list[bytes]
) -> None:
    """Each kind of odd payload turns up."""
    assert any(condition(body) for body in bodies), wanted


def test_recursion_is_bounded() -> None:
    """Nothing below the given depth is filled in."""
    descriptor = ingest_pb2.BatchRecordEventsRequest.DESCRIPTOR

    @FAST
    @given(message_strategy(descriptor, depth_max=0))
    def check(message: Message) -> None:
        assert isinstance(message, ingest_pb2.BatchRecordEventsRequest)
        assert not message.events

    check()
