"""Erasing people, as operators order it: looking first, ordering, following, taking in again. Orders effects."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from headwater.kernel.errors import NotFound
from headwater.sync.domain.erasing import Kind, Subject, addresses_among, digest_of
from headwater.sync.erasing.collecting import collect
from headwater.sync.erasing.ports import ErasureView, Finding, Forgetting, Person
from headwater.sync.ports import Policies

DESTROYED: Final = "destroyed"
STAYS: Final = "stays"
MENTIONS_SHOWN: Final = 10
"""Records of others that the preview names."""


class ErasureDesk(Finding, Protocol):
    """Erasures as operators order and see them. Every method raises Unavailable."""

    async def counts(self, tenant_id: str, entities: Sequence[uuid.UUID]) -> Mapping[str, int]:
        """Return what sync holds of entities, by name."""
        ...

    async def places(self, tenant_id: str, entities: Sequence[uuid.UUID]) -> Sequence[tuple[str, str, str]]:
        """Return account, CRM object and id of the records that have or had entities."""
        ...

    async def begin(
        self,
        tenant_id: str,
        erasure_id: uuid.UUID,
        person: Person,
        actor: str,
        reason: str,
        deadline_s: float,
    ) -> bool:
        """Order an erasure; False where it was ordered before."""
        ...

    async def list(
        self, tenant_id: str, erasure_id: uuid.UUID | None, limit: int, *, open_only: bool = False
    ) -> Sequence[ErasureView]:
        """Return orders, the newest first; of one that is named its records of CRMs as well."""
        ...

    async def confirm(
        self, tenant_id: str, erasure_id: uuid.UUID, connector: str, actor: str, reason: str
    ) -> int:
        """Note that a person says that records of an account are gone; return how many were open."""
        ...

    async def lift(
        self, tenant_id: str, digests: Sequence[bytes], erasure_id: uuid.UUID | None, actor: str, reason: str
    ) -> int:
        """Take a person in again; return how many identifiers were suppressed."""
        ...


@dataclass(frozen=True, slots=True)
class HeldPart:
    """What one place holds of a person, and what becomes of it."""

    place: str
    what: str
    count: int
    fate: str = DESTROYED
    why: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """All that is held of a person."""

    person: Person
    parts: tuple[HeldPart, ...]
    places: tuple[tuple[str, str, str], ...]


class Erasures:
    """Orders to erase people."""

    def __init__(self, desk: ErasureDesk, forgetting: Forgetting, policies: Policies) -> None:
        self._desk = desk
        self._forgetting = forgetting
        self._policies = policies

    async def preview(self, tenant_id: str, subject: Subject) -> Preview:
        """Return what is held of a person, where, and what becomes of it.

        Raises:
            NotFound: nothing is.
        """
        person = await self._find(tenant_id, subject)
        traced = await self._desk.trace(tenant_id, person.records, person.texts)
        if not person.entities and not traced.keys:
            raise _nothing(subject)
        known = await self._forgetting.erase(tenant_id, person.records, dry_run=True)
        counts = await self._desk.counts(tenant_id, person.entities)
        places = sorted({*await self._desk.places(tenant_id, person.entities), *person.places})
        events = len(traced.keys)
        parts = [
            HeldPart("event log", "payloads of events", events - traced.quarantined),
            HeldPart("quarantine", "payloads and findings", traced.quarantined),
            HeldPart("identity", "records", known["records"]),
            HeldPart("identity", "statements", known["statements"]),
            HeldPart("identity", "keys", known["keys"]),
            *(HeldPart("sync", name, count) for name, count in counts.items()),
            HeldPart("CRMs", "records", len(places), "erased there", "each is looked for afterwards"),
            HeldPart(
                "event log", "keys, hashes, times", events, STAYS, "a repeat is known, counts are right"
            ),
            HeldPart("audit", "proofs, hashes", counts.get("audit entries", 0), STAYS, "they hold no value"),
            HeldPart("suppression", "keyed hashes", len(person.digests), STAYS, "nothing is taken in again"),
            HeldPart("spans", "entity ids, event keys", 0, STAYS, "spans never hold values"),
        ]
        mentions = await self._desk.mentions(tenant_id, person.entities, person.texts)
        if mentions.records or not mentions.complete:
            why = f"correct what names the person: {', '.join(mentions.records[:MENTIONS_SHOWN]) or 'not looked at in time'}"
            parts.append(
                HeldPart(
                    "records of others", "addresses and numbers in texts", len(mentions.records), STAYS, why
                )
            )
        if traced.archived:
            why = "files outside of the database: remove the archive, or let it expire"
            parts.append(HeldPart("archives", "payloads of events", traced.archived, STAYS, why))
        return Preview(
            person, tuple(item for item in parts if item.count or item.fate == STAYS), tuple(places)
        )

    async def start(
        self,
        tenant_id: str,
        erasure_id: uuid.UUID,
        subject: Subject,
        actor: str,
        reason: str,
        deadline_s: float,
    ) -> ErasureView:
        """Order an erasure; one that was ordered before is returned as it stands.

        Raises:
            NotFound: nothing is held of the subject.
        """
        if before := await self._desk.list(tenant_id, erasure_id, 1):
            return before[0]
        person = await self._find(tenant_id, subject)
        traced = await self._desk.trace(tenant_id, person.records, person.texts)
        if not person.entities and not traced.keys:
            raise _nothing(subject)
        await self._desk.begin(tenant_id, erasure_id, person, actor, reason, deadline_s)
        return await self.get(tenant_id, erasure_id)

    async def get(self, tenant_id: str, erasure_id: uuid.UUID) -> ErasureView:
        """Return an erasure. Raises: NotFound."""
        found = await self._desk.list(tenant_id, erasure_id, 1)
        if not found:
            raise NotFound(f"there is no erasure {erasure_id}", metadata={"erasure_id": str(erasure_id)})
        return found[0]

    async def listed(self, tenant_id: str, limit: int, *, open_only: bool) -> Sequence[ErasureView]:
        """Return erasures, the newest first."""
        return await self._desk.list(tenant_id, None, limit, open_only=open_only)

    async def confirm(
        self, tenant_id: str, erasure_id: uuid.UUID, connector: str, actor: str, reason: str
    ) -> int:
        """Note that the open records of an account were erased by hand. Raises: NotFound."""
        view = await self.get(tenant_id, erasure_id)
        if not any(item.connector == connector for item in view.targets):
            raise NotFound(f"erasure {erasure_id} has no record in the account {connector!r}")
        return await self._desk.confirm(tenant_id, erasure_id, connector, actor, reason)

    async def lift(
        self, tenant_id: str, subject: Subject | None, erasure_id: uuid.UUID | None, actor: str, reason: str
    ) -> int:
        """Take a person in again from now on; return how many identifiers were suppressed.

        Args:
            subject: by an identifier, not an entity.
        """
        digests: list[bytes] = []
        if subject is not None:
            key = await self._desk.key(tenant_id)
            digests.append(digest_of(key, (cast("Kind", subject.kind), subject.parts)))
        return await self._desk.lift(tenant_id, digests, erasure_id, actor, reason)

    async def _find(self, tenant_id: str, subject: Subject) -> Person:
        document = self._policies.current().get(tenant_id)
        entities = await self._desk.entities_of(tenant_id, subject)
        person = await collect(self._desk, document, tenant_id, entities, subject)
        if subject.kind == "email" and not addresses_among(person.texts):
            texts = (*subject.parts, *person.texts)
            return Person(person.entities, person.records, texts, person.digests, person.places)
        return person


def _nothing(subject: Subject) -> NotFound:
    return NotFound(f"nothing is held of this {subject.kind}", reason="SUBJECT_UNKNOWN")
