"""The connector against what a real BottleCRM answered: every request is one that was recorded, every answer is real."""

from __future__ import annotations

import httpx
import pytest
from tests.contract.bottlecrm.replaying import Tape
from tests.contract.bottlecrm.script import ADA, GRACE, Told, play, written

from headwater.connectors.base import Account, ErrorClass, Failed, VendorError
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.bottlecrm.client import BottleCrmConnector, BottleCrmVendor

pytestmark = pytest.mark.anyio


def opened(transport: httpx.AsyncBaseTransport) -> BottleCrmConnector:
    """Return a connector that talks to *transport*."""
    account = Account("crm", "http://127.0.0.1:9", {"api_token": "bcrm_pat_made_up"})
    return BottleCrmVendor().open(account, RecordingGate(), transport=transport)


@pytest.fixture
async def told() -> Told:
    """What the connector says of the recording; every exchange of it was asked for."""
    tape = Tape.read()
    main, refused, narrow = (opened(tape.transport(caller)) for caller in ("main", "refused", "narrow"))

    async def delete(_crm_id: str) -> None:
        """A person did, when it was recorded."""

    told = await play(main, refused, narrow, delete)
    assert tape.unused == []
    return told


def refusal(told: Told, step: str) -> VendorError:
    """Return why a step was refused."""
    outcome = told.outcomes[step]
    assert isinstance(outcome, Failed), outcome
    return outcome.error


@pytest.mark.evidence("bottlecrm", "prepare", "recorded")
async def test_custom_fields_are_made_once(told: Told) -> None:
    """The first preparation makes them, the second finds them."""
    assert [report.ok for report in told.prepared] == [True, True]


@pytest.mark.evidence("bottlecrm", "upsert", "recorded")
async def test_a_record_is_made_once_and_then_changed(told: Told) -> None:
    """Also a task, of which BottleCRM does not say the id when it is made."""
    made = written(told, "created")
    assert [written(told, step).created for step in ("created", "repeated", "by id", "task", "lead")] == [
        True, False, False, True, True,
    ]  # fmt: skip
    assert written(told, "repeated").crm_id == written(told, "by id").crm_id == made.crm_id


@pytest.mark.evidence("bottlecrm", "conflict", "recorded")
async def test_a_second_person_of_an_address_names_the_first(told: Told) -> None:
    """BottleCRM compares addresses whatever their case, and does not say who holds one."""
    error = refusal(told, "conflict")
    assert (error.error_class, error.existing_crm_id) == (
        ErrorClass.CONFLICT,
        written(told, "created").crm_id,
    )


@pytest.mark.evidence("bottlecrm", "errors", "recorded")
async def test_refusals_are_told_apart(told: Told) -> None:
    """By field and rule; a missing scope and an unknown token both answer 403."""
    steps = {step: refusal(told, step) for step in ("bad", "lost", "unknown", "gone")}
    assert {step: (error.error_class, error.field) for step, error in steps.items()} == {
        "bad": (ErrorClass.VALIDATION, "email"),
        "lost": (ErrorClass.REFERENCE, "account"),
        "unknown": (ErrorClass.FORMAT, "shoe_size"),
        "gone": (ErrorClass.NOT_FOUND, ""),
    }
    assert told.narrow is not None
    assert (told.narrow.error_class, "contacts:write" in told.narrow.message) == (ErrorClass.PERMISSION, True)
    assert told.refused is not None
    assert (told.refused.ok, "connect the account again" in told.refused.findings[0]) == (False, True)


@pytest.mark.evidence("bottlecrm", "look_up", "recorded")
async def test_records_are_read_in_the_types_in_which_they_were_written(told: Told) -> None:
    """Amounts come back as text, empty text as none; what is not there is left out."""
    fields = {key: dict(one.fields) for key, one in told.found.items() if key != "owners"}
    assert fields == {
        "ext-1": {"email": ADA["email"], "last_name": "Byron", "title": "Countess", "do_not_call": True},
        "co-1": {"name": "Acme", "annual_revenue": 1250000.5},
        "d-1": {"name": "Engine", "amount": 12.5, "closed_on": "2026-01-31"},
        "t-1": {"title": "Call", "due_date": "2026-01-31"},
        "l-1": {"email": "al@example.org", "company_name": "Initech"},
    }


@pytest.mark.evidence("bottlecrm", "owners", "recorded")
async def test_owners_leave_out_what_is_not_there(told: Told) -> None:
    """A record says whose it is."""
    assert told.found["owners"] == {written(told, "created").crm_id: "ext-1"}


@pytest.mark.evidence("bottlecrm", "poll", "recorded")
async def test_changes_and_deletions_come_by_the_feed(told: Told) -> None:
    """At first every record; then what changed, and what is gone."""
    ada, grace = written(told, "created").crm_id, written(told, "second").crm_id
    first = {seen.crm_id: seen.fields["email"] for page in told.first_round for seen in page.records}
    assert first == {ada: ADA["email"], grace: GRACE["email"]}
    second = {seen.crm_id: seen.fields["last_name"] for page in told.second_round for seen in page.records}
    assert second == {ada: "Lovelace"}
    assert {seen.crm_id for page in told.second_round for seen in page.deleted} == {grace}
