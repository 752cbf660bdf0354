"""When a batch leaves, and when an event has to wait outside."""

from __future__ import annotations

from headwater.client.gather import Gather
from headwater.client.settings import RecorderSettings

_SETTINGS = RecorderSettings(
    linger_s=1.0, batch_events_max=3, batch_bytes_max=100, buffer_events_max=6, buffer_bytes_max=200
)


def test_a_lone_event_leaves_after_its_linger() -> None:
    """Counted from the first look at it."""
    gather = Gather(_SETTINGS)
    gather.add(b"a", None)
    assert gather.take(5.0) is None
    assert gather.due_time == 6.0
    assert gather.take(5.9) is None
    batch = gather.take(6.0)
    assert batch is not None
    assert batch.bodies == [b"a"]


def test_a_full_batch_leaves_at_once() -> None:
    """By rows; the next event begins another."""
    gather = Gather(_SETTINGS)
    news = [taken[2] for taken in (gather.add(b"a", None) for _ in range(4)) if taken]
    assert news == [True, False, True, True]
    batch = gather.take(0.0)
    assert batch is not None
    assert batch.count == 3
    assert gather.take(0.0) is None


def test_a_batch_never_grows_past_its_bytes() -> None:
    """An event that does not fit opens the next batch, in order."""
    gather = Gather(_SETTINGS)
    gather.add(b"a" * 60, None)
    gather.add(b"b" * 60, None)
    first = gather.take(0.0)
    assert first is not None
    assert first.bodies == [b"a" * 60]


def test_a_full_buffer_takes_nothing_until_something_is_settled() -> None:
    """Events in flight count too."""
    gather = Gather(_SETTINGS)
    for _ in range(6):
        assert gather.add(b"a", None)
    batch = gather.take(0.0)
    assert batch is not None
    assert gather.add(b"b", None) is None
    gather.release(batch)
    assert gather.add(b"b", None)


def test_an_event_larger_than_the_buffer_is_taken_alone() -> None:
    """Else it would wait for ever."""
    gather = Gather(_SETTINGS)
    assert gather.add(b"x" * 500, None)
    assert gather.add(b"y", None) is None
