"""Questions that look more than once see one moment, whatever is committed between two looks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tests.identity_histories.calls import Merge, Merged, Resolve, Resolved
from tests.identity_histories.people import OBJECT, SOURCE, attributes_of
from tests.identity_histories.services import service_on

from headwater.identity.domain.merging import EntityState
from headwater.identity.domain.records import RecordRef
from headwater.identity.store import PostgresIdentityStore
from headwater.identity.usecases.asking import Questions
from headwater.identity.usecases.checking import Checker
from headwater.kernel.ids import EntityId, TenantId

pytestmark = pytest.mark.anyio

TENANT = TenantId("acme")


@dataclass(frozen=True, slots=True)
class _Interrupted(PostgresIdentityStore):
    """A store in which something happens each time before an entity is read."""

    happens: list[Callable[[], Awaitable[object]]] = field(default_factory=list)

    async def find_entity(self, tenant_id: TenantId, entity_id: EntityId) -> EntityState | None:
        while self.happens:
            await self.happens.pop()()
        return await PostgresIdentityStore.find_entity(self, tenant_id, entity_id)


@asynccontextmanager
async def _while_merging(database_url: str) -> AsyncIterator[tuple[Questions, str, str]]:
    """Yield questions during the first of which two entities, winner and loser, are merged."""
    async with service_on(database_url) as service:
        found = await service.answer(TENANT, Resolve(("ann/1", "bob/1")))
        assert isinstance(found, Resolved)
        winner, loser = found.entities
        asking = service.replica.questions
        plain = asking.store
        assert isinstance(plain, PostgresIdentityStore)
        store = _Interrupted(plain.sessions, plain.limits, plain.statement_timeout_s)
        merge = Merge(winner, loser)

        async def interrupt() -> None:
            assert isinstance(await service.answer(TENANT, merge), Merged)

        store.happens.append(interrupt)
        yield Questions(store, asking.weights), winner, loser


async def test_an_entity_is_whole_while_it_is_merged(migrated_database_url: str) -> None:
    """A record's entity is shown as it was when the question was asked: standing, with its record."""
    async with _while_merging(migrated_database_url) as (questions, winner, loser):
        before = await questions.get_entity(TENANT, RecordRef(SOURCE, OBJECT, "bob/1"))
        after = await questions.get_entity(TENANT, RecordRef(SOURCE, OBJECT, "bob/1"))
    assert (str(before.state.entity_id), before.state.merged_into) == (loser, None)
    assert [one.ref.external_id for one in before.members] == ["bob/1"]
    assert str(after.state.entity_id) == winner
    assert len(after.members) == 2


async def test_a_duplicate_found_is_whole_while_it_is_merged(migrated_database_url: str) -> None:
    """The entity to update is never one that has just lost its records."""
    async with _while_merging(migrated_database_url) as (questions, _, loser):
        assert isinstance(questions.store, PostgresIdentityStore)
        checker = Checker(questions.store, questions.weights, questions.store.limits)
        found = await checker.check(TENANT, OBJECT, attributes_of("bob/2"))
    entity = found.candidates[0].entity
    assert (str(entity.state.entity_id), entity.state.merged_into) == (loser, None)
    assert len(entity.members) == 1
