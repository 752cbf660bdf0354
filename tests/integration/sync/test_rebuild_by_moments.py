"""Projecting the log again after the policy has changed: by the policy of each moment, or by the newest throughout."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import asyncpg
import pytest
from tests.integration.sync.test_rebuild import state_of, through
from tests.integration.sync.whole import POLICY, TENANT, Doors, doors, event, looking, settled, syncing, until

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]

UNTOLD: Final = POLICY[: POLICY.index("connectors:")]
"""The tenant without a CRM: what is made from the log is what this is about."""
FIRST: Final = UNTOLD
SECOND: Final = (
    UNTOLD.replace('version: "1"', 'version: "2"')
    .replace("first_name: first_name, last_name: last_name, phone: phone", "given: first_name, phone: phone")
    .replace("phone: {type: phone,", "phone: {type: phone, normalise: [e164], default_country: DE,")
)
"""The shop words its records otherwise by now, and numbers are kept in E.164."""
assert "given: first_name" in SECOND
assert "e164" in SECOND

RENEWED: Final = "select count(*) from sync.policy_version where state in (1, 2)"


def applied(text: str) -> Any:
    """Return the event that puts *text* in force."""
    return event("headwater", "policy", TENANT, document=text)


async def renewed(connection: Any) -> bool:
    """Say whether everything is projected and every entity was renewed once."""
    return await settled(connection) and await connection.fetchval(RENEWED) == 0


@asynccontextmanager
async def lived(url: str) -> AsyncIterator[tuple[Doors, Any]]:
    """Have records come in under two policies, then stop sync."""
    async with doors(url) as world, looking(url) as connection:
        await world.record([applied(FIRST)])
        async with syncing(url, world.identity_address):
            said = {"email": "ada@one.example.com", "first_name": "Ada", "last_name": "King"}
            await world.record([event("shop", "contact", "s-1", 0, **said, phone="030 123 4567")])
            await world.record([event("erp", "contact", "e-1", 1, **said, title="Countess")])
            await until(partial(settled, connection), 20)
            await world.record([applied(SECOND)])
            await until(partial(renewed, connection), 20)
            await world.record([event("shop", "contact", "s-1", 20, given="Augusta", phone="030 765 4321")])
            await world.record([event("shop", "contact", "s-2", 21, given="Bea", phone="030 111 2222")])
            await until(partial(settled, connection), 20)
        yield world, connection


async def rebuilt(url: str, world: Doors, connection: Any, *policies: str) -> dict[str, list[str]]:
    """Project the log again and return what came of it."""
    names = "".join(f"p_policies => '{name}'" for name in policies)
    began = f"select sync.begin_rebuild('user:operator-1'{', ' if names else ''}{names})"
    assert await connection.fetchval(began) > 0
    async with syncing(url, world.identity_address):
        await until(partial(through, connection), 30)
    return await state_of(connection)


async def test_a_log_is_projected_again_by_the_policy_of_each_moment(migrated_database_url: str) -> None:
    """What was read by a mapping that is gone is there again, respelt as it was when the policy changed, byte for byte."""
    url = migrated_database_url
    async with lived(url) as (world, connection):
        before = await state_of(connection)
        assert any("King" in row and "shop" in row for row in before["records"])
        assert any("+49301234567" in row or "+49307654321" in row for row in before["entities"])
        after = await rebuilt(url, world, connection)
        for name, rows in before.items():
            assert after[name] == rows, name
        again = await rebuilt(url, world, connection, "recorded")
    assert again == after


async def test_on_request_it_is_projected_by_the_newest(migrated_database_url: str) -> None:
    """As if the policy in force had been the first: what only a former mapping read is not there."""
    url = migrated_database_url
    async with lived(url) as (world, connection):
        before = await state_of(connection)
        after = await rebuilt(url, world, connection, "newest")
    assert after["records"] != before["records"]
    assert not any("King" in row and "shop" in row for row in after["records"])
    assert sorted(after["ends"]) != []


async def test_which_policies_must_be_one_of_two(migrated_database_url: str) -> None:
    """Nothing is emptied for a word that means nothing."""
    async with looking(migrated_database_url) as connection:
        with pytest.raises(asyncpg.InvalidParameterValueError, match="recorded"):
            await connection.execute("select sync.begin_rebuild('user:operator-1', p_policies => 'oldest')")
