"""`headwater status` and `headwater doctor` against real processes: well when all is well, and right about what is not."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import anyio
import asyncpg
import pytest
from tests.system.tenant import ACTOR, Tenant, event
from tests.system.world import World
from typer.testing import CliRunner, Result

from headwater.cli.app import app
from headwater.kernel.testing import postgres
from headwater.sync.v1 import sync_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

SCREEN_S_MAX: Final = 20.0
"""Longest wait for a screen, or for the end."""


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """A tenant with one contact in both CRMs."""
    made = world.tenant()
    made.record_one(event("erp", "contact", "c-1", email="look@person.example"))
    made.wait_until_settled()
    return made


@pytest.fixture
def environment(tenant: Tenant, tmp_path: Path) -> dict[str, str]:
    """What an operator's shell holds: where the services, their database and the receiver of spans are."""
    world = tenant.world
    return {
        **{
            f"HEADWATER_{name.upper()}_ADDRESS": world.address(name)
            for name in ("ingest", "identity", "sync")
        },
        "HEADWATER_DATABASE_URL": world.database_url,
        "HEADWATER_DATA_DIR": str(tmp_path),
        "HEADWATER_TENANT": tenant.id,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{world.address('otlp')}",
    }


@pytest.fixture
def strange_database(postgres_server: str) -> Iterator[str]:
    """A database that nobody has migrated, where commits are not waited for."""

    async def make() -> str:
        url = await postgres.create_database(postgres_server)
        connection = await asyncpg.connect(url)
        try:
            name = await connection.fetchval("select current_database()")
            await connection.execute(f'alter database "{name}" set synchronous_commit = off')
        finally:
            await connection.close()
        return url

    url = anyio.run(make)
    yield url
    anyio.run(postgres.drop_database, postgres_server, url)


def _type(environment: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(app, list(words), env=environment)


def _doctor(environment: dict[str, str], *words: str) -> tuple[int, dict[tuple[str, str], dict[str, Any]]]:
    """Return the exit code and each check's worst finding."""
    done = _type(environment, "doctor", "--json", *words)
    order = ("ok", "warning", "problem")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for item in json.loads(done.stdout)["findings"]:
        key = (item["check"], item["about"])
        if key not in found or order.index(item["state"]) > order.index(found[key]["state"]):
            found[key] = item
    return done.exit_code, found


def test_the_doctor_finds_nothing_wrong_with_what_runs(environment: dict[str, str]) -> None:
    """No problem; each check looked at the real thing."""
    code, found = _doctor(environment)
    assert [item for item in found.values() if item["state"] == "problem"] == []
    assert code == 0
    wanted = {("schema", name) for name in ("ingest", "identity", "sync")}
    wanted |= {(check, name) for name in ("ingest", "identity", "sync") for check in ("service", "grants")}
    wanted |= {("account", "hubspot"), ("account", "salesforce"), ("durability", ""), ("clock", "")}
    wanted |= {
        ("telemetry", environment["OTEL_EXPORTER_OTLP_ENDPOINT"]),
        ("policy", environment["HEADWATER_TENANT"]),
    }
    assert {found[key]["state"] for key in wanted} == {"ok"}


def test_the_doctor_sees_a_database_that_is_not_ours(
    environment: dict[str, str], strange_database: str
) -> None:
    """Schemas that are missing and a server that loses commits are problems, and the exit code says so."""
    code, found = _doctor(environment, "--database-url", strange_database)
    assert code == 1
    assert found["schema", "sync"]["fix"].endswith("headwater migrate")
    assert "synchronous_commit is off" in found["durability", ""]["found"]


def test_the_doctor_sees_what_does_not_answer(environment: dict[str, str]) -> None:
    """Each that is away is named, and the checks that hang on it say that they were not made."""
    away = {"HEADWATER_SYNC_ADDRESS": "127.0.0.1:1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    code, found = _doctor(
        {**environment, **away, "HEADWATER_DATABASE_URL": "postgresql://x:secret@127.0.0.1:1/x"}
    )
    assert code == 1
    assert found["database", ""]["state"] == "problem"
    assert "secret" not in repr(found)
    assert found["service", "sync"]["state"] == "problem"
    assert found["account", ""]["found"].startswith("not looked at")
    assert found["telemetry", "http://127.0.0.1:1"]["state"] == "warning"


def test_the_doctor_sees_a_paused_account_and_broad_tokens(
    environment: dict[str, str], tenant: Tenant, tmp_path: Path
) -> None:
    """Warnings fail the command only when it is asked to be strict."""
    tokens = str(tmp_path / "tokens.json")
    words = ("tokens", "create", "everything", "--role", "admin", "--every-tenant", "--file", tokens)
    assert _type(environment, *words).exit_code == 0
    request = sync_pb2.PauseConnectorRequest(tenant_id=tenant.id, connector="hubspot", actor=ACTOR)
    tenant.world.sync.PauseConnector(request)
    try:
        code, found = _doctor(environment)
        assert found["account", "hubspot"]["state"] == "warning"
        assert "headwater connectors resume hubspot" in found["account", "hubspot"]["fix"]
        (broad,) = [item for (check, _), item in found.items() if check == "tokens"]
        assert "may do everything" in broad["found"]
        assert (code, _doctor(environment, "--strict")[0]) == (0, 1)
        shown = _type(environment, "doctor").stdout
        assert "What to do" in shown
    finally:
        tenant.world.sync.ResumeConnector(
            sync_pb2.ResumeConnectorRequest(tenant_id=tenant.id, connector="hubspot", actor=ACTOR)
        )


def test_status_tells_the_five_numbers_of_what_was_delivered(environment: dict[str, str]) -> None:
    """Two deliveries of one contact: all succeeded, with their latency, quota and accounts."""
    told = json.loads(_type(environment, "status", "--json").stdout)
    numbers = {item["name"]: item for item in told["numbers"]}
    assert numbers["sync success"]["value"] == 1.0
    assert 0 < numbers["event to CRM, p95"]["value"] < 60
    assert numbers["duplicates made"]["value"] == 0.0
    assert [item["connector"] for item in told["connectors"]] == ["hubspot", "salesforce"]
    assert {item["budget_used"] for item in told["objectives"]} == {0.0}


def test_status_without_a_terminal_is_one_screen(environment: dict[str, str]) -> None:
    """It does not wait for anybody, and fits a screen; with --counts it says how many of what there are."""
    done = _type(environment, "status")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) <= 24
    for said in ("the five numbers", "hubspot", "salesforce", "running", "closed"):
        assert said in done.stdout
    assert "deliveries" in _type(environment, "status", "--counts").stdout


def test_status_of_a_service_that_is_away_says_which(environment: dict[str, str]) -> None:
    """Exit code 69, and the address."""
    done = _type({**environment, "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:1"}, "status", "--once")
    assert done.exit_code == 69
    assert "identity does not answer at 127.0.0.1:1" in done.stderr


def test_status_on_a_terminal_is_shown_anew_until_it_is_told_to_end(environment: dict[str, str]) -> None:
    """It follows what happens, and Ctrl-C is a way to end it, not a failure."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "headwater.cli", "status", "--interval", "0.5"]
    shell = {
        **os.environ,
        **environment,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TERM": "xterm",
        "COLUMNS": "160",
    }
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=shell) as process:
        os.close(theirs)
        try:
            shown = b""
            while shown.count(b"the five numbers") < 3:
                readable, _, _ = select.select([ours], [], [], SCREEN_S_MAX)
                assert readable, shown.decode(errors="replace")
                shown += os.read(ours, 65_536)
            process.send_signal(signal.SIGINT)
            assert process.wait(SCREEN_S_MAX) == 0
        finally:
            process.kill()
            os.close(ours)
    assert b"hubspot" in shown
