"""A person is erased under load, with a CRM that is down and sync killed in the middle: nothing is left, and nobody comes back.

Every table of every schema is read as text, the span store and the logs as bytes, the CRMs with their bins. The sandbox's
log of arrivals is the tests' own witness of what was written when, and no part of a CRM: it is not looked at.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import asyncpg
import grpc
import pytest
from tests.integration.sync.canary import tables_with
from tests.system.tenant import ACTOR, Tenant, event
from tests.system.world import CALL_S, World
from typer.testing import CliRunner

from headwater.cli.app import app
from headwater.sync.v1 import erasures_pb2 as pb
from headwater.sync.v1 import erasures_pb2_grpc

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CANARY: Final = "quillfeather"
MAIL: Final = f"ada.{CANARY}@one.example"
OTHER: Final = "bo@two.example"
DOWN: Final = {"kind": "error_5xx"}
VENDORS: Final = ("hubspot", "salesforce")
OBJECTS: Final = {"hubspot": ("contacts", "emails"), "salesforce": ("Contact", "Task")}
FINDING_S: Final = 45.0
EVENTS_MAX: Final = 400


class Load:
    """Other people's events, one batch after another."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._end = threading.Event()
        self.count = 0

    def run(self) -> None:
        """Record until told to end."""
        while not self._end.wait(0.05) and self.count < 400:
            first = self.count
            self._tenant.record(
                [
                    event("erp", "contact", f"l-{n}", n, email=f"p{n}@load.example", last_name=f"Load {n}")
                    for n in range(first, first + 10)
                ]
            )
            self.count += 10

    @contextmanager
    def running(self) -> Iterator[None]:
        """Record while the block runs."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join(CALL_S)


@contextmanager
def desk(world: World) -> Iterator[erasures_pb2_grpc.ErasureServiceStub]:
    """Open the service of erasures on a channel of its own: one that a kill of sync breaks."""
    with grpc.insecure_channel(world.address("sync")) as channel:
        yield erasures_pb2_grpc.ErasureServiceStub(channel)


def shown(world: World, tenant: Tenant, erasure_id: str) -> pb.Erasure:
    """Return an erasure as it stands."""
    with desk(world) as stub:
        return stub.GetErasure(
            pb.GetErasureRequest(tenant_id=tenant.id, erasure_id=erasure_id), timeout=CALL_S
        ).erasure


def tables_of_canary(world: World, text: str) -> set[str]:
    """Return the tables that have *text* in a row."""

    async def look() -> set[str]:
        connection = await asyncpg.connect(world.database_url)
        try:
            return await tables_with(connection, text)
        finally:
            await connection.close()

    return anyio.run(look)


def files_with(folder: Path, text: str) -> list[str]:
    """Return the files below *folder* that have *text* in them: logs and spans, not the sandbox's or the database's pages."""
    wanted, found = text.encode(), []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if (
            path.is_file()
            and parts[0] != "sandbox"
            and parts[:2] != ("pg", "pgdata")
            and wanted in path.read_bytes()
        ):
            found.append("/".join(parts))
    return found


def in_crms(tenant: Tenant) -> str:
    """Return all that the CRMs hold of people and mails, in their bins as well."""
    return json.dumps(
        [
            tenant._ask(vendor, "records", object=kind)  # noqa: SLF001 - with those that are put away
            for vendor in VENDORS
            for kind in OBJECTS[vendor]
        ]
    )


def mail(number: int, subject: str) -> Any:
    """Return a mail between the two."""
    return event(
        "mail", "activity", f"m-{number}", number, kind="email", subject=subject, occurred_time="2026-01-05T10:00:00Z",
        participants=[
            {"role": "from", "address": MAIL, "name": f"Ada {CANARY}"},
            {"role": "to", "address": OTHER, "name": "Bo Bergman"},
        ],
    )  # fmt: skip


def two_people(world: World) -> Tenant:
    """Return a tenant with two people who wrote to each other, delivered to both CRMs."""
    made = world.tenant()
    told = [
        event("erp", "contact", "p-1", 1, email=MAIL, first_name="Ada", last_name=CANARY, title="Buyer"),
        event("shop", "contact", "p-2", 2, email=MAIL.upper(), phone="+46 8 123 456 78"),
        event("erp", "contact", "p-3", 3, email=OTHER, first_name="Bo", last_name="Bergman"),
        mail(1, f"Offer for {CANARY}"),
    ]
    assert {item.disposition for item in made.record(told)} == {1}
    made.wait_until_settled()
    return made


def test_nothing_is_left_and_nobody_comes_back(world: World) -> None:
    """Sync is killed in the middle, one CRM is down: what it has goes when it is back; audit and rebuild hold."""
    erase_under_load(world, two_people(world))


def erase_under_load(world: World, tenant: Tenant) -> None:
    """Erase one of two people, all that the module's name says; `make prove-erasure` looks at copies afterwards."""
    assert CANARY in in_crms(tenant)
    tenant.arm("salesforce", DOWN)
    load = Load(tenant)
    erasure_id = str(uuid.uuid4())
    order = pb.StartErasureRequest(
        tenant_id=tenant.id, subject=MAIL, reason="request 4711", actor=ACTOR, request_id=erasure_id
    )
    with load.running():
        with desk(world) as stub:
            stub.StartErasure(order, timeout=CALL_S)
        world.kill("sync")
        late = tenant.record([event("erp", "contact", "p-1", 50, email=MAIL, last_name=f"{CANARY} again")])
        late += tenant.record(
            [event("shop", "contact", "p-77", 51, email=MAIL, last_name=CANARY), mail(2, "More")]
        )
        world.restart("sync")
        with desk(world) as stub:
            again = stub.StartErasure(order, timeout=CALL_S).erasure
        assert again.erasure_id == erasure_id

        def here_is_done() -> bool:
            one = shown(world, tenant, erasure_id)
            return one.state == pb.ERASURE_STATE_PROPAGATING and all(
                item.state == "erased" for item in one.targets if item.connector == "hubspot"
            )

        world.until(here_is_done, "all but the CRM that is down is erased", FINDING_S)
    assert load.count
    waiting = shown(world, tenant, erasure_id)
    assert {item.state for item in waiting.targets if item.connector == "salesforce"} == {"open"}
    tenant.arm("salesforce")
    world.until(
        lambda: shown(world, tenant, erasure_id).state == pb.ERASURE_STATE_DONE, "the CRM is back", FINDING_S
    )
    tenant.wait_until_settled(FINDING_S)

    certificate = shown(world, tenant, erasure_id)
    assert {item.state for item in certificate.targets} == {"erased"}
    assert {item.connector for item in certificate.targets} == set(VENDORS)
    # suppressed where the projector met them first, erased where the erasure had swept the log before it
    assert {tenant.fate(one.event_key).projection for one in late} <= {"suppressed", "erased"}
    _nothing_is_left(world, tenant)
    _audit_holds(world, tenant)

    world.children["sync"].end()
    world.fetch("select sync.begin_rebuild('user:me', $1)", tenant.id)
    world.restart("sync")
    world.until(
        lambda: not world.fetch("select 1 from sync.rebuild"), "the tenant is projected again", FINDING_S
    )
    tenant.wait_until_settled(FINDING_S)
    _nothing_is_left(world, tenant)
    found = world.fetch(
        "select fields::text from sync.entity where tenant_id = $1 and object = 'contact'", tenant.id
    )
    assert len([row for row in found if "@" in row[0]]) == load.count + 1


def _nothing_is_left(world: World, tenant: Tenant) -> None:
    assert tables_of_canary(world, CANARY) == set()
    assert tables_of_canary(world, OTHER) >= {"ingest.event", "sync.record", "sync.entity", "identity.member"}
    assert CANARY not in in_crms(tenant)
    assert OTHER in in_crms(tenant)
    assert files_with(world.children["sync"].log.parent, CANARY) == []


def _audit_holds(world: World, tenant: Tenant) -> None:
    environment = {
        "HEADWATER_SYNC_ADDRESS": world.address("sync"),
        "HEADWATER_INGEST_ADDRESS": world.address("ingest"),
        "HEADWATER_IDENTITY_ADDRESS": world.address("identity"),
        "HEADWATER_TENANT": tenant.id,
        "HEADWATER_DATA_DIR": str(world.children["sync"].log.parent / "data"),
    }
    result = CliRunner().invoke(app, ["audit", "verify", "--json"], env=environment)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["sound"], told["entries"] > 0) == (True, True)
    sql = "select changes::text from sync.audit where tenant_id = $1 and action = 'subject_erased'"
    ((text,),) = world.fetch(sql, tenant.id)
    assert CANARY not in text
    crms = [item["after"] for item in json.loads(text) if item["field"] == "#crm"]
    assert {item["state"] for item in crms} == {"erased"}
    assert text.count("gdpr-delete") + text.count("emptyRecycleBin") == len(crms) >= 4
