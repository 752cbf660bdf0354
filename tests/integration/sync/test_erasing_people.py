"""A person is erased everywhere: log, quarantine, identity, entities, audit values, the CRM; and does not come back."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
import asyncpg
import grpc
import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.canary import tables_with
from tests.integration.sync.whole import (
    CALL_S,
    POLICY,
    TENANT,
    Doors,
    doors,
    event,
    looking,
    policy_event,
    settled,
    syncing,
    until,
)
from typer.testing import CliRunner

from headwater.cli.app import app
from headwater.event.v1 import event_pb2
from headwater.kernel.clock import SystemClock
from headwater.kernel.pg.pool import set_codecs
from headwater.kernel.rpc import open_channel
from headwater.kernel.telemetry import TelemetrySettings, start_telemetry
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.sync.domain.erasing import digest_of
from headwater.sync.domain.log import LogEvent, Position
from headwater.sync.domain.reading import Answers, Subject
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.projector.suppressing import Suppressions
from headwater.sync.store.projection import PostgresProjections
from headwater.sync.store.suppressions import PostgresSuppressions
from headwater.sync.v1 import erasures_pb2 as pb
from headwater.sync.v1 import erasures_pb2_grpc

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(120)]

CANARY: Final = "quillfeather"
"""In the address, the names and the texts of the person, and of nobody else."""
MAIL: Final = f"ada.{CANARY}@one.example.com"
OTHER: Final = "bo.bergman@two.example.com"
NOON: Final = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
WHO: Final = event_pb2.Actor(id="privacy desk")


@dataclass(slots=True)
class Stand:
    """What runs, and ways to order and to look."""

    sandbox: SandboxProcess
    doors: Doors
    tables: Any
    pool: Any
    erasures: erasures_pb2_grpc.ErasureServiceAsyncStub
    environment: dict[str, str]

    async def type(self, *words: str, code: int = 0) -> Any:
        """Type `headwater erase` with --json and return its answer."""

        def call() -> Any:
            result = CliRunner().invoke(app, ["erase", *words, "--json"], env=self.environment)
            assert result.exit_code == code, result.output
            return json.loads(result.stdout)

        return await anyio.to_thread.run_sync(call)

    async def order(self, subject: str, request_id: str = "") -> pb.Erasure:
        """Order an erasure."""
        request = pb.StartErasureRequest(
            tenant_id=TENANT, subject=subject, reason="request 4711", actor=WHO,
            request_id=request_id or str(uuid.uuid4()),
        )  # fmt: skip
        return (await self.erasures.StartErasure(request, timeout=CALL_S)).erasure

    async def done(self, erasure_id: str) -> pb.Erasure:
        """Return an erasure once it is done."""
        request = pb.GetErasureRequest(tenant_id=TENANT, erasure_id=erasure_id)

        async def reached() -> bool:
            found = (await self.erasures.GetErasure(request, timeout=CALL_S)).erasure
            return found.state == pb.ERASURE_STATE_DONE

        await until(reached, 20.0)
        return (await self.erasures.GetErasure(request, timeout=CALL_S)).erasure

    async def rules(self, keys: Sequence[str]) -> list[str]:
        """Return how events ended, in the order of *keys*."""
        rows = await self.tables.fetch("select event_key, rule from sync.projection")
        found = {str(row["event_key"]): row["rule"] for row in rows}
        return [found[key] for key in keys]

    def held(self, kind: str) -> list[dict[str, Any]]:
        """Return what the CRM holds of a kind, in its bin as well."""
        answer = self.sandbox.client.get(
            f"{self.sandbox.url}/_sandbox/hubspot/{TENANT}/records?object={kind}"
        )
        return list(answer.raise_for_status().json()["records"][kind])


@asynccontextmanager
async def standing(url: str, sandbox: SandboxProcess) -> AsyncIterator[Stand]:
    """Run the services against a sandbox, with two people who wrote to each other."""
    async with (
        doors(url) as ways,
        syncing(url, ways.identity_address, ingest_address=ways.ingest_address) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
        looking(url) as tables,
        asyncpg.create_pool(url, min_size=1, max_size=2, init=set_codecs) as pool,
    ):
        environment = {
            "HEADWATER_SYNC_ADDRESS": f"127.0.0.1:{port}",
            "HEADWATER_INGEST_ADDRESS": ways.ingest_address,
            "HEADWATER_IDENTITY_ADDRESS": ways.identity_address,
            "HEADWATER_TENANT": TENANT,
            "HEADWATER_ACTOR": "privacy desk",
        }
        stub = erasures_pb2_grpc.ErasureServiceStub(channel)
        yield Stand(sandbox, ways, tables, pool, stub, environment)


def people() -> list[event_pb2.Event]:
    """Return the events of two people; the address of one is a record's name in the mail system."""
    return [
        event("erp", "account", "a1", 0, name="One"),
        event("erp", "contact", "c1", 1, email=MAIL, first_name="Ada", last_name=CANARY, title="Buyer"),
        event("shop", "contact", "s1", 2, email=MAIL.upper(), first_name="Ada", last_name=CANARY),
        event("erp", "contact", "c2", 3, email=OTHER, first_name="Bo", last_name="Bergman"),
        event("shop", "contact", "s9", 4, email=MAIL, last_name=[CANARY]),
        event(
            "mail", "activity", "m1", 5, kind="email", subject=f"For {CANARY}", occurred_time="2026-01-05T10:00:00Z",
            participants=[{"role": "from", "address": MAIL, "name": f"Ada {CANARY}"},
                          {"role": "to", "address": OTHER, "name": "Bo Bergman"}],
        ),
    ]  # fmt: skip


@pytest.fixture
async def stand(migrated_database_url: str, sandbox: SandboxProcess) -> AsyncIterator[Stand]:
    """Two people, delivered."""
    async with standing(migrated_database_url, sandbox) as stand:
        await stand.doors.record([policy_event(sandbox.url)])
        await stand.doors.record(people())
        await until(lambda: settled(stand.tables))
        yield stand


async def test_nothing_of_the_person_is_left_and_nobody_else_loses_anything(stand: Stand) -> None:
    """In every table as text, and in the CRM with its bin; the certificate says what went where."""
    others = await tables_with(stand.tables, OTHER)
    before = await tables_with(stand.tables, CANARY)
    assert {"ingest.event", "sync.record", "sync.entity", "identity.member"} <= before, before
    preview = await stand.erasures.PreviewErasure(
        pb.PreviewErasureRequest(tenant_id=TENANT, subject=MAIL), timeout=CALL_S
    )
    assert await tables_with(stand.tables, CANARY) == before
    told = {(part.place, part.what): part.count for part in preview.parts}
    assert told["event log", "payloads of events"] == 3, told
    assert told["quarantine", "payloads and findings"] == 1, told
    assert {(one.connector, one.crm_object) for one in preview.targets} == {
        ("hubspot", "contacts"), ("hubspot", "emails"),
    }  # fmt: skip

    ordered = await stand.order(MAIL)
    certificate = await stand.done(ordered.erasure_id)
    assert await tables_with(stand.tables, CANARY) == set()
    assert {one.state for one in certificate.targets} == {"erased"}
    assert CANARY not in str(certificate)
    assert await tables_with(stand.tables, OTHER) <= others
    assert [one["fields"]["email"] for one in stand.held("contacts") if "headwater_id" in one["fields"]] == [
        OTHER
    ]
    assert CANARY not in json.dumps([stand.held("contacts"), stand.held("emails")])


async def test_who_was_erased_is_not_taken_in_again_until_that_is_lifted(stand: Stand) -> None:
    """By the record's name, by the address of another record, as one who took part; others' events go through."""
    erased = await stand.done((await stand.order("erp/contact/c1")).erasure_id)
    told = [
        event("erp", "contact", "c1", 60, last_name=CANARY),
        event("shop", "contact", "s77", 61, email=MAIL, last_name=CANARY),
        event("erp", "contact", "c2", 62, email=OTHER, title="Head"),
    ]
    keys = [one.event_key for one in await stand.doors.record(told)]
    await until(lambda: settled(stand.tables))
    rules = await stand.rules(keys)
    assert rules == ["suppressed", "suppressed", "projected"]
    assert await tables_with(stand.tables, CANARY) == set()
    again = await stand.doors.record(told[:1])
    assert again[0].disposition == 2, "the ledger knows the repeat"

    lifting = pb.LiftSuppressionRequest(
        tenant_id=TENANT, erasure_id=erased.erasure_id, reason="consent of May", actor=WHO
    )
    lifted = await stand.erasures.LiftSuppression(lifting, timeout=CALL_S)
    assert lifted.lifted_count == erased.suppressed_count > 0
    assert (await stand.erasures.LiftSuppression(lifting, timeout=CALL_S)).lifted_count == 0
    (key,) = [
        one.event_key for one in await stand.doors.record([event("erp", "contact", "c1", 70, email=MAIL)])
    ]
    await until(lambda: settled(stand.tables))
    assert await stand.rules([key]) == ["projected"]
    assert len([one for one in stand.held("contacts") if one["fields"].get("email") == MAIL]) == 1


async def test_what_was_read_before_the_order_is_read_again(stand: Stand) -> None:
    """A batch that identity was asked about already writes nothing once somebody in it is erased meanwhile."""
    projections, book = PostgresProjections(stand.pool), PostgresSuppressions(stand.pool)
    suppressions = Suppressions(book)
    assert (await book.standing([TENANT])).keys == {}
    erased = await stand.done((await stand.order(MAIL)).erasure_id)
    standing = await book.standing([TENANT, "beta"])
    assert (standing.number > 0, set(standing.keys)) == (True, {TENANT})
    assert erased.suppressed_count == await stand.tables.fetchval("select count(*) from sync.suppression")
    async with projections.transaction([]) as unit:
        assert await unit.suppressions() == standing.number
    assert await suppressions.apply({}, []) == ([], standing.number)


async def test_what_others_records_say_of_the_person_is_told_and_left(stand: Stand) -> None:
    """The preview and the certificate name the record; nobody's text is touched."""
    title = f"works for {MAIL.title()}, ask there"
    asked = "assistant, when nobody answers at 08-123 456"
    await stand.doors.record(
        [
            event("shop", "contact", "s1", 8, email=MAIL, last_name=CANARY, phone="+46 8 123 456"),
            event("erp", "contact", "c2", 9, email=OTHER, last_name="Bergman", title=title),
            event("erp", "contact", "c3", 10, email="cy@three.example.com", last_name="Cy", title=asked),
        ]
    )
    await until(lambda: settled(stand.tables))
    looked = await stand.type(MAIL)
    (mention,) = [part for part in looked["parts"] if part["place"] == "records of others"]
    assert (mention["count"], mention["fate"]) == ("2", "stays")
    assert "contact erp/c2, contact erp/c3 (by number)" in mention["why"]
    erased = await stand.done((await stand.order(MAIL)).erasure_id)
    step = erased.steps[-1]
    assert (step.step, list(step.records)) == ("mentions", ["contact erp/c2", "contact erp/c3 (by number)"])
    assert dict(step.counts) == {"records of others": 2, "not looked at or not named": 0}
    for value in (MAIL.lower(), "8123456", "123 456"):
        assert value not in str(erased).lower()
    told = await stand.tables.fetchval(
        "select changes::text from sync.audit where action = 'erasure_done' or changes::text like '%#mentions%'"
    )
    assert "contact erp/c2" in told
    kept = await stand.tables.fetchval("select fields::text from sync.record where external_id = 'c2'")
    assert MAIL.title() in kept


async def test_nothing_is_ordered_of_nobody(stand: Stand) -> None:
    """Who is not known is told so; what names nobody is refused by its form."""
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await stand.order("nobody@one.example.com")
    with pytest.raises(grpc.aio.AioRpcError) as unread:
        await stand.order("somebody")
    assert (unknown.value.code(), unread.value.code()) == (
        grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT,
    )  # fmt: skip
    assert await stand.tables.fetchval("select count(*) from sync.erasure") == 0


async def test_the_command_looks_first_and_shows_the_certificate(stand: Stand) -> None:
    """Without --yes nothing is done; a reason is asked for; the same order twice is one; lifting needs an identifier."""
    before = await tables_with(stand.tables, CANARY)
    looked = await stand.type(MAIL)
    assert looked["dry_run"] is True
    assert {part["fate"] for part in looked["parts"]} == {"destroyed", "erased there", "stays"}
    assert await tables_with(stand.tables, CANARY) == before
    assert "reason" in (await stand.type(MAIL, "--yes", code=1))["error"]["message"]
    request_id = str(uuid.uuid4())
    order = (MAIL, "--yes", "--reason", "request 4711", "--request-id", request_id)
    assert (await stand.type(*order))["erasure"]["erasure_id"] == request_id
    await stand.done(request_id)
    assert (await stand.type(*order))["erasure"]["state"] == "ERASURE_STATE_DONE"
    (listed,) = (await stand.type("list"))["erasures"]
    shown = (await stand.type("show", request_id))["erasure"]
    assert (listed["erasure_id"], listed["reason"], listed["actor"]) == (
        request_id,
        "request 4711",
        "privacy desk",
    )
    assert [step["step"] for step in shown["steps"]] == [
        "drained", "log", "identity", "state", "swept", "mentions",
    ]  # fmt: skip
    assert shown["steps"][-1]["counts"] == {"records of others": "0", "not looked at or not named": "0"}
    assert all(len(one["crm_id"]) == 32 and "gdpr-delete" in one["method"] for one in shown["targets"])
    assert (await stand.type("list", "--open"))["erasures"] == []
    lifted = await stand.type("lift", MAIL, "--reason", "consent of May")
    assert lifted["lifted_count"] == "1"


class _Homes:
    """Identity's answers: every record is one entity; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(self, tenant_id: str, subjects: Sequence[tuple[Subject, uuid.UUID]]) -> Answers:  # noqa: ARG002
        """Answer."""
        self.asked += 1
        return Answers({subject.key: uuid.UUID(int=77) for subject, _ in subjects}, 0)


class _Policies:
    """The policy of these tests."""

    def current(self) -> dict[str, PolicyDocument]:
        """Return it."""
        return {TENANT: load_policy(POLICY.replace("${url}", "http://127.0.0.1:9"))}


async def test_a_batch_that_was_resolved_already_is_read_again_once_somebody_is_erased(
    migrated_database_url: str,
) -> None:
    """Between the question to identity and the commit: nothing of the person is written, and the event's end says so."""
    told = json.dumps({"email": MAIL, "last_name": CANARY}).encode()
    late = LogEvent(
        TENANT, uuid.UUID(int=5), "erp", "contact", "c1", NOON, NOON, 1, "", told, None, 0, Position(1, 1)
    )
    async with asyncpg.create_pool(migrated_database_url, min_size=1, max_size=2, init=set_codecs) as pool:
        homes, book = _Homes(), PostgresSuppressions(pool)
        projector = BatchProjector(
            PostgresProjections(pool), homes, _Policies(), start_telemetry("sync", TelemetrySettings(), environ={}).spans,
            SystemClock(), suppressions=Suppressions(book),
        )  # fmt: skip
        prepared = await projector.prepare([late])
        key = bytes(32)
        await pool.execute("insert into sync.suppression_key (tenant_id, key) values ($1, $2)", TENANT, key)
        await pool.execute(
            "insert into sync.suppression (tenant_id, digest, kind, erasure_id) values ($1, $2, 'email', $3)",
            TENANT, digest_of(key, ("email", (MAIL,))), uuid.UUID(int=1),
        )  # fmt: skip
        (effect,) = await projector.commit([], prepared)
        assert (effect.rule, homes.asked) == ("suppressed", 1)
        async with pool.acquire() as connection:
            assert await tables_with(connection, CANARY) == set()
