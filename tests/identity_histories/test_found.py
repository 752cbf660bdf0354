"""Orders of calls that histories have found wrong once: each again, one call after the other."""

from __future__ import annotations

from typing import TypeVar

import pytest
from tests.identity_histories.calls import Call, Merge, Merged, Resolve, Resolved, Split
from tests.identity_histories.services import service_on

TENANT = "acme"
Told = TypeVar("Told", Merged, Resolved)


@pytest.mark.anyio
async def test_a_mailbox_decides_beside_what_a_person_told_apart(migrated_database_url: str) -> None:
    """Five records are one by hand, a sixth was split off: the next with a mailbox of the five is theirs, not a new one."""
    async with service_on(migrated_database_url) as service:

        async def told(call: Call, kind: type[Told]) -> Told:
            answer = await service.answer(TENANT, call)
            assert isinstance(answer, kind)
            return answer

        bob, cyd = (await told(Resolve(("g0bob/3", "g0cyd/3")), Resolved)).entities
        merge = (await told(Merge(bob, cyd), Merged)).merge
        await told(Resolve(("g0bob/2", "g0cyd/1", "g0cyd/2")), Resolved)
        (ann,) = (await told(Resolve(("g0ann/2",)), Resolved)).entities
        await told(Merge(bob, ann), Merged)
        await service.answer(TENANT, Split(merge))
        assert (await told(Resolve(("g0ann/3",)), Resolved)).entities == (bob,)
