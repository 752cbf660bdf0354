"""Entities to renew on a database of the test's own, and a worker whose time is the test's."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from tests.integration.sync.world import World
from tests.unit.sync.tenant import NOON, POLICY, TENANT, key

from headwater.policy.loading import load_policy, policy_digest
from headwater.sync.domain.renewing import PolicyVersion
from headwater.sync.store.renewals import PostgresRenewals
from headwater.sync.store.versions import read_version
from headwater.sync.versions.worker import RenewalSettings, RenewalWorker

OLD: Final = POLICY
OWNED: Final = "first_name: {type: text, owners: [crm, site, mail], rule: most_recent}"
NEW: Final = POLICY.replace(
    OWNED, "first_name: {type: text, owners: [site, crm, mail], rule: source_priority}"
).replace('version: "7"', 'version: "8"')
"""Another rule and another first owner of given names."""
assert NEW.count("source_priority") == OLD.count("source_priority") + 1


@dataclass(slots=True)
class Renewal:
    """Tables, clock and worker."""

    world: World
    settings: RenewalSettings = field(
        default_factory=lambda: RenewalSettings(page_entities=2, entities_per_s=1e9, settle_s=20.0)
    )

    async def contact(self, number: int, *, delivered: bool = True) -> None:
        """Put a contact in whose newest name is Rob by crm, and whom site calls Robert; as *OLD* has it."""
        world = self.world
        stated = {"email": f"p{number}@one.example.com"}
        await world.add_record(number, "site", f"s{number}", at=1, first_name="Robert", **stated)
        await world.add_record(number, "crm", f"c{number}", at=2, first_name="Rob", **stated)
        fields: dict[str, Any] = {
            "email": [stated["email"], "source_priority", "crm", str(key(9000 + number)), 2_000_000],
            "first_name": ["Rob", "most_recent", "crm", str(key(9000 + number)), 2_000_000],
        }
        await world.add_entity(number, fields=fields, policy_version="7", change_time=NOON)
        if delivered:
            known = {"Email": stated["email"], "FirstName": "Rob", "LastName": "unknown"}
            await world.add_delivery(
                number, 2, delivered_version=1, crm_object="Contact", crm_id=f"003{number}", known=known
            )

    async def apply(self, text: str, number: int, actor: str = "ann") -> uuid.UUID:
        """Put a policy in force by event *number*, as log and projector do."""
        event_key = await self.world.enforce(text, number)
        await self.world.insert(
            "policy_version",
            tenant_id=TENANT,
            event_key=event_key,
            xid=1,
            seq=number,
            digest=policy_digest(text),
            document=text,
            actor=actor,
            record_time=NOON,
            next_time=NOON,
        )
        return event_key

    async def step(self, seconds: float = 1.0) -> None:
        """Let time pass and a process that was just started work once."""
        self.world.clock.advance(seconds)
        await RenewalWorker(PostgresRenewals(self.world.pool), self.settings, self.world.time).step()

    async def version(self, number: int) -> PolicyVersion:
        """Return a version as it stands."""
        row = await self.world.pool.fetchrow(
            "select * from sync.policy_version where tenant_id = $1 and event_key = $2", TENANT, key(number)
        )
        assert row is not None
        return read_version(row)

    async def names(self) -> dict[int, str]:
        """Return entity to the given name that it shows."""
        rows = await self.world.pool.fetch(
            "select entity_id, fields from sync.entity where tenant_id = $1", TENANT
        )
        return {row["entity_id"].int: row["fields"]["first_name"][0] for row in rows}

    async def notes(self) -> list[tuple[int | None, str, str]]:
        """Return entity, actor and policy version of each audit entry of a changed policy, oldest first."""
        rows = await self.world.pool.fetch(
            "select entity_id, actor, policy_version from sync.audit"
            " where action = 'policy_changed' order by audit_id"
        )
        return [
            (row["entity_id"].int if row["entity_id"] else None, row["actor"], row["policy_version"])
            for row in rows
        ]


assert load_policy(NEW).version == "8"
