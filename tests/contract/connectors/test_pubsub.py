"""Salesforce's Pub/Sub API: our client against the sandbox's server, over gRPC, both made from the vendor's contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from tests.contract.connectors.lab import sandbox_account
from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import CallFailed, ErrorClass
from headwater.connectors.base.streaming import Heard, Hearing, Listened, MarkLost
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.salesforce import VENDOR
from headwater.connectors.salesforce.client import SalesforceConnector
from headwater.kernel.errors import InvalidInput

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.enable_socket,
    pytest.mark.timeout(30),
    pytest.mark.evidence("salesforce", "stream", "own sandbox only"),
]

NAME: Final = "streams"
CONTACTS: Final = "/data/ContactChangeEvent"
PATH: Final = "/services/data/v61.0/sobjects"
READ: Final = {"Contact": frozenset({"Email", "FirstName", "LastName", "MailingCity"})}
PATIENCE_S: Final = 10.0


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox of this module's own."""
    place: Path = tmp_path_factory.mktemp("sandbox")
    with SandboxProcess(place) as running:
        yield running


@dataclass
class Org:
    """An account of the sandbox with nobody in it, and a connector to it."""

    sandbox: SandboxProcess
    connector: SalesforceConnector
    gate: RecordingGate
    heard: list[Heard] = field(default_factory=list)

    @asynccontextmanager
    async def listening(self, mark: str = "", **wanted: Any) -> AsyncIterator[Hearing]:
        """Open a stream for the block; without a mark it has begun when the block does."""
        plan = {"topic": CONTACTS, "fields": READ, "address": self.sandbox.events_address, **wanted}
        with anyio.fail_after(PATIENCE_S):
            async with self.connector.listen(Listened(**plan), mark) as hearing:
                if not mark:
                    self.heard.append(await hearing.next())
                yield hearing

    async def hear(self, hearing: Hearing, count: int) -> list[str]:
        """Return the ids of the next *count* records or more that are wanted."""
        found: list[str] = []
        while len(found) < count:
            self.heard.append(await hearing.next())
            found += [crm_id for _, crm_id in self.heard[-1].wanted]
        return found

    @property
    def mark(self) -> str:
        """Where to go on."""
        return next(one.mark for one in reversed(self.heard) if one.mark)

    def make(self, *names: str, kind: str = "Contact") -> list[str]:
        """Make records; return their ids."""
        named = "LastName" if kind == "Contact" else "Name"
        with self.sandbox.session("salesforce", NAME) as session:
            made = [session.post(f"{PATH}/{kind}", json={named: name}) for name in names]
        return [str(one.raise_for_status().json()["id"]) for one in made]

    def change(self, crm_id: str, **fields: Any) -> None:
        """Change a record."""
        with self.sandbox.session("salesforce", NAME) as session:
            session.patch(f"{PATH}/Contact/{crm_id}", json=fields).raise_for_status()

    def delete(self, crm_id: str) -> None:
        """Delete a record."""
        with self.sandbox.session("salesforce", NAME) as session:
            session.delete(f"{PATH}/Contact/{crm_id}").raise_for_status()

    def fault(self, kind: str) -> None:
        """Arm one fault of the next batch."""
        self.sandbox.faults("salesforce", NAME, {"kind": kind, "count": 1, "path": "PubSub"})


@pytest.fixture
async def org(sandbox: SandboxProcess) -> AsyncIterator[Org]:
    """An org with nobody in it, whose streams say often that nothing is new."""
    sandbox.token("salesforce", NAME)
    sandbox.empty("salesforce", NAME)
    sandbox.options("salesforce", NAME, event_keepalive_s=0.05, event_retention_s=259_200)
    sandbox.faults("salesforce", NAME)
    gate = RecordingGate()
    connector = VENDOR.open(sandbox_account(sandbox, "salesforce", NAME), gate)
    assert isinstance(connector, SalesforceConnector)
    yield Org(sandbox, connector, gate)
    await connector.aclose()


async def test_every_kind_of_change_is_told_once_and_what_nobody_reads_is_not_wanted(org: Org) -> None:
    """A creation, a change within a compound field, a deletion; a change of a field that nobody reads is counted only."""
    async with org.listening() as hearing:
        (crm_id,) = org.make("One")
        assert await org.hear(hearing, 1) == [crm_id]
        org.change(crm_id, Title="Boss")
        org.change(crm_id, FirstName="Ada")
        assert await org.hear(hearing, 1) == [crm_id]
        org.change(crm_id, MailingCity="Ulm")
        assert await org.hear(hearing, 1) == [crm_id]
        org.delete(crm_id)
        assert await org.hear(hearing, 1) == [crm_id]
    assert sum(one.unread for one in org.heard) == 1
    assert not any(one.missed or one.unreadable for one in org.heard)


async def test_one_topic_tells_of_every_object_and_only_those_that_are_read_count(org: Org) -> None:
    """`/data/ChangeEvents` names the object in each event."""
    async with org.listening(topic="/data/ChangeEvents") as hearing:
        org.make("Acme", kind="Account")
        (crm_id,) = org.make("One")
        assert await org.hear(hearing, 1) == [crm_id]
    assert sum(one.unread for one in org.heard) == 1


@pytest.mark.parametrize("fault", ["stream_cut", "batch_lost"])
async def test_a_cut_stream_goes_on_behind_its_mark(org: Org, fault: str) -> None:
    """Nothing is lost, whether the batch before the cut arrived or not; and nothing before the mark comes again."""
    async with org.listening() as hearing:
        first = org.make("One")
        assert await org.hear(hearing, 1) == first
        org.fault(fault)
        second = org.make("Two")
        with pytest.raises(CallFailed) as cut:
            await org.hear(hearing, 99)
    assert cut.value.error.error_class is ErrorClass.NETWORK
    third = org.make("Three")
    told = [crm_id for one in org.heard for _, crm_id in one.wanted]
    async with org.listening(org.mark) as hearing:
        told += await org.hear(hearing, 4 - len(told) - 1)
    assert told == [*first, *second, *third]


async def test_a_gap_names_records_and_an_overflow_says_what_to_poll(org: Org) -> None:
    """The field that changed is not told then: the record is wanted whatever it was."""
    (crm_id,) = org.make("One")
    async with org.listening() as hearing:
        org.fault("event_gap")
        org.change(crm_id, Title="Boss")
        assert await org.hear(hearing, 1) == [crm_id]
        org.fault("event_overflow")
        org.change(crm_id, Title="Chief")
        while not (heard := await hearing.next()).missed:
            pass
    assert (heard.wanted, heard.missed, bool(heard.mark)) == ((), frozenset({"Contact"}), True)


async def test_a_mark_that_is_not_kept_any_more_is_told_as_lost(org: Org) -> None:
    """By the vendor's code, not by its words; so is one that never was the vendor's."""
    async with org.listening() as hearing:
        org.make("One")
        await org.hear(hearing, 1)
    org.sandbox.options("salesforce", NAME, event_retention_s=0, event_keepalive_s=0.05)
    for mark in (org.mark, "ffff"):
        with pytest.raises(MarkLost) as lost:
            async with org.listening(mark) as hearing:
                await hearing.next()
        assert lost.value.error.code == "subscription.fetch.replayid.validation.failed"


async def test_a_token_that_expires_while_listening_is_renewed_for_the_next_stream(org: Org) -> None:
    """The stream ends as refused; the one after it goes on with another token, and has lost nothing."""
    async with org.listening() as hearing:
        org.fault("token_expire_now")
        (crm_id,) = org.make("One")
        with pytest.raises(CallFailed) as refused:
            await org.hear(hearing, 1)
    assert refused.value.error.error_class is ErrorClass.AUTH
    async with org.listening(org.mark) as hearing:
        assert await org.hear(hearing, 1) == [crm_id]


async def test_a_slow_consumer_is_sent_no_more_than_it_asked_for(org: Org) -> None:
    """60 changes, a window of 10: each answer leaves room as it was used, and all come in order."""
    async with org.listening(window=10) as hearing:
        made = org.make(*(f"P{number}" for number in range(60)))
        told = await org.hear(hearing, 60)
    assert told == made
    assert max(len(one.wanted) for one in org.heard) <= 10


async def test_opening_passes_the_gate_and_schemas_are_asked_for_once(org: Org) -> None:
    """Each call beside the stream is permitted; events are not our calls."""
    async with AsyncExitStack() as stack:
        hearing = await stack.enter_async_context(org.listening())
        for name in ("One", "Two"):
            org.make(name)
            await org.hear(hearing, 1)
    templates = [call.url_template for call in org.gate.calls if "PubSub" in call.url_template]
    assert templates == [f"/eventbus.v1.PubSub/{name}" for name in ("GetTopic", "Subscribe", "GetSchema")]


async def test_a_topic_that_is_not_there_is_refused_in_words(org: Org) -> None:
    """A wrong policy is told from a vendor that is down."""
    with pytest.raises(CallFailed, match="cannot be found") as refused:
        async with org.listening(topic="/data/NobodyChangeEvent"):
            pass
    assert refused.value.error.error_class is ErrorClass.FORMAT


async def test_a_token_goes_to_no_foreign_host(org: Org) -> None:
    """An address that a policy names must be Salesforce's, or the account's own host."""
    with pytest.raises(InvalidInput, match="neither Salesforce's nor the account's"):
        async with org.listening(address="events.example.com:7443"):
            pass
