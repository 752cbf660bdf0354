"""What CRMs hear of an entity that was made again: what they do not hold, and nothing else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.integration.sync.test_rebuild_entity import DAMAGE, tenant_of
from tests.integration.sync.whole import TENANT, doors, looking, policy_event, settled, until

if TYPE_CHECKING:
    from tests.contract.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]

LIE = "update sync.record set fields = jsonb_set(fields, '{title,0}', '\"Nobody\"') where entity_id = $1"
"""A value that its source never said, under an event that said another."""


async def test_a_crm_is_written_only_what_it_does_not_hold(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Damage that no CRM has seen is healed without a write; one that was delivered is put right there, once."""
    url = migrated_database_url

    def writes() -> int:
        return sum(item["effect"] != "none" for item in sandbox.arrivals("hubspot", TENANT))

    async def titled(title: str) -> bool:
        records = sandbox.client.get(sandbox.admin("hubspot", TENANT, "records")).json()
        return title in str(records) and await settled(connection)

    async with doors(url) as world, looking(url) as connection:
        await world.record([policy_event(sandbox.url)])
        async with tenant_of(url, world, connection) as tenant:
            ada = await tenant.person(title="CTO", last_name="King")
            held = writes()
            await connection.execute(DAMAGE[1], ada)
            assert list((await tenant.rebuild(ada)).connectors) == ["hubspot"]
            await until(partial(settled, connection), 20)
            assert writes() == held
            await connection.execute(LIE, ada)
            await tenant.say(5, last_name="Byron")
            await until(partial(titled, "Nobody"), 20)
            held = writes()
            assert list((await tenant.rebuild(ada)).connectors) == ["hubspot"]
            await until(partial(titled, "CTO"), 20)
            assert writes() == held + 1
            assert list((await tenant.rebuild(ada)).connectors) == []
