"""What a run should end with, worked out from what was recorded and never from what the engine made of it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict

import msgspec
from tests.simulation.world import World

from headwater.sync.domain.log import OPERATION_DELETE, LogEvent, RecordKey


def expected_titles(world: World) -> dict[tuple[str, uuid.UUID], str]:
    """Return the title of every entity that some living record gives one: the newest statement wins."""
    by_record: dict[RecordKey, list[LogEvent]] = defaultdict(list)
    for event in world.recorded:
        if event.source in {"site", "bulk"} and _readable(event):
            by_record[event.record_key].append(event)
    best: dict[tuple[str, uuid.UUID], tuple[dt.datetime, str]] = {}
    for key, events in by_record.items():
        newest = max(events, key=lambda item: item.event_time)
        if newest.operation == OPERATION_DELETE or key not in world.identity.placed:
            continue
        place = (key.tenant_id, world.identity.placed[key])
        said = (newest.event_time, msgspec.json.decode(newest.payload)["title"])
        best[place] = max(best.get(place, said), said)
    return {place: title for place, (_, title) in best.items()}


def _readable(event: LogEvent) -> bool:
    return event.operation == OPERATION_DELETE or (event.payload != b"{" and b"\\u0000" not in event.payload)
