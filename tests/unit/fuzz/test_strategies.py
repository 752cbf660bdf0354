"""Strategies made from descriptors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.fuzz.methods import IDENTITY, INGEST, SYNC, Method
from tests.fuzz.strategies import INGEST_HINTS, message_strategy

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


@pytest.fixture(scope="module")
def events() -> list[event_pb2.Event]:
    """A thousand generated events, the same ones each time."""
    found: list[event_pb2.Event] = []

    @seed(SEED)
    @settings(FAST, max_examples=2_000, database=None, derandomize=False, phases=[Phase.generate])
    @given(message_strategy(event_pb2.Event.DESCRIPTOR, INGEST_HINTS))
    def collect(message: event_pb2.Event) -> None:
        found.append(message)

    collect()
    return found


@pytest.mark.parametrize(
    ("wanted", "condition"),
    [
        ("an operation unknown to the contract", lambda item: item.operation not in {0, 1, 2}),
        ("negative nanoseconds", lambda item: item.event_time.nanos < 0),
        ("a time beyond the year 9999", lambda item: item.event_time.seconds > 253_402_300_799),
        ("NUL in a text", lambda item: "\0" in item.external_id),
        ("four-byte characters", lambda item: any(ord(char) > 0xFFFF for char in item.external_id)),
        ("NaN in a payload", lambda item: b"NaN" in item.payload),
        ("invalid UTF-8 in a payload", lambda item: b"\xff" in item.payload),
        ("a deep payload", lambda item: item.payload.count(b"[") > 900),
        ("no time at all", lambda item: not item.HasField("event_time")),
    ],
)
def test_edges_are_reached(
    wanted: str, condition: Callable[[event_pb2.Event], bool], events: list[event_pb2.Event]
) -> None:
    """Each kind of odd value turns up."""
    assert any(condition(item) for item in events), wanted


def test_recursion_is_bounded() -> None:
    """Nothing below the given depth is filled in."""
    descriptor = ingest_pb2.BatchRecordEventsRequest.DESCRIPTOR

    @FAST
    @given(message_strategy(descriptor, depth_max=0))
    def check(message: Message) -> None:
        assert isinstance(message, ingest_pb2.BatchRecordEventsRequest)
        assert not message.events

    check()
