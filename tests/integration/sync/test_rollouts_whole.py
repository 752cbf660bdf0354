"""A policy rolled out with the command line through the whole of sync to a CRM of the sandbox."""

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

RECORDS: Final = 40
PART: Final = "rollout: {records: 5, ramp: [15], soak_s: 0.2, rate_per_s: 500, errors_min: 1}\n"


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
        return POLICY.replace("${url}", self.sandbox.url) + PART

    async def type(self, *words: str) -> Any:
        """Type a command with --json and return its answer."""

        def call() -> Any:
            result = CliRunner().invoke(app, [*words, "--json"], env=self.environment)
            assert result.exit_code == 0, result.output
            return json.loads(result.stdout)

        return await anyio.to_thread.run_sync(call)

    async def refused(self, *words: str) -> Any:
        """Type a command that is refused, and return the error."""

        def call() -> Any:
            result = CliRunner().invoke(app, [*words, "--json"], env=self.environment)
            assert result.exit_code != 0, result.output
            return json.loads(result.stdout)["error"]

        return await anyio.to_thread.run_sync(call)

    def write(self, text: str) -> str:
        """Write a policy file."""
        path = self.folder / "policy.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    async def ended(self, rollout_id: str) -> Any:
        """Return a rollout once it has ended."""

        async def reached() -> bool:
            found = await self.type("rollouts", "show", rollout_id)
            return found["rollout"]["state"] in {"ROLLOUT_STATE_DONE", "ROLLOUT_STATE_ABORTED"}

        await until(reached)
        return await self.type("rollouts", "show", rollout_id)

    def titles(self) -> set[str]:
        """Return the job titles that the CRM holds."""
        answer = self.sandbox.client.get(
            f"{self.sandbox.url}/_sandbox/hubspot/{TENANT}/records?object=contacts"
        )
        answer.raise_for_status()
        ours = [
            item["fields"]
            for item in answer.json()["records"]["contacts"]
            if "headwater_id" in item["fields"]
        ]
        assert len(ours) == RECORDS
        return {str(fields.get("jobtitle")) for fields in ours}


@pytest.fixture
async def bench(sandbox: SandboxProcess, migrated_database_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """Forty contacts, delivered."""
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
        outcomes += await ways.record(
            [
                event(
                    "erp",
                    "contact",
                    f"c-{n}",
                    email=f"p{n}@one.example.com",
                    last_name=f"B{n}",
                    title="Engineer",
                )
                for n in range(RECORDS)
            ]
        )
        assert [item.disposition for item in outcomes] == [1] * (RECORDS + 1), outcomes
        await until(lambda: settled(tables))
        yield bench


async def test_a_mapping_is_rolled_out_in_stages(bench: Bench) -> None:
    """The dry run says what comes and changes nothing; then five records, fifteen, all."""
    text = bench.policy.replace("jobtitle: {field: title}", "jobtitle: {field: title, transform: upper}")
    file = bench.write(text)
    (forecast,) = (await bench.type("policy", "apply", file, "--canary"))["forecasts"]
    assert (forecast["record_count"], forecast["stage_ends"]) == (str(RECORDS), ["5", "15", str(RECORDS)])
    assert forecast["field_counts"] == {"contacts.jobtitle": str(RECORDS)}
    change = {"field": "jobtitle", "before_json": '"Engineer"', "after_json": '"ENGINEER"'}
    assert forecast["samples"][0]["changes"] == [change]
    assert (await bench.type("rollouts", "list"))["rollouts"] == []
    assert bench.titles() == {"Engineer"}

    (begun,) = (await bench.type("policy", "apply", file, "--canary", "--yes"))["rollouts"]
    found = await bench.ended(begun["rollout_id"])
    assert found["rollout"]["state"] == "ROLLOUT_STATE_DONE"
    assert [stage["delivered_count"] for stage in found["stages"]] == ["5", "10", "25"]
    assert bench.titles() == {"ENGINEER"}


async def test_values_that_the_crm_refuses_abort_and_are_taken_back(bench: Bench) -> None:
    """The first records fail, the rollout aborts itself, the policy before is in force, no other was touched."""
    text = bench.policy.replace(
        "headwater_id, fields: {email: {field: email}", "headwater_id, fields: {email: {field: title}"
    )
    (begun,) = (await bench.type("policy", "apply", bench.write(text), "--canary", "--yes"))["rollouts"]
    found = await bench.ended(begun["rollout_id"])
    assert found["rollout"]["state"] == "ROLLOUT_STATE_ABORTED"
    assert "have failed" in found["rollout"]["reason"]
    assert [(stage["number"], stage["record_count"]) for stage in found["stages"]] == [(1, "5"), (100, "5")]
    assert (await bench.type("policy", "show"))["digest"] == policy_digest(bench.policy)
    states = await bench.tables.fetch("select distinct state from sync.delivery where object = 'contact'")
    assert [row["state"] for row in states] == [2]
    failed = "select count(distinct entity_id) from sync.try where outcome = 'failed'"
    assert 1 <= await bench.tables.fetchval(failed) <= 5


async def test_a_policy_that_makes_the_account_unusable_is_taken_back(bench: Bench) -> None:
    """Nothing fails then, nothing moves at all: that ends the rollout too, and the account works again."""
    text = bench.policy.replace(
        "jobtitle: {field: title}", "jobtitle: {field: title}, no_such_field: {field: title}"
    )
    (begun,) = (await bench.type("policy", "apply", bench.write(text), "--canary", "--yes"))["rollouts"]
    found = await bench.ended(begun["rollout_id"])
    assert found["rollout"]["state"] == "ROLLOUT_STATE_ABORTED"
    assert "no_such_field" in found["rollout"]["reason"]
    assert (await bench.type("policy", "show"))["digest"] == policy_digest(bench.policy)
    assert await bench.tables.fetchval("select finding from sync.connector_state") == ""


async def test_records_that_drifted_are_put_right(bench: Bench) -> None:
    """Re-delivery asks the CRM and writes only what is another value there."""
    (forecast,) = (
        await bench.type("deliveries", "redeliver", "--connector", "hubspot", "--object", "contact")
    )["forecasts"]
    assert forecast["record_count"] == str(RECORDS)
    await bench.tables.execute("update sync.delivery set known = '{}' where object = 'contact'")
    order = (
        "deliveries",
        "redeliver",
        "--connector",
        "hubspot",
        "--object",
        "contact",
        "--no-canary",
        "--yes",
    )
    (begun,) = (await bench.type(*order))["rollouts"]
    found = await bench.ended(begun["rollout_id"])
    assert (found["rollout"]["state"], len(found["stages"])) == ("ROLLOUT_STATE_DONE", 1)
    written = await bench.tables.fetchval("select count(*) from sync.try where outcome = 'updated'")
    assert (written, bench.titles()) == (0, {"Engineer"})


async def test_a_workflow_of_the_crm_stops_a_bulk_run_until_it_is_acknowledged(bench: Bench) -> None:
    """Asked of the running account: shown in the dry run, refused at the start, begun with its name."""
    place = f"{bench.sandbox.url}/_sandbox/hubspot/{TENANT}/options"
    planted = {"kind": "workflow", "object": "contacts", "name": "Welcome mail"}
    bench.sandbox.client.put(
        place, json={"automations": [planted], "required_fields": {"contacts": ["lifecyclestage"]}}
    ).raise_for_status()
    order = ("deliveries", "redeliver", "--connector", "hubspot", "--object", "contact")
    (forecast,) = (await bench.type(*order))["forecasts"]
    assert [(item["kind"], item["name"], item["acknowledged"]) for item in forecast["findings"]] == [
        ("workflow", "Welcome mail", False),
        ("required field", "lifecyclestage", False),
    ]
    known = ("--acknowledge-workflows", "Welcome mail")
    assert (await bench.refused(*order, *known, "--yes"))["reason"] == "FINDINGS_OPEN"
    whole = (*known, "--acknowledge-workflows", "lifecyclestage")
    (begun,) = (await bench.type(*order, *whole, "--yes"))["rollouts"]
    assert begun["acknowledged"] == [
        "workflow contacts: Welcome mail", "required field contacts: lifecyclestage",
    ]  # fmt: skip
    assert (await bench.ended(begun["rollout_id"]))["rollout"]["state"] == "ROLLOUT_STATE_DONE"
