"""Which policy an event is read by when the log is projected again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import pytest
from tests.unit.sync.tenant import NOON, POLICY, TENANT

from headwater.policy.loading import policy_digest
from headwater.sync.domain.log import LogEvent, Position, RecordKey
from headwater.sync.domain.reading import Reading, RecordReading, Subject
from headwater.sync.projector.moments import Moments, RecordedPolicy

pytestmark = pytest.mark.anyio
HOME = uuid.UUID(int=77)


class Recorded:
    """Policies at places of the log, and up to where one shard is projected again."""

    def __init__(self, until: Position | None) -> None:
        self.until = until
        self.asked = 0
        self.homes = {_key("old"): HOME, _key("held"): HOME, _key("new"): HOME}
        self.wanted: list[RecordKey] = []

    async def recorded_to(self, shards: Sequence[int]) -> Mapping[int, Position]:
        """Count who asks."""
        self.asked += 1
        return {} if self.until is None else dict.fromkeys(shards, self.until)

    async def recorded_policies(self) -> Sequence[RecordedPolicy]:
        """Versions 8, one that nobody can read, and 9."""
        texts = {5: _version(8), 7: "neither", 9: _version(9)}
        return [
            RecordedPolicy(TENANT, Position(1, seq), policy_digest(text), text) for seq, text in texts.items()
        ]

    async def homes_of(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, uuid.UUID]:
        """Note whom was asked about."""
        self.wanted = list(keys)
        return {key: self.homes[key] for key in keys if key in self.homes}


def _key(name: str) -> RecordKey:
    return RecordKey(TENANT, "contact", "crm", name)


def _reading(seq: int, name: str, refers_to: str = "") -> RecordReading:
    references = {"owner": Subject(_key(refers_to), {})} if refers_to else {}
    return RecordReading(_event(seq), {}, Subject(_key(name), {}), references=references)


def _version(number: int) -> str:
    return POLICY.replace('version: "7"', f'version: "{number}"')


def _event(seq: int, shard: int = 0) -> LogEvent:
    key = uuid.UUID(int=seq)
    return LogEvent(
        TENANT, key, "crm", "contact", "c", NOON, NOON, 1, "", b"{}", None, shard, Position(1, seq)
    )


async def _read(moments: Moments, *seqs: int) -> list[str | None]:
    events = [_event(seq) for seq in seqs]
    await moments.look(events)
    return [None if (found := moments.of(event)) is None else found.version for event in events]


async def test_each_event_is_read_by_the_last_policy_before_it() -> None:
    """The first one also before it; one that cannot be read leaves the one before; behind the end, the one in force."""
    moments = Moments(Recorded(Position(1, 12)))
    assert await _read(moments, 1, 6, 8) == ["8", "8", "8"]
    assert await _read(moments, 10, 12, 13) == ["9", "9", None]
    assert await _read(moments, 14) == [None]


async def test_a_shard_that_goes_on_asks_nothing_of_the_store() -> None:
    """Only a shard that begins anew does: the log may be projected again since."""
    store = Recorded(None)
    moments = Moments(store)
    assert await _read(moments, 1, 2) == [None, None]
    assert await _read(moments, 3) == [None]
    assert store.asked == 1
    store.until = Position(1, 20)
    assert await _read(moments, 1) == ["8"]
    assert store.asked == 2


async def test_identity_is_not_asked_about_records_that_are_placed_again() -> None:
    """What has no home yet, what others refer to, and what comes behind the end of the log of then is asked about."""
    store = Recorded(Position(1, 12))
    moments = Moments(store)
    readings: list[Reading] = [
        _reading(1, "old"), _reading(2, "unplaced", refers_to="held"), _reading(3, "held"),
        _reading(12, "new"), _reading(13, "new"),
    ]  # fmt: skip
    await moments.look([reading.event for reading in readings])
    assert await moments.placed(readings) == {_key("old"): HOME}
    assert store.wanted == [_key("old"), _key("unplaced")]


async def test_who_follows_the_log_asks_for_no_homes() -> None:
    """As a rule the log is projected once: then every record is asked about, and nothing is looked up."""
    store = Recorded(None)
    moments = Moments(store)
    readings: list[Reading] = [_reading(1, "old")]
    await moments.look([reading.event for reading in readings])
    assert await moments.placed(readings) == {}
    assert store.wanted == []
