"""Why an entity shows what it shows. Orders effects, holds no state but policies that it has read.

NotFound      UNKNOWN_ENTITY, UNKNOWN_RECORD, UNKNOWN_FIELD, NO_POLICY
"""

from __future__ import annotations

import uuid
from typing import Final, Protocol

from headwater.kernel.errors import NotFound
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy, policy_digest
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.provenance import Known, Story, tell

DOCUMENTS_MAX: Final = 16
"""Policies that are kept read."""


class ProvenanceStore(Protocol):
    """Where everything about an entity is."""

    async def read(self, tenant_id: str, subject: uuid.UUID | RecordKey) -> Known | None:
        """Return what is known of an entity, named by itself or by a record; None when nothing is.

        Raises: Unavailable.
        """
        ...


class Provenance:
    """Explains the entities of any tenant."""

    def __init__(self, store: ProvenanceStore) -> None:
        self._store = store
        self._documents: dict[str, PolicyDocument] = {}

    async def explain(self, tenant_id: str, subject: uuid.UUID | RecordKey, field: str) -> Story:
        """Return why an entity shows what it shows, of one field or of all. Raises: NotFound."""
        known = await self._store.read(tenant_id, subject)
        if known is None:
            raise _unknown(subject)
        if not known.policy:
            raise NotFound(f"tenant {tenant_id} has no policy yet", reason="NO_POLICY")
        digest = policy_digest(known.policy)
        try:
            return tell(self._read(known.policy, digest), digest, known, field)
        except LookupError as error:
            named = f"{known.entity.object}.{field}" if field else known.entity.object
            message = f"the policy in force has no {named}"
            raise NotFound(message, reason="UNKNOWN_FIELD", metadata={"field": named}) from error

    def _read(self, text: str, digest: str) -> PolicyDocument:
        if digest not in self._documents:
            if len(self._documents) >= DOCUMENTS_MAX:
                self._documents.clear()
            self._documents[digest] = load_policy(text)
        return self._documents[digest]


def _unknown(subject: uuid.UUID | RecordKey) -> NotFound:
    if isinstance(subject, RecordKey):
        name = f"{subject.source}/{subject.object}/{subject.external_id}"
        return NotFound(f"no record {name} is projected", reason="UNKNOWN_RECORD", metadata={"record": name})
    message = f"no entity {subject} is projected"
    return NotFound(message, reason="UNKNOWN_ENTITY", metadata={"entity_id": str(subject)})
