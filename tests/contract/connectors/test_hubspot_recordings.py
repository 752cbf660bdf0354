"""What a real HubSpot portal answered, read by our connector."""

from __future__ import annotations

import httpx
import pytest
from tests.contract.connectors import recordings
from tests.unit.connectors.scripted import Script, an_account

from headwater.connectors.base import CallFailed, ErrorClass, Target, Write, Written
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.hubspot import wire
from headwater.connectors.hubspot.client import HubSpotVendor
from headwater.connectors.hubspot.errors import error_of
from headwater.connectors.hubspot.limits import read_limits

BY_EMAIL = Target("contact", "contacts", "email", ("firstname", "lastname"))


@pytest.mark.evidence("hubspot", "out-of-order answer", "recorded")
def test_batch_create_out_of_order_is_matched_by_id_property() -> None:
    """HubSpot answered test1..test10 as 6, 10, 4, ...: each outcome belongs to its own address."""
    exchange = recordings.hubspot("lifecycle_contacts_batches_search")[0]
    answered = [one["properties"]["email"] for one in exchange.answer.json()["results"]]
    sent = [one["properties"]["email"] for one in exchange.sent()["inputs"]]
    assert (answered != sent, sorted(answered)) == (True, sorted(sent))
    writes = [Write(email, "", {}) for email in sent]
    outcomes = wire.read_outcomes(exchange.answer.json(), BY_EMAIL, writes)
    ids = {one["properties"]["email"]: one["id"] for one in exchange.answer.json()["results"]}
    assert {email: outcomes[email] for email in sent} == {
        email: Written(ids[email], created=False) for email in sent
    }


@pytest.mark.evidence("hubspot", "errors", "recorded")
def test_html_404_is_a_format_fault_in_words() -> None:
    """The HTML page for a missing record becomes one readable line."""
    answer = recordings.hubspot("contacts_find_missing_user_by_email")[0].answer
    error = error_of(answer, writes=False)
    assert (error.error_class, error.code) == (ErrorClass.FORMAT, "HTTP_404")
    assert error.message.startswith("Error 404 Not Found")
    assert "<" not in error.message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("companies_find_by_id_no_scope", "required scopes"),
        ("contacts_properties_no_scope", "do not have permissions"),
        ("companies_properties_no_scope", "do not have permissions"),
    ],
)
@pytest.mark.evidence("hubspot", "errors", "recorded")
def test_both_wordings_of_403_are_permission(name: str, words: str) -> None:
    """Scope and object-type refusals, one with a category and one without."""
    error = error_of(recordings.hubspot(name)[0].answer, writes=False)
    assert (error.error_class, words in error.message) == (ErrorClass.PERMISSION, True)


@pytest.mark.evidence("hubspot", "limits", "recorded")
def test_limit_headers_of_a_real_portal_are_read() -> None:
    """Window, remaining and the day's usage come out of the recorded headers."""
    facts = read_limits(recordings.hubspot("lifecycle_contacts_batches_search")[0].answer.headers)
    assert (facts.window_remaining, facts.window_s, facts.daily_limit, facts.daily_used) == (
        96,
        10.0,
        250_000,
        161,
    )


@pytest.mark.anyio
@pytest.mark.evidence("hubspot", "prepare", "recorded")
async def test_prepare_reads_a_real_property_list() -> None:
    """Against 350 recorded definitions: known fields pass, read-only and unknown ones are told."""
    answer = recordings.hubspot("contacts_properties")[0].answer
    made: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        made.extend([request] if request.method == "POST" else [])
        return httpx.Response(200, content=answer.body if request.method == "GET" else b"{}")

    script = Script(respond)
    fields = ("email", "firstname", "phone", "hs_object_id", "no_such_property")
    connector = HubSpotVendor().open(an_account(), script.gate, transport=script)
    report = await connector.prepare([Target("contact", "contacts", "headwater_id", fields)])
    assert [request.url.path for request in made] == ["/crm/v3/properties/contacts"]
    assert not report.ok
    assert [name in " ".join(report.findings) for name in fields] == [False, False, False, True, True]


@pytest.mark.anyio
@pytest.mark.evidence("hubspot", "errors", "recorded")
async def test_a_recorded_refusal_surfaces_through_the_connector() -> None:
    """The whole connector turns the recorded 403 into PERMISSION."""
    answer = recordings.hubspot("contacts_properties_no_scope")[0].answer
    script = Script(lambda _request: httpx.Response(answer.status, content=answer.body))
    connector = HubSpotVendor().open(an_account(), RecordingGate(), transport=script)
    with pytest.raises(CallFailed) as failed:
        await connector.look_up(BY_EMAIL, ["a@b.example"])
    assert failed.value.error.error_class is ErrorClass.PERMISSION
