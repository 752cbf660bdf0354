"""Which policy an event is read by when the log is projected again: the one in force at its place in the log.

Read so, it says what it said then, and identity knows it: only of records without a home it has to be asked again. What was read by it goes on in the spelling that the policy in force wants, as the record did when it was renewed. Holds
what was read of the store until a shard begins anew: only then may the log have begun to be projected again.
"""

from __future__ import annotations

import logging
import uuid
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from headwater.policy.document import PolicyDocument
from headwater.policy.loading import PolicyRefused, load_policy
from headwater.sync.domain.log import LogEvent, Position, RecordKey
from headwater.sync.domain.reading import Reading, RecordReading, read_event
from headwater.sync.domain.respelling import respelt

_log = logging.getLogger(__name__)

DOCUMENTS_MAX: Final = 16
"""Policies that are kept read: a shard goes through them in order."""


@dataclass(frozen=True, slots=True)
class RecordedPolicy:
    """A policy as the projector came by it."""

    tenant_id: str
    position: Position
    digest: str
    document: str


class RecordedPolicies(Protocol):
    """Which policies were in force when. Every method may raise Unavailable."""

    async def recorded_to(self, shards: Sequence[int]) -> Mapping[int, Position]:
        """Return up to where shards are projected again by the policies of their moments; empty as a rule."""
        ...

    async def recorded_policies(self) -> Sequence[RecordedPolicy]:
        """Return all policies of all tenants, those of each in the order of the log."""
        ...

    async def homes_of(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, uuid.UUID]:
        """Return the entities of those of *keys* that are projected."""
        ...


class Moments:
    """Finds the policy of each event that is projected again."""

    def __init__(self, store: RecordedPolicies) -> None:
        self._store = store
        self._read_to: dict[int, Position] = {}
        self._until: dict[int, Position] = {}
        self._recorded: dict[str, list[RecordedPolicy]] = {}
        self._documents: dict[str, PolicyDocument | None] = {}

    async def look(self, events: Sequence[LogEvent]) -> None:
        """Learn what `of` needs to tell the policies of *events*, a batch in the order of the log.

        A shard that goes on where it stopped costs nothing. Raises: Unavailable.
        """
        firsts: dict[int, Position] = {}
        lasts: dict[int, Position] = {}
        for event in events:
            firsts.setdefault(event.shard, event.position)
            lasts[event.shard] = event.position
        begun = [shard for shard, first in firsts.items() if self._read_to.get(shard, first) >= first]
        if begun:
            await self._begin(begun)
        self._read_to.update(lasts)
        self._until = {
            shard: end for shard, end in self._until.items() if shard not in firsts or firsts[shard] <= end
        }
        if not self._until:
            self._recorded, self._documents = {}, {}

    async def _begin(self, shards: Sequence[int]) -> None:
        """Ask whether shards are projected again: it begins while nobody projects, so always at their beginning."""
        found = await self._store.recorded_to(shards)
        if found and not self._recorded:
            for item in await self._store.recorded_policies():
                self._recorded.setdefault(item.tenant_id, []).append(item)
        self._until = {**{s: end for s, end in self._until.items() if s not in shards}, **found}

    async def placed(self, readings: Sequence[Reading]) -> Mapping[RecordKey, uuid.UUID]:
        """Return the homes of records that identity need not be asked about: what *readings* say it was told before.

        Those that have a home already, which counts before what identity says, and to which nothing else refers.
        Costs nothing but while the log is projected again. Raises: Unavailable.
        """
        if not self._until:
            return {}
        about: set[RecordKey] = set()
        asked: set[RecordKey] = set()
        for reading in readings:
            if isinstance(reading, RecordReading):
                (about if self.is_again(reading.event) else asked).add(reading.subject.key)
                asked.update(subject.key for subject in reading.subjects[1:])
        wanted = sorted(about - asked)
        return await self._store.homes_of(wanted) if wanted else {}

    def is_again(self, event: LogEvent) -> bool:
        """Say whether *event* was projected before, by the policy of its moment: identity has heard what it says."""
        until = self._until.get(event.shard)
        return until is not None and event.position <= until

    def of(self, event: LogEvent) -> PolicyDocument | None:
        """Return the policy that *event* is to be read by; None: the one in force."""
        if not self.is_again(event):
            return None
        return in_force_at(self._recorded.get(event.tenant_id, []), event.position, self.read)

    def read(self, item: RecordedPolicy) -> PolicyDocument | None:
        """Return a policy; None for one that this release cannot read."""
        if item.digest not in self._documents:
            if len(self._documents) >= DOCUMENTS_MAX:
                self._documents.clear()
            try:
                self._documents[item.digest] = load_policy(item.document)
            except PolicyRefused as error:
                _log.warning("policy %s of tenant %s: %s", item.digest, item.tenant_id, error)
                self._documents[item.digest] = None
        return self._documents[item.digest]


def in_force_at(
    recorded: Sequence[RecordedPolicy],
    position: Position,
    read: Callable[[RecordedPolicy], PolicyDocument | None],
) -> PolicyDocument | None:
    """Return the policy of a place in the log; None where none can be read.

    Before the first one it is the first; of one that cannot be read, the one before it stayed in force.

    Args:
        recorded: of one tenant, in the order of the log.
    """
    place = bisect_left(recorded, position, key=lambda item: item.position)
    for item in reversed(recorded[: max(place, 1)]):
        if (document := read(item)) is not None:
            return document
    return None


def read_by(former: PolicyDocument | None, policy: PolicyDocument | None, event: LogEvent) -> Reading:
    """Return what *event* says by the policy of its moment, in the spelling of the one in force.

    An object that the policy in force has no more is read by that policy: nothing could decide its fields.

    Args:
        former: the policy of the event's moment; None: the one in force.
        policy: the one in force.
    """
    if former is None or policy is None or event.object not in policy.objects:
        return read_event(policy, event)
    reading = read_event(former, event)
    return respelt(policy, reading) if isinstance(reading, RecordReading) else reading
