"""Gathers what is known of a person: entities, records, identifiers, records of CRMs. Reads only."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from headwater.policy.document import PolicyDocument
from headwater.sync.domain.erasing import HeldRecord, Subject, digest_of, numbers_of_person, signs_of_person
from headwater.sync.domain.polling import poll_plans
from headwater.sync.erasing.ports import Finding, Person


async def collect(
    finding: Finding,
    document: PolicyDocument | None,
    tenant_id: str,
    entities: Sequence[uuid.UUID],
    named: Subject | None = None,
    known: Sequence[HeldRecord] = (),
) -> Person:
    """Return the person that *entities* are now.

    Args:
        named: as whoever asked named the person; by that it is suppressed, too.
        known: records that were found before, some of which may be nowhere else any more.
    """
    whole = await finding.closure(tenant_id, entities)
    found = {(item.object, item.source, item.external_id): item for item in known}
    found |= {
        (item.object, item.source, item.external_id): item
        for item in await finding.records_of(tenant_id, whole)
    }
    records = tuple(found.values())
    signs = signs_of_person(document, records, named)
    key = await finding.key(tenant_id)
    return Person(
        tuple(whole),
        records,
        (
            *sorted(parts[0] for kind, parts in signs if kind == "email"),
            *sorted(numbers_of_person(document, records, named)),
        ),
        {digest_of(key, sign): sign[0] for sign in signs},
        tuple(sorted(set(_places(document, records)))),
    )


def _places(document: PolicyDocument | None, records: Iterable[HeldRecord]) -> Iterable[tuple[str, str, str]]:
    """Yield the records of accounts that sources' records are: where a system is read by polling, its ids are the CRM's."""
    plans = [
        (name, crm_object, plan)
        for name in (document.connectors if document is not None else ())
        for crm_object, plan in (poll_plans(document, name) if document is not None else {}).items()
    ]
    for record in records:
        for name, crm_object, plan in plans:
            if (plan.object_name, plan.system) == (record.object, record.source):
                yield name, crm_object, record.external_id
