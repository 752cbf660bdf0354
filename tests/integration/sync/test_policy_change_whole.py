"""A policy changed on the live system with the command line: difference, impact, apply, why, rollback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.whole import (
    POLICY,
    TENANT,
    Doors,
    doors,
    event,
    looking,
    settled,
    syncing,
    until,
)
from typer.testing import CliRunner

from headwater.cli.app import app
from headwater.policy.loading import policy_digest

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(120)]

BOTH: Final = 20
"""Contacts that both systems know, by two given names."""
ALONE: Final = 10
"""Contacts that only one of them knows."""
OWNED: Final = "first_name: {type: text, owners: [shop, erp, mail], rule: source_priority}"
TURNED: Final = "first_name: {type: text, owners: [erp, shop, mail], rule: source_priority}"


@dataclass(slots=True)
class Bench:
    """Everything that runs, and how to type a command and to look."""

    sandbox: SandboxProcess
    doors: Doors
    tables: Any
    environment: dict[str, str]
    folder: Path

    @property
    def policy(self) -> str:
        """The policy that the tenant begins with."""
        return POLICY.replace("${url}", self.sandbox.url)

    @property
    def turned(self) -> str:
        """The same, but the other system owns given names."""
        return self.policy.replace(OWNED, TURNED).replace('version: "1"', 'version: "2"')

    async def type(self, *words: str) -> Any:
        """Type a command with --json and return its answer."""

        def call() -> Any:
            result = CliRunner().invoke(app, [*words, "--json"], env=self.environment)
            assert result.exit_code == 0, result.output
            return json.loads(result.stdout)

        return await anyio.to_thread.run_sync(call)

    def write(self, text: str) -> str:
        """Write a policy file."""
        path = self.folder / "policy.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    async def renewed(self, event_key: str) -> Any:
        """Return a version once all entities were computed under it and all deliveries are settled."""

        async def reached() -> bool:
            found = await self.version(event_key)
            return found is not None and found["state"] in {
                "RENEWAL_STATE_SETTLING",
                "RENEWAL_STATE_DONE",
            }

        await until(reached)
        await until(lambda: settled(self.tables))
        return await self.version(event_key)

    async def version(self, event_key: str) -> Any:
        """Return one version; None before the projector came by it."""
        listed = (await self.type("policy", "versions"))["versions"]
        return next((item for item in listed if item["event_key"] == event_key), None)

    def names(self) -> dict[str, int]:
        """Return the given names that the CRM holds of our records, and of how many."""
        answer = self.sandbox.client.get(
            f"{self.sandbox.url}/_sandbox/hubspot/{TENANT}/records?object=contacts"
        )
        answer.raise_for_status()
        found: dict[str, int] = {}
        for item in answer.json()["records"]["contacts"]:
            if "headwater_id" in item["fields"]:
                name = str(item["fields"].get("firstname"))
                found[name] = found.get(name, 0) + 1
        return found

    async def written(self, event_key: str) -> int:
        """Count the CRM writes that an event has brought about."""
        count: int = await self.tables.fetchval(
            "select count(*) from sync.try where event_key = $1 and outcome = 'updated'", event_key
        )
        return count


@pytest.fixture
async def bench(sandbox: SandboxProcess, migrated_database_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """Thirty contacts, delivered; twenty of them are known to two systems by two names."""
    url = migrated_database_url
    async with (
        doors(url) as ways,
        syncing(url, ways.identity_address, ingest_address=ways.ingest_address) as port,
        looking(url) as tables,
    ):
        environment = {
            "HEADWATER_SYNC_ADDRESS": f"127.0.0.1:{port}",
            "HEADWATER_INGEST_ADDRESS": ways.ingest_address,
            "HEADWATER_IDENTITY_ADDRESS": ways.identity_address,
            "HEADWATER_DATA_DIR": str(tmp_path / "data"),
            "HEADWATER_TENANT": TENANT,
            "HEADWATER_ACTOR": "operator-1",
        }
        bench = Bench(sandbox, ways, tables, environment, tmp_path)
        told: dict[str, Any] = {"document": bench.policy, "digest": policy_digest(bench.policy)}
        outcomes = await ways.record([event("headwater", "policy", TENANT, **told)])
        for source, name, count in (("erp", "Robert", BOTH + ALONE), ("shop", "Bob", BOTH)):
            outcomes += await ways.record(
                [
                    event(source, "contact", f"c-{n}", first_name=name, last_name=f"Brandt{n}",
                          email=f"p{n}@one{n}.example.com")
                    for n in range(count)
                ]
            )  # fmt: skip
        assert {item.disposition for item in outcomes} == {1}, outcomes
        await until(lambda: settled(tables))
        assert bench.names() == {"Bob": BOTH, "Robert": ALONE}
        yield bench


def foreseen(impact: Any) -> tuple[str, Any, str, str]:
    """Return what an impact predicts: entities, fields, deliveries and writes of the account."""
    (account,) = impact["accounts"]
    return (
        impact["changed_count"],
        impact["field_counts"],
        account["delivery_count"],
        account["write_count"],
    )


async def test_the_counts_predicted_are_the_counts_seen(bench: Bench) -> None:
    """Difference, impact, apply and rollback through the real services: entities, fields and writes as foretold."""
    file = bench.write(bench.turned)
    impact = await bench.type("policy", "impact", file)
    predicted = (str(BOTH), {"contact.first_name": str(BOTH)}, str(BOTH), str(BOTH))
    assert impact["exact"]
    assert foreseen(impact) == predicted
    assert impact["accounts"][0]["call_count"] == "1"
    assert bench.names() == {"Bob": BOTH, "Robert": ALONE}, "looking changed nothing"

    applied = await bench.type("policy", "apply", file)
    assert foreseen(applied["impact"]) == predicted
    changed = {item["path"] for item in applied["difference"]}
    assert changed == {"objects.contact.fields.first_name.owners", "version"}
    seen = await bench.renewed(applied["event_key"])
    assert (seen["changed_count"], seen["field_counts"]) == predicted[:2]
    assert seen["delivery_counts"] == {"hubspot": str(BOTH)}
    assert await bench.written(applied["event_key"]) == BOTH
    assert bench.names() == {"Robert": BOTH + ALONE}

    dry = await bench.type("policy", "rollback")
    assert (dry["dry_run"], dry["digest"], foreseen(dry["impact"])) == (
        True,
        policy_digest(bench.policy),
        predicted,
    )
    back = await bench.type("policy", "rollback", "--to", policy_digest(bench.policy), "--yes")
    seen = await bench.renewed(back["event_key"])
    assert (seen["changed_count"], await bench.written(back["event_key"])) == (str(BOTH), BOTH)
    assert bench.names() == {"Bob": BOTH, "Robert": ALONE}


async def test_a_policy_change_is_audited_with_its_difference(bench: Bench) -> None:
    """One entry for the change, with version and digest before and after; one for each entity that it changed."""
    applied = await bench.type("policy", "apply", bench.write(bench.turned))
    await bench.renewed(applied["event_key"])
    rows = await bench.tables.fetch(
        "select entity_id, actor, changes, policy_version from sync.audit"
        " where action = 'policy_changed' and event_key = $1 order by audit_id",
        applied["event_key"],
    )
    told = {item["field"]: (item["before"], item["after"]) for item in rows[0]["changes"]}
    assert rows[0]["entity_id"] is None
    assert told["version"] == ("1", "2")
    assert told["digest"] == (policy_digest(bench.policy), policy_digest(bench.turned))
    assert "objects.contact.fields.first_name.owners" in told
    assert len(rows) == 1 + BOTH
    assert {row["actor"] for row in rows} == {"operator-1"}
    change = {"field": "first_name", "before": "Bob", "after": "Robert", "rule": "source_priority"}
    assert {json.dumps(row["changes"]) for row in rows[1:]} == {json.dumps([change])}


async def test_why_names_winner_losers_and_what_the_crm_holds(bench: Bench) -> None:
    """By a record of the entity: who decides, who lost and by what, and the CRM's field."""
    found = await bench.type("why", "erp/contact/c-1", "first_name")
    (field,) = found["fields"]
    assert (json.loads(field["value_json"]), field["rule"], field["owners"]) == (
        "Bob",
        "source_priority",
        ["shop", "erp", "mail"],
    )
    said = [(item["source"], item["won"], item["reason"]) for item in field["statements"]]
    assert said == [("shop", True, ""), ("erp", False, "lower rank")]
    (held,) = field["held"]
    assert (held["connector"], held["crm_field"], held["value_json"], held["differs"]) == (
        "hubspot",
        "firstname",
        '"Bob"',
        False,
    )
    (account,) = found["accounts"]
    assert account["delivery"]["state"] == "DELIVERY_STATE_DELIVERED"
    assert (found["policy_version"], found["policy_digest"]) == ("1", policy_digest(bench.policy))


async def test_no_entity_is_left_behind_beside_live_traffic(bench: Bench) -> None:
    """Policies turned back and forth while events stream in: in the end every entity is as its records decide."""

    async def traffic() -> None:
        for turn in range(1, 9):
            outcomes = await bench.doors.record(
                [
                    event(source, "contact", f"c-{n}", float(turn), first_name=f"{name}{turn}",
                          last_name=f"Brandt{n}", email=f"p{n}@one{n}.example.com")
                    for source, name in (("erp", "Robert"), ("shop", "Bob"))
                    for n in range(BOTH)
                ]
            )  # fmt: skip
            assert {item.disposition for item in outcomes} == {1}, outcomes

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(traffic)
        for text in (bench.turned, bench.policy, bench.turned):
            applied = await bench.type("policy", "apply", bench.write(text))
    await bench.renewed(applied["event_key"])
    shown = await bench.tables.fetch("select entity_id, fields from sync.entity where object = 'contact'")
    assert len(shown) == BOTH + ALONE
    for row in shown:
        stated = await bench.tables.fetch(
            "select source, fields from sync.record where entity_id = $1", row["entity_id"]
        )
        by_source = {item["source"]: item["fields"]["first_name"][0] for item in stated}
        assert row["fields"]["first_name"][0] == by_source["erp"], "erp owns given names now"
    names = {"Robert8": BOTH, "Robert": ALONE}
    assert bench.names() == names
