"""Policy changes whose values are staged, on Postgres: under the row of their rollout."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from headwater.kernel.pg import queries
from headwater.policy.loading import policy_digest
from headwater.policy.staging import read_staged
from headwater.sync.domain.changing import PolicyChange
from headwater.sync.domain.foreseeing import EntityPage
from headwater.sync.domain.renewing import RenewalState
from headwater.sync.domain.rollout import Fate, Rollout
from headwater.sync.domain.staging import NAMED_MAX, InForce
from headwater.sync.domain.workbench import Standing
from headwater.sync.rollouts.ports import FailedMember, Member
from headwater.sync.store.versions import read_entities, read_named, standing_of
from headwater.sync.wakeup import name_accounts

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "staging.sql")
_NOTIFY: Final = queries.load("headwater.sync", "watching.sql")["notify_accounts"]


class _Held(Protocol):
    """What the transaction on any rollout can do."""

    rollout: Rollout

    async def turn_back(self) -> int: ...

    async def open_members(self) -> tuple[Member, ...]: ...

    async def judge(self, fates: Mapping[uuid.UUID, Fate]) -> None: ...

    async def save(self, rollout: Rollout) -> None: ...


class PostgresStaging:
    """Port `StagingUnit`: one rollout under its row's lock."""

    def __init__(self, connection: Connection, held: _Held, change: PolicyChange) -> None:
        self.rollout = held.rollout
        self.change = change
        self.turn_back = held.turn_back
        self.open_members = held.open_members
        self.judge = held.judge
        self.save = held.save
        self._connection = connection
        self._key = (held.rollout.tenant_id, held.rollout.rollout_id)

    async def in_force(self) -> InForce:
        """Return the newest policy event of the tenant."""
        return await read_in_force(self._connection, self.rollout.tenant_id)

    async def renewal(self) -> tuple[RenewalState, uuid.UUID, str] | None:
        """Return how far entities are under that event; None before the projector came by it."""
        tenant_id = self.rollout.tenant_id
        found = await self._connection.fetchrow(_SQL["in_force"].text, tenant_id)
        key = None if found is None else found["event_key"]
        row = await self._connection.fetchrow(_SQL["renewal_state"].text, tenant_id, key)
        return None if row is None else (RenewalState(row["state"]), row["place_entity_id"], row["reason"])

    async def scan(self, connectors: Sequence[str], limit: int) -> EntityPage:
        """Return the next entities behind the rollout's place, with records and standings."""
        held = self.rollout
        return await read_entities(self._connection, held.tenant_id, held.place, limit, 1, connectors)

    async def add(self, found: Sequence[tuple[uuid.UUID, int, Sequence[str]]]) -> None:
        """Note entities that the change reaches."""
        told = [[str(entity_id), place, list(kinds)] for entity_id, place, kinds in found]
        await self._connection.execute(_SQL["add_staged_members"].text, *self._key, told)

    async def candidates(self, count: int) -> Sequence[tuple[str, int, uuid.UUID]]:
        """Return of each kind of change up to *count* entities that are drawn first."""
        rows = await self._connection.fetch(_SQL["candidates"].text, *self._key, count)
        return [(row["kind"], row["draw"], row["entity_id"]) for row in rows]

    async def put_first(self, entities: Sequence[uuid.UUID]) -> None:
        """Put these first, in their order."""
        await self._connection.execute(_SQL["put_first"].text, *self._key, list(entities))

    async def first(self) -> Sequence[uuid.UUID]:
        """Return the entities that were put first."""
        rows = await self._connection.fetch(_SQL["list_first"].text, *self._key, NAMED_MAX)
        return [row["entity_id"] for row in rows]

    async def last_draw(self, number: int) -> int:
        """Return the place in the draw of the last of the first *number* entities."""
        place: int = await self._connection.fetchval(_SQL["last_draw"].text, *self._key, number - 1)
        return place

    async def want(self, stage: int, staged: Mapping[str, Any] | None) -> None:
        """Note what the log is to be told next."""
        key = (self.change.tenant_id, self.change.change_id)
        await self._connection.execute(_SQL["want_stage"].text, *key, stage, staged)

    async def go_back_with(self, entities: Sequence[uuid.UUID]) -> None:
        """Put these in line, too, whether they are of the rollout or not."""
        await self._connection.execute(_SQL["go_back_with"].text, *self._key, list(entities))

    async def count_planned(self) -> int:
        """Count the entities that are in line."""
        count: int = await self._connection.fetchval(_SQL["count_planned"].text, *self._key)
        return count

    async def admit(self, count: int, upto: uuid.UUID | None, now: dt.datetime) -> int:
        """Note the next *count* entities as under way; return how many."""
        if upto is None:
            rows = await self._connection.fetch(_SQL["next_by_draw"].text, *self._key, count)
        else:
            rows = await self._connection.fetch(_SQL["next_by_entity"].text, *self._key, count, upto)
        entities = [row["entity_id"] for row in rows]
        stage = self.rollout.stage.number
        await self._connection.execute(_SQL["admit_staged"].text, *self._key, entities, stage, now)
        return len(entities)

    async def standing(self, connector: str, entities: Sequence[uuid.UUID]) -> tuple[Standing, ...]:
        """Return entities as an account has them, those that it does not have among them."""
        return await standing_of(self._connection, self.rollout.tenant_id, connector, entities)

    async def make_due(self, connector: str, entities: Sequence[uuid.UUID]) -> None:
        """Have an account write what is settled, dead or unknown there."""
        account = (self.rollout.tenant_id, connector)
        key = self.change.change_id
        await self._connection.execute(_SQL["make_staged_due"].text, *account, list(entities), key)
        await self._connection.execute(_NOTIFY.text, name_accounts({account}))

    async def count_returns(self, entities: Sequence[uuid.UUID]) -> None:
        """Count that entities had to be delivered again."""
        await self._connection.execute(_SQL["count_returns"].text, *self._key, list(entities))

    async def relapsed(self, connectors: Sequence[str]) -> int:
        """Note which delivered entities of the present stage have a dead delivery since; return how many."""
        stage = self.rollout.stage.number
        rows = await self._connection.fetch(_SQL["relapsed_staged"].text, *self._key, stage, list(connectors))
        return len(rows)

    async def finding(self, connectors: Sequence[str]) -> str:
        """Return what keeps one of the accounts from being used; empty when nothing does."""
        row = await self._connection.fetchrow(
            _SQL["findings_of"].text, self.rollout.tenant_id, list(connectors)
        )
        return "" if row is None else f"{row['connector']}: {row['finding']}"


async def read_in_force(connection: Connection | Pool, tenant_id: str) -> InForce:
    """Return the newest policy event of a tenant."""
    row = await connection.fetchrow(_SQL["in_force"].text, tenant_id)
    if row is None:
        return InForce("", policy_digest(""))
    payload = msgspec.json.decode(row["payload"])
    text = str(payload["document"])
    return InForce(text, policy_digest(text), read_staged(payload.get("staged")))


async def put_stage(pool: Pool, change: PolicyChange, now: dt.datetime) -> None:
    """Note that the log was told the stage that was wanted."""
    key = (change.tenant_id, change.change_id)
    await pool.execute(_SQL["put_stage"].text, *key, change.wanted_stage, now)


async def failed_staged(pool: Pool, rollout: Rollout, limit: int) -> tuple[FailedMember, ...]:
    """Return up to *limit* entities of a rollout that failed, with what an account said."""
    key = (rollout.tenant_id, rollout.rollout_id)
    rows = await pool.fetch(_SQL["list_failed_staged"].text, *key, limit)
    return tuple(
        FailedMember(
            row["entity_id"],
            row["stage"],
            Fate(row["fate"]),
            row["last_error_class"] or "",
            f"{row['connector']}: {row['last_error']}" if row["connector"] else "",
        )
        for row in rows
    )


async def read_first(
    connection: Connection, rollout: Rollout, connectors: Sequence[str]
) -> tuple[EntityPage, Mapping[uuid.UUID, tuple[str, ...]]]:
    """Return the entities that a rollout reaches first, and by what each changes, in their order."""
    key = (rollout.tenant_id, rollout.rollout_id)
    rows = await connection.fetch(_SQL["list_first"].text, *key, NAMED_MAX)
    kinds = {row["entity_id"]: tuple(row["kinds"]) for row in rows}
    return await read_named(connection, rollout.tenant_id, list(kinds), connectors), kinds
