"""Records that learn pages while entities merge and split: no exclusive key is in two places without a word."""

from __future__ import annotations

import random
import uuid

import asyncpg
import pytest
from tests.identity_histories.calls import Merge, Merged, Refused, Restored, Split
from tests.identity_histories.oracles import EXCLUSIVE, broken, half_done
from tests.identity_histories.people import OBJECT, SOURCE
from tests.identity_histories.services import CALL_S, InProcess, service_on

from headwater.identity.domain.records import RecordRef
from headwater.identity.usecases.resolve import RecordToResolve
from headwater.kernel.ids import EventKey, TenantId

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SEEDS = 16
STEPS = 14
RECORDS = 6
PAGES = 3


def _told(record: int, page: int) -> RecordToResolve:
    """Return one of six records of a name: each has one of three mailboxes, and says a page or none."""
    attributes = {
        "first_name": "Lonag",
        "last_name": "Draikleiz",
        "company": "Prustaind",
        "email": f"stoustov@mail{'xyz'[record % 3]}barn.com",
    }
    if page:
        attributes["linkedin_url"] = f"https://linkedin.com/in/lonag-{page}"
    ref = RecordRef(SOURCE, OBJECT, f"r{record}")
    return RecordToResolve(ref, EventKey(uuid.uuid5(uuid.NAMESPACE_OID, f"{record} {page}")), attributes)


class _Walk:
    """A tenant on which records are told, entities merged and split, at random."""

    def __init__(self, service: InProcess, tenant: str, seed: int) -> None:
        self.service, self.tenant, self.chance = service, tenant, random.Random(seed)
        self.entities: list[str] = []
        self.merges: list[str] = []
        self.done: list[str] = []

    async def step(self) -> None:
        """Do one thing."""
        kind = self.chance.random()
        if kind < 0.25 and len(self.entities) > 1:
            winner, loser = self.chance.sample(self.entities, 2)
            answer = await self.service.answer(self.tenant, Merge(winner, loser))
            assert isinstance(answer, Merged | Refused)
            if isinstance(answer, Merged):
                self.merges.append(answer.merge)
            self.done.append(f"merge {winner[:4]} {loser[:4]}: {type(answer).__name__}")
        elif kind < 0.45 and self.merges:
            answer = await self.service.answer(self.tenant, Split(self.merges.pop(0)))
            assert isinstance(answer, Restored)
            self.done.append(f"split {answer.entity[:4]}")
        else:
            record, page = self.chance.randrange(RECORDS), self.chance.randrange(PAGES + 1)
            resolver = self.service.replica.resolver
            (found,) = await resolver.resolve(TenantId(self.tenant), [_told(record, page)], CALL_S)
            if str(found.entity_id) not in self.entities:
                self.entities.append(str(found.entity_id))
            self.done.append(f"r{record} page {page}: {str(found.entity_id)[:4]} {found.kind}")


async def test_an_exclusive_key_is_never_in_two_places_without_a_word(migrated_database_url: str) -> None:
    """Whatever is learnt, merged and split: who has another entity's key is told apart from it, or a person is asked."""
    connection = await asyncpg.connect(migrated_database_url)
    async with service_on(migrated_database_url) as service:
        for seed in range(SEEDS):
            walk = _Walk(service, f"t{seed}", seed)
            for _ in range(STEPS):
                await walk.step()
                assert await broken(connection, EXCLUSIVE) == {}, f"seed {seed}: " + "; ".join(walk.done)
    await connection.close()
    assert await half_done(migrated_database_url) == {}


async def test_who_comes_with_a_page_that_another_has_given_up_is_put_before_a_person(
    migrated_database_url: str,
) -> None:
    """An entity holds the page that its record said before: a stranger with it is not joined, and a person is asked."""
    async with service_on(migrated_database_url, replicas=1) as service:
        resolver, tenant = service.replica.resolver, TenantId("acme")
        for page in (1, 2):
            (old,) = await resolver.resolve(tenant, [_told(0, page)], CALL_S)
        (new,) = await resolver.resolve(tenant, [_told(4, 1)], CALL_S)
        (asked,), _ = await service.replica.questions.list_candidates(tenant, 0, 10)
    assert new.entity_id != old.entity_id
    assert {asked.entity_id, asked.other_entity_id} == {old.entity_id, new.entity_id}
    assert asked.blocked_by == "linkedin_conflict"
