"""What the connector calls, against the sandbox past its gate."""

from __future__ import annotations

import json
import uuid

import httpx
import pytest
from tests.unit.connectors.scripted import Script, an_account
from tests.unit.sandbox.bench import Bench

from headwater.connectors.base import CallFailed, ErrorClass, Polled, Target, Write, Written
from headwater.connectors.base.fetching import Fetcher
from headwater.connectors.base.polling import from_ms
from headwater.connectors.dynamics.client import DynamicsConnector, DynamicsVendor
from headwater.kernel.errors import InvalidInput
from headwater.sandbox.call import Call, Refusal

pytestmark = pytest.mark.anyio

CONTACT = Target("contact", "contact", "hw_id", ("lastname", "emailaddress1"))


class Environment:
    """A Dataverse environment, its connector, and the calls that were made."""

    def __init__(self) -> None:
        self.bench = Bench("dynamics")
        self.script = Script(self._answer)
        account = an_account(tenant_id="t", grant_type="client_credentials")
        self.connector: DynamicsConnector = DynamicsVendor().open(
            account, self.script.gate, transport=self.script
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        bench = self.bench
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = tuple(request.url.params.multi_items())
        number = bench.account.take_call()
        call = Call(
            "dynamics", "unit", number, "r", request.method, request.url.path, query, headers, request.content,
            "https://api.vendor.test", bench.now_ms,
        )  # fmt: skip
        try:
            with bench.database.transaction():
                answer = bench.vendor.handle(call, bench.fleet.desk(bench.account, call, ""))
        except Refusal as refused:
            answer = refused.answer
        kept = {**answer.headers, "Content-Type": answer.content_type}
        return httpx.Response(answer.status, content=answer.body, headers=kept)

    def called(self) -> list[str]:
        """Return what was called since the last question."""
        told = [
            f"{sent.method} {sent.url.path.removeprefix('/api/data/v9.2/')}" for sent in self.script.requests
        ]
        self.script.requests.clear()
        return told


@pytest.fixture
async def environment() -> Environment:
    """A prepared environment."""
    environment = Environment()
    assert (await environment.connector.prepare([CONTACT])).ok
    await environment.connector.look_up(CONTACT, ["warm"])
    environment.called()
    return environment


def _people(count: int) -> list[Write]:
    return [Write(f"e-{number}", "", {"lastname": f"P{number}"}) for number in range(count)]


async def test_few_travel_in_one_batch(environment: Environment) -> None:
    """One call for nineteen new records and its answer says of each which it is."""
    outcomes = await environment.connector.upsert(CONTACT, _people(19))
    assert all(isinstance(outcome, Written) and outcome.created for outcome in outcomes)
    assert environment.called() == ["POST $batch"]


async def test_many_travel_in_one_action(environment: Environment) -> None:
    """Twenty and more: asked which are there, written at once, asked under which ids."""
    outcomes = await environment.connector.upsert(CONTACT, _people(20))
    assert all(isinstance(outcome, Written) and outcome.created for outcome in outcomes)
    assert environment.called() == [
        "GET contacts",
        "POST contacts/Microsoft.Dynamics.CRM.UpsertMultiple",
        "GET contacts",
    ]


async def test_an_update_never_makes_a_record(environment: Environment) -> None:
    """If-Match: * is sent with the id: what is gone stays gone."""
    gone = "00000000-0000-4000-8000-000000000009"
    [outcome] = await environment.connector.upsert(CONTACT, [Write("e-1", gone, {"lastname": "A"})])
    assert not isinstance(outcome, Written)
    assert outcome.error.error_class is ErrorClass.NOT_FOUND
    assert environment.bench.account.records.count("contact") == 0


async def test_look_up_is_exact(environment: Environment) -> None:
    """Dataverse compares without case; ids of ours are told as they are spelled only."""
    await environment.connector.upsert(CONTACT, [Write("Abc", "", {"lastname": "A"})])
    assert await environment.connector.look_up(CONTACT, ["abc"]) == {}
    assert list(await environment.connector.look_up(CONTACT, ["Abc"])) == ["Abc"]


async def test_an_expired_delta_link_is_told_not_hidden(environment: Environment) -> None:
    """To read everything again silently would lose the deletions in between."""
    polled = Polled("contact", ("lastname",))
    now = from_ms(environment.bench.now_ms)
    page = await environment.connector.changes(polled, "", 10, now)
    cursor = json.loads(page.next_cursor)
    cursor["query"]["$deltatoken"] = "expired"
    with pytest.raises(CallFailed) as failed:
        await environment.connector.changes(polled, json.dumps(cursor), 10, now)
    assert failed.value.error.error_class is ErrorClass.FORMAT


async def test_links_of_elsewhere_are_not_followed(environment: Environment) -> None:
    """Only path and query of a link are kept: the token goes to the environment."""
    page = await environment.connector.changes(
        Polled("contact", ()), "", 10, from_ms(environment.bench.now_ms)
    )
    assert "://" not in page.next_cursor


def test_credentials_are_checked_before_any_call() -> None:
    """The tenant is needed, and a login page of elsewhere must be https."""
    gate = Script(lambda _request: httpx.Response(200)).gate
    with pytest.raises(InvalidInput, match="tenant_id"):
        DynamicsVendor().open(an_account(), gate)
    with pytest.raises(InvalidInput, match="https"):
        DynamicsVendor().open(an_account(tenant_id="t", login_url="http://evil.example"), gate)


async def test_records_are_fetched_as_a_poll_tells_them(environment: Environment) -> None:
    """Deleted ones, ids that never were and what is no id are absent; nothing of an id gets into the query as words."""
    connector = environment.connector
    assert isinstance(connector, Fetcher)
    outcomes = await connector.upsert(CONTACT, _people(3))
    made = [one.crm_id for one in outcomes if isinstance(one, Written)]
    polled = Polled("contact", ("lastname", "emailaddress1"), deletions=True)
    page = await connector.changes(polled, "", 100, from_ms(environment.bench.now_ms))
    environment.called()
    odd = "x' or contactid ne null"
    found = await connector.fetch(polled, [*made[:2], made[0], str(uuid.UUID(int=7)), odd])
    assert environment.called() == ["GET contacts"]
    assert found.absent == (str(uuid.UUID(int=7)), odd)
    told = {item.crm_id: item for item in page.records}
    assert {item.crm_id: item for item in found.records} == {crm_id: told[crm_id] for crm_id in made[:2]}
