"""Which policy an event is read by when the log is projected again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import pytest
from tests.unit.sync.tenant import NOON, POLICY, TENANT

from headwater.policy.loading import policy_digest
from headwater.sync.domain.log import LogEvent, Position
from headwater.sync.projector.moments import Moments, RecordedPolicy

pytestmark = pytest.mark.anyio


class Recorded:
    """Policies at places of the log, and up to where one shard is projected again."""

    def __init__(self, until: Position | None) -> None:
        self.until = until
        self.asked = 0

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
