"""A policy under which values change, staged with the command line on the live system: through, back, and over a restart."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.test_rebuild import state_of, through
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
FIRST: Final = 4
"""Of these the ones that are reached first."""
PART: Final = (
    "rollout: {records: 4, ramp: [8], soak_s: 0.1, rate_per_s: 500, errors_min: 1, approval: true}\n"
)
OWNED: Final = "first_name: {type: text, owners: [shop, erp, mail], rule: source_priority}"
TURNED: Final = "first_name: {type: text, owners: [erp, shop, mail], rule: source_priority}"
MISMAPPED: Final = ("fields: {email: {field: email}", "fields: {email: {field: first_name}")
"""What the CRM refuses: a name where an address belongs."""


@dataclass(slots=True)
class Bench:
    """Everything that runs, and how to type a command and to look."""

    url: str
    sandbox: SandboxProcess
    doors: Doors
    tables: Any
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def policy(self) -> str:
        """The policy that the tenant begins with."""
        return POLICY.replace("${url}", self.sandbox.url) + PART

    @property
    def turned(self) -> str:
        """The same, but the other system owns given names."""
        return self.policy.replace(OWNED, TURNED).replace('version: "1"', 'version: "2"')

    @asynccontextmanager
    async def syncing(self) -> AsyncIterator[None]:
        """Run sync, and have commands find it."""
        ways = self.doors
        async with syncing(self.url, ways.identity_address, ingest_address=ways.ingest_address) as port:
            self.environment = {
                "HEADWATER_SYNC_ADDRESS": f"127.0.0.1:{port}",
                "HEADWATER_INGEST_ADDRESS": ways.ingest_address,
                "HEADWATER_IDENTITY_ADDRESS": ways.identity_address,
                "HEADWATER_DATA_DIR": str(self.folder / "data"),
                "HEADWATER_TENANT": TENANT,
                "HEADWATER_ACTOR": "operator-1",
            }
            yield

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

    async def begin(self, text: str) -> str:
        """Begin to stage *text*; return the rollout."""
        (begun,) = (await self.type("policy", "apply", self.write(text), "--canary", "--yes"))["rollouts"]
        assert (begun["kind"], begun.get("connector", "")) == ("ROLLOUT_KIND_VALUES", "")
        return str(begun["rollout_id"])

    async def stands(self, rollout_id: str, state: str) -> Any:
        """Return a rollout once it stands so."""
        found: list[Any] = []

        async def reached() -> bool:
            found[:] = [await self.type("rollouts", "show", rollout_id)]
            return bool(found[0]["rollout"]["state"] == f"ROLLOUT_STATE_{state}")

        await until(reached, 30)
        return found[0]

    async def say(self, turn: int) -> None:
        """Have both systems say another given name of everybody, and wait until it is everywhere."""
        for source, name in (("erp", "Robert"), ("shop", "Bob")):
            outcomes = await self.doors.record(
                [
                    event(source, "contact", f"c-{n}", turn, first_name=f"{name}{turn or ''}", last_name=f"Brandt{n}",
                          email=f"p{n}@one{n}.example.com")
                    for n in range(BOTH)
                ]
            )  # fmt: skip
            assert {item.disposition for item in outcomes} == {1}, outcomes
        await until(lambda: settled(self.tables))

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

    async def renewed(self) -> None:
        """Wait until every entity was computed under the policy in force, and is delivered."""
        under_way = "select count(*) from sync.policy_version where state in (1, 2)"

        async def reached() -> bool:
            return await settled(self.tables) and await self.tables.fetchval(under_way) == 0

        await until(reached)


@pytest.fixture
async def bench(sandbox: SandboxProcess, migrated_database_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """Twenty contacts, delivered, whom two systems know by two names; sync stands still."""
    url = migrated_database_url
    async with doors(url) as ways, looking(url) as tables:
        bench = Bench(url, sandbox, ways, tables, tmp_path)
        told: dict[str, Any] = {"document": bench.policy, "digest": policy_digest(bench.policy)}
        await ways.record([event("headwater", "policy", TENANT, **told)])
        async with bench.syncing():
            await bench.say(0)
        assert bench.names() == {"Bob": BOTH}
        yield bench


async def test_values_reach_a_few_then_more_then_all(bench: Bench) -> None:
    """Dry run, four, a restart, eight, all: live traffic goes by the policy of each entity's stage throughout."""
    file = bench.write(bench.turned)
    async with bench.syncing():
        dry = await bench.type("policy", "apply", file, "--canary")
        foretold = {item["entity_id"] for item in dry["impact"]["first"]}
        assert (len(foretold), dry["impact"]["stage_ends"]) == (FIRST, ["4", "8", str(BOTH)])
        one = dry["impact"]["first"][0]
        assert one["kinds"] == ["contact.first_name"]
        (crm,) = one["accounts"][0]["fields"]
        assert (crm["field"], crm["before_json"], crm["after_json"], crm["held_json"]) == (
            "firstname", '"Bob"', '"Robert"', '"Bob"',
        )  # fmt: skip
        assert dry["impact"]["accounts"][0]["call_count"] == "1"
        assert (await bench.type("rollouts", "list"))["rollouts"] == []

        rollout_id = await bench.begin(bench.turned)
        held = await bench.stands(rollout_id, "HELD")
        assert {item["entity_id"] for item in held["entities"]} == foretold, "those that the dry run named"
        assert bench.names() == {"Robert": FIRST, "Bob": BOTH - FIRST}
        await bench.say(2)
        assert bench.names() == {"Robert2": FIRST, "Bob2": BOTH - FIRST}
    async with bench.syncing():  # another process takes over
        await bench.say(3)
        assert bench.names() == {"Robert3": FIRST, "Bob3": BOTH - FIRST}
        status = await bench.type("policy", "status")
        assert (status["digest"], status["staged_digest"], status["stage"]) == (
            policy_digest(bench.policy), policy_digest(bench.turned), 1,
        )  # fmt: skip
        (field_,) = status["change"]["entities"][0]["accounts"][0]["fields"]
        assert (field_["before_json"], field_["after_json"], field_["held_json"]) == (
            '"Bob3"', '"Robert3"', '"Robert3"',
        )  # fmt: skip
        await bench.type("rollouts", "approve", rollout_id)
        await until(lambda: _names(bench, {"Robert3": 8, "Bob3": BOTH - 8}))
        await bench.stands(rollout_id, "HELD")
        await bench.type("rollouts", "approve", rollout_id)
        done = await bench.stands(rollout_id, "DONE")
        assert [item["delivered_count"] for item in done["stages"]] == ["4", "4", str(BOTH - 8)]
        await bench.renewed()
        assert bench.names() == {"Robert3": BOTH}
        assert (await bench.type("policy", "show"))["digest"] == policy_digest(bench.turned)
        listed = (await bench.type("policy", "versions"))["versions"]
        assert [item["stage"] for item in listed] == [0, 3, 2, 1, 0]
    before = await state_of(bench.tables)
    await bench.tables.fetchval("select sync.begin_rebuild('user:operator-1')")
    async with bench.syncing():
        await until(partial(through, bench.tables), 30)
        await bench.renewed()
    after = await state_of(bench.tables)
    for name, rows in before.items():
        assert after[name] == rows, name


async def _names(bench: Bench, wanted: dict[str, int]) -> bool:
    return bench.names() == wanted


async def test_what_the_crm_refuses_ends_the_change_and_is_taken_back(bench: Bench) -> None:
    """The first four fail: nobody else was touched, the policy before is in force, every value is back, all audited."""
    async with bench.syncing():
        rollout_id = await bench.begin(bench.turned.replace(*MISMAPPED))
        found = await bench.stands(rollout_id, "ABORTED")
        assert "have failed" in found["rollout"]["reason"]
        await bench.renewed()
        assert bench.names() == {"Bob": BOTH}
        assert (await bench.type("policy", "show"))["digest"] == policy_digest(bench.policy)
        failed = "select count(distinct entity_id) from sync.try where outcome = 'failed'"
        assert 1 <= await bench.tables.fetchval(failed) <= FIRST
        states = await bench.tables.fetch("select distinct state from sync.delivery where object = 'contact'")
        assert [row["state"] for row in states] == [2]
        shown = "select fields -> 'first_name' ->> 0 as name, count(*) from sync.entity group by 1"
        assert {row["name"]: row["count"] for row in await bench.tables.fetch(shown)} == {"Bob": BOTH}
        told = await bench.tables.fetch("select action from sync.audit where action like 'rollout_%'")
        assert {"rollout_started", "rollout_rolling_back", "rollout_aborted"} <= {
            row["action"] for row in told
        }


async def test_an_operator_aborts_half_way(bench: Bench) -> None:
    """After eight: their values are those of the policy before again, live changes of meanwhile included."""
    async with bench.syncing():
        rollout_id = await bench.begin(bench.turned)
        await bench.stands(rollout_id, "HELD")
        await bench.type("rollouts", "approve", rollout_id)
        await until(lambda: _names(bench, {"Robert": 8, "Bob": BOTH - 8}))
        await bench.say(2)
        await bench.type("rollouts", "abort", rollout_id, "--reason", "wrong owner")
    async with bench.syncing():
        found = await bench.stands(rollout_id, "ABORTED")
        assert "wrong owner" in found["rollout"]["reason"]
        await bench.renewed()
        assert bench.names() == {"Bob2": BOTH}
        status = await bench.type("policy", "status")
        assert (status["digest"], status["staged_digest"]) == (policy_digest(bench.policy), "")
