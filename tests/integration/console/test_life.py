"""The trace page joined with the event's life: asked of services over gRPC, shown with links both ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from tests.integration.console.answering import (
    ENTITY,
    EVENT_KEY,
    PERSONAL,
    RUNBOOK,
    TENANT,
    Answers,
    answering,
    fate,
    recorded,
)
from tests.integration.console.test_console import Running, _console, _telemetry

from headwater.console.client import ConsoleClient
from headwater.kernel.telemetry import Child, TraceContext, names

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Told:
    """A console with one sampled delivery in its store, services that tell its life, and where they are."""

    console: Running
    answers: Answers
    sent: TraceContext
    attempt: TraceContext

    @property
    def page(self) -> str:
        """The page of the trace."""
        return httpx.get(f"{self.console.url}/trace/{self.sent.trace_id}").raise_for_status().text


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """One console for all of these tests, which only read or put back what they change."""
    answers = Answers()
    with (
        answering(answers) as environment,
        _console(
            tmp_path_factory.mktemp("console"),
            HEADWATER_TOKEN="console-token",
            HEADWATER_TENANT=TENANT,
            **environment,
        ) as console,
    ):
        sent, attempt = _send_delivery(console)
        answers.found = recorded(sent.trace_id)
        answers.fate = fate(
            (("hubspot", attempt.trace_id, attempt.span_id), ("salesforce", "c" * 32, "d" * 16))
        )
        yield Told(console, answers, sent, attempt)


def _send_delivery(console: Running) -> tuple[TraceContext, TraceContext]:
    keyed = {names.TENANT: TENANT, names.EVENT_KEY: EVENT_KEY}
    with _telemetry(console, "sync") as sync, sync.spans.root("import row") as root:
        sent = root.context
        assert sent is not None
        with sync.spans.process("headwater.deliveries", Child(), created=sent, attributes=keyed) as tried:
            attempt = tried.context
    assert attempt is not None
    return sent, attempt


def test_a_traces_page_tells_the_life_of_its_event(told: Told) -> None:
    """Record, identity, decision, both deliveries, the attempt and what to do about the dead one."""
    page = told.page
    for part in (
        "erp / contact",
        "accepted",
        "joined by same_email",
        "2 records of mail, erp",
        "phone: newest",
        "003Q1",
    ):
        assert part in page
    assert "validation INVALID_EMAIL" in page
    assert '<a href="/runbook/validation">' in page
    assert f'href="{RUNBOOK}"' in page
    assert "owner sales-ops" in page


def test_life_and_traces_lead_to_each_other(told: Told) -> None:
    """The life leads to the attempt's own span, and to every trace the store has; a span leads to the life."""
    page = told.page
    assert f'href="/trace/{told.attempt.trace_id}#s{told.attempt.span_id}"' in page
    assert f'id="s{told.attempt.span_id}"' in page
    assert f'href="/event/{EVENT_KEY}?tenant={TENANT}"' in page
    assert f"{'c' * 32}</code> <span class=dim>not here" in page
    alone = httpx.get(f"{told.console.url}/event/{EVENT_KEY}?tenant={TENANT}").raise_for_status().text
    assert f'href="/trace/{told.sent.trace_id}"' in alone


def test_nothing_personal_is_on_any_page_or_in_the_json(told: Told) -> None:
    """Payload, source's id, changed values, vendor's words: the services tell them, the console does not pass them on."""
    places = [f"/trace/{told.sent.trace_id}", f"/event/{EVENT_KEY}", f"/api/events/{EVENT_KEY}"]
    for place in places:
        text = httpx.get(told.console.url + place).raise_for_status().text
        assert "INVALID_EMAIL" in text
        assert [value for value in PERSONAL if value in text] == []


def test_the_services_are_asked_by_the_consoles_own_credential(told: Told) -> None:
    """Each question carries the console's token and the event's tenant: what it may not read, the services refuse."""
    told.answers.asked.clear()
    httpx.get(f"{told.console.url}/event/{EVENT_KEY}?tenant=other").raise_for_status()
    rpcs = ("GetEntity", "GetEvent", "GetEventFate", "ListErrorGroups")
    assert sorted(told.answers.asked) == [(rpc, "other", "Bearer console-token") for rpc in rpcs]


def test_the_client_reads_the_life_that_the_page_shows(told: Told) -> None:
    """As values: the dead delivery with its attempt, and which traces are held."""
    with ConsoleClient(told.console.url) as client:
        life = client.life(TENANT, EVENT_KEY)
    dead, done = life.deliveries
    assert (dead.dead, dead.what_to_do, dead.said) == (
        True,
        "validation",
        "<name> has no such address: <email>",
    )
    assert (done.state, done.crm_id, done.what_to_do) == ("delivered", "003Q1", "")
    assert [(item.number, item.trace_id) for item in dead.attempts] == [(1, told.attempt.trace_id)]
    assert {item.part: item.held for item in life.traces} == {
        "recorded": True, "projected": False, "hubspot attempt 1": True, "salesforce attempt 1": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (grpc.StatusCode.UNAVAILABLE, "does not answer"),
        (grpc.StatusCode.PERMISSION_DENIED, "does not let this credential read it"),
        (grpc.StatusCode.INTERNAL, "answers INTERNAL"),
    ],
)
def test_what_one_service_does_not_tell_is_said_and_the_rest_is_shown(
    told: Told, code: grpc.StatusCode, said: str
) -> None:
    """Identity refuses: the page says so, and has the waterfall, the record and the deliveries all the same."""
    kept, told.answers.entity = told.answers.entity, code
    try:
        page = told.page
    finally:
        told.answers.entity = kept
    assert f"not told: whose record it is: identity {said}" in page
    for part in ("process headwater.deliveries", "erp / contact", "003Q1"):
        assert part in page


def test_without_ingest_the_fate_is_asked_of_sync(told: Told) -> None:
    """The record cannot be told; what followed from it can."""
    kept, told.answers.found = told.answers.found, grpc.StatusCode.UNAVAILABLE
    try:
        page = told.page
    finally:
        told.answers.found = kept
    assert "not told: the record: ingest does not answer" in page
    assert "003Q1" in page


def test_a_runbook_is_shown_as_it_is_written(told: Told) -> None:
    """The link of a dead letter ends at its page; what is no runbook is not found, whatever it is called."""
    page = httpx.get(f"{told.console.url}/runbook/validation").raise_for_status().text
    assert "Business impact" in page
    assert httpx.get(f"{told.console.url}/runbook/nonsense").status_code == 404
    assert httpx.get(f"{told.console.url}/runbook/..%2F..%2Fetc").status_code == 404


def test_services_that_are_away_cost_the_page_nothing_but_the_life(tmp_path: Path) -> None:
    """Every address leads nowhere: the waterfall is there, and each service is named."""
    away = {f"HEADWATER_{name}_ADDRESS": "127.0.0.1:1" for name in ("INGEST", "IDENTITY", "SYNC")}
    with _console(tmp_path, **away) as console:
        sent, _ = _send_delivery(console)
        page = httpx.get(f"{console.url}/trace/{sent.trace_id}", timeout=10).raise_for_status().text
    assert "process headwater.deliveries" in page
    assert "not told: the record: ingest does not answer" in page
    assert "not told: what followed: sync does not answer" in page


def test_a_console_that_knows_no_services_shows_spans_alone(tmp_path: Path) -> None:
    """And says on an event's page what to set; a tenant that nobody names is asked for."""
    with _console(tmp_path) as console:
        sent, _ = _send_delivery(console)
        assert "not told" not in httpx.get(f"{console.url}/trace/{sent.trace_id}").raise_for_status().text
        assert "HEADWATER_INGEST_ADDRESS" in httpx.get(f"{console.url}/event/{EVENT_KEY}").text
        assert httpx.get(f"{console.url}/api/events/{EVENT_KEY}").status_code == 503
        assert "say which it is" in httpx.get(f"{console.url}/event/{ENTITY}").text
        assert httpx.get(f"{console.url}/event/nonsense").status_code == 400
