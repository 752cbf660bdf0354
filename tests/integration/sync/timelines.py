"""Activities projected and associated on a database of the test's own; identity is a rule of the test's."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from headwater.kernel.clock import SteppedClock
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.telemetry import TelemetrySettings, start_telemetry
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.log import LogEvent, Position, RecordKey
from headwater.sync.domain.reading import Answers, Subject
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.store.projection import PostgresProjections
from headwater.sync.store.timeline import PostgresTimelines
from headwater.sync.store.timeline_desk import PostgresTimelineDesk
from headwater.sync.timeline.ports import Entry, Wanted
from headwater.sync.timeline.worker import TimelineSettings, TimelineWorker
from headwater.sync.usecases.timeline import Timelines

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

TENANT: Final = "acme"
LEASE: Final = Lease("shard/0", 1)
NOON: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
END: Final = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
NAMES: Final = uuid.UUID(int=77)

POLICY: Final = """
format: headwater/v1
version: "1"
systems:
  crm: {layer: record, owner: a, backup: b, runbook: c, inbound: {
    account: {fields: {name: name, website: website}},
    contact: {fields: {email: email, company: company, account: account}},
    deal: {fields: {name: name, stage: stage, account: account, engage_date: engage_date, close_date: close_date}}}}
  mail: {layer: engagement, owner: a, backup: b, runbook: c, participants: create, inbound: {
    activity: {fields: {kind: kind, subject: subject, time: occurred_at, message_id: message_id, thread_id: thread_id,
      reference_ids: references, participants: participants}}}}
  form: {layer: engagement, owner: a, backup: b, runbook: c, inbound: {
    contact: {fields: {email: email, form: form}}}}
objects:
  account: {fields: {
    name: {type: text, owners: [crm], rule: source_priority},
    website: {type: url, owners: [crm], rule: source_priority}}}
  contact: {granted: [mail, form], fields: {
    email: {type: email, owners: [crm, form, mail], rule: source_priority},
    company: {type: text, owners: [crm], rule: source_priority},
    form: {type: text, owners: [form], rule: most_recent},
    first_touch: {type: text, owners: [form], rule: first},
    last_touch: {type: text, owners: [form], rule: most_recent},
    account: {type: reference, reference: account, owners: [crm], rule: source_priority}}}
  deal: {fields: {
    name: {type: text, owners: [crm], rule: source_priority},
    stage: {type: text, owners: [crm], rule: most_recent},
    engage_date: {type: date, owners: [crm], rule: most_recent},
    close_date: {type: date, owners: [crm], rule: most_recent},
    account: {type: reference, reference: account, owners: [crm], rule: source_priority}}}
  activity: {fields: {
    kind: {type: text, owners: [mail], rule: first},
    subject: {type: text, owners: [mail], rule: first, chars_max: 500},
    occurred_at: {type: datetime, owners: [mail], rule: first},
    message_id: {type: text, owners: [mail], rule: first},
    thread_id: {type: text, owners: [mail], rule: first},
    references: {type: text, owners: [mail], rule: first, chars_max: 32768},
    participants: {type: participants, owners: [mail], rule: union}}}
timeline: {deal_closed: [won, lost]}
attribution:
  touches: {form: {contact: {channel: web form, detail: form}}}
  first: first_touch
  last: last_touch
"""


@dataclass(slots=True)
class Identity:
    """Port `Resolver`: one entity for each mail address, else for each record; merges say who stands for whom."""

    merged: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    revision: int = 0

    async def resolve(
        self,
        tenant_id: str,  # noqa: ARG002 - the port's
        subjects: Sequence[tuple[Subject, uuid.UUID]],
    ) -> Answers:
        """Return where every subject is."""
        homes = {subject.key: self.home(subject.key, subject.attributes) for subject, _ in subjects}
        return Answers(homes, self.revision)

    def home(self, key: RecordKey, attributes: Mapping[str, str]) -> uuid.UUID:
        """Return where a record is."""
        address = attributes.get("email") if key.object == "contact" else None
        own = entity(key.object, address) if address else entity(*key[1:])
        return self.merged.get(own, own)


def entity(*names: str) -> uuid.UUID:
    """Return the entity of a contact's address, or of a record's object, source and id."""
    return uuid.uuid5(NAMES, "/".join(names))


@dataclass(slots=True)
class Desk:
    """Projector, worker and reader over one database."""

    pool: Pool
    policies: dict[str, PolicyDocument]
    identity: Identity = field(default_factory=Identity)
    clock: SteppedClock = field(default_factory=SteppedClock)
    page: int = 50
    number: int = 0

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return tenant to policy: the port `Policies`."""
        return self.policies

    def event(
        self, source: str, object_name: str, external_id: str, at: dt.datetime = NOON, **payload: Any
    ) -> LogEvent:
        """Return an event of the first tenant."""
        self.number += 1
        body = msgspec.json.encode(payload)
        event_key = uuid.uuid5(NAMES, f"{source}/{object_name}/{external_id}/{at}/{body.decode()}")
        return LogEvent(
            TENANT, event_key, source, object_name, external_id, at, at, 1, "", body, None, 0,
            Position(1, self.number),
        )  # fmt: skip

    def mail(self, number: int, *people: str, at: dt.datetime = NOON, answers: str = "") -> LogEvent:
        """Return a message from the first of *people* to the others."""
        roles = ["from", *["to"] * (len(people) - 1)]
        told = [{"role": r, "address": p, "name": ""} for r, p in zip(roles, people, strict=True)]
        words = {
            "kind": "email",
            "subject": f"Message {number}",
            "time": at.isoformat(),
            "message_id": f"m{number}",
        }
        return self.event(
            "mail", "activity", f"m{number}", at, **words, thread_id=answers or f"m{number}",
            reference_ids=answers, participants=told,
        )  # fmt: skip

    def change(
        self, change: str, winner: uuid.UUID, loser: uuid.UUID, moved: Sequence[RecordKey]
    ) -> LogEvent:
        """Return the event of a merge or a split of contacts, which identity has made."""
        self.identity.revision += 1
        if change == "merged":
            self.identity.merged[loser] = winner
        else:
            self.identity.merged.pop(loser)
        return self.event(
            "headwater", "identity", str(loser), NOON + dt.timedelta(seconds=self.identity.revision),
            change=change, winner=str(winner), loser=str(loser), object="contact", merge_id=str(uuid.UUID(int=5)),
            seq=self.identity.revision,
            moved=[{"object": k.object, "source": k.source, "external_id": k.external_id} for k in moved],
        )  # fmt: skip

    async def project(self, events: Sequence[LogEvent]) -> None:
        """Project *events*, in this order."""
        quiet = start_telemetry("test", TelemetrySettings(), environ={})
        projector = BatchProjector(
            PostgresProjections(self.pool), self.identity, self, quiet.spans, self.clock
        )
        for start in range(0, len(events), 500):
            await projector.project([LEASE], events[start : start + 500])

    async def associate(self) -> None:
        """Do all that the worker has to do."""
        settings = TimelineSettings(page_entities=self.page)
        await TimelineWorker(PostgresTimelines(self.pool), self, self.clock, settings).work_off()

    async def take(self, *events: LogEvent) -> None:
        """Project and associate."""
        await self.project(events)
        await self.associate()

    @property
    def timelines(self) -> Timelines:
        """What people ask."""
        return Timelines(PostgresTimelineDesk(self.pool), self)

    async def read(self, entity_id: uuid.UUID, tenant_id: str = TENANT, **wanted: Any) -> Sequence[Entry]:
        """Return the first page of an entity's timeline."""
        words: dict[str, Any] = {
            "since": dt.datetime(1, 1, 1, tzinfo=dt.UTC), "until": END, "before": (END, uuid.UUID(int=0)),
            "limit": 1_000,
        }  # fmt: skip
        _, entries, waiting = await self.timelines.timeline(tenant_id, entity_id, Wanted(**words | wanted))
        assert waiting == 0
        return entries

    async def whole(self, tenant_id: str = TENANT) -> list[tuple[Any, ...]]:
        """Return every association and thread of a tenant, in order."""
        rows = await self.pool.fetch(
            "select one.activity_id, one.entity_id, one.reason, one.confidence, one.occur_time, two.people::text,"
            " three.thread_id from sync.association as one join sync.activity as two using (tenant_id, activity_id)"
            " join sync.activity_thread as three using (tenant_id, message_id)"
            " where one.tenant_id = $1 order by one.activity_id, one.entity_id",
            tenant_id,
        )
        return [tuple(row) for row in rows]


@asynccontextmanager
async def desk(url: str, *, policy: str = POLICY) -> AsyncIterator[Desk]:
    """Open a desk on *url*."""
    async with await open_pool(url, application_name="test") as pool:
        await pool.execute(
            "insert into sync.lease (name, holder, fence, expire_time) values ($1, 'test', $2, $3)",
            LEASE.name, LEASE.fence, END,
        )  # fmt: skip
        yield Desk(pool, {TENANT: load_policy(policy)})
