"""What BottleCRM's answers mean, and how its changes are followed, without a server."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest

from headwater.connectors.base import Account, CallFailed, ErrorClass, Page, Polled, Target, Write
from headwater.connectors.base.http import Answer
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.bottlecrm import VENDOR, parallel, polling, wire
from headwater.connectors.bottlecrm.errors import error_of, error_of_record
from headwater.connectors.bottlecrm.kinds import KINDS
from headwater.kernel.errors import InvalidInput

CONTACTS: Final = KINDS["contacts"]
ACCOUNTS: Final = KINDS["accounts"]
DEALS: Final = KINDS["opportunities"]
NOW: Final = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
PEOPLE: Final = Polled("contacts", ("email",), overlap_s=5)
COMPANIES: Final = Polled("accounts", ("name",))


def answer(status: int, body: Any) -> Answer:
    """Return an answer as BottleCRM would give it."""
    return Answer(status, {"content-type": "application/json"}, msgspec.json.encode(body))


@pytest.mark.parametrize(
    ("status", "body", "expected", "field"),
    [
        (400, {"error": True, "errors": {"email": ["Enter a valid email address."]}}, ErrorClass.VALIDATION, "email"),
        (400, {"errors": {"email": ["Contact already exists with this email"]}}, ErrorClass.CONFLICT, "email"),
        (400, {"errors": {"email": ["Another lead in this organisation already uses that email address."]}},
         ErrorClass.CONFLICT, "email"),
        (400, {"errors": {"email": ["Contact already exists with this email"], "country": ["no valid choice"]}},
         ErrorClass.VALIDATION, "email"),
        (400, {"errors": {"account": ["No such account."]}}, ErrorClass.REFERENCE, "account"),
        (400, {"errors": {"custom_fields": {"size": "must be a number"}}}, ErrorClass.VALIDATION, "size"),
        (404, {"detail": "No Contact matches the given query."}, ErrorClass.NOT_FOUND, ""),
        (403, {"detail": "This token is not scoped for write access to leads."}, ErrorClass.PERMISSION, ""),
        (403, {"detail": "Organization context is required. Please login again."}, ErrorClass.AUTH, ""),
        (401, {"detail": "Token revoked or expired"}, ErrorClass.AUTH, ""),
        (429, {"detail": "Request was throttled."}, ErrorClass.RATE_LIMIT, ""),
        (500, {"detail": "x"}, ErrorClass.SERVER, ""),
    ],
)  # fmt: skip
def test_refusals_are_told_apart(status: int, body: Any, expected: ErrorClass, field: str) -> None:
    """By status, field and words."""
    error = error_of_record(answer(status, body), CONTACTS, "some-id")
    assert (error.error_class, error.field) == (expected, field)


def test_a_404_to_a_create_is_a_wrong_path() -> None:
    """There is no record that could be gone; a page of HTML is no record either."""
    gone = answer(404, {"detail": "Not found."})
    assert error_of_record(gone, CONTACTS, "").error_class is ErrorClass.FORMAT
    html = Answer(404, {}, b"<html><body>Not Found</body></html>")
    assert error_of(html, writes=False).error_class is ErrorClass.NOT_FOUND


def test_credentials_without_a_token_are_refused_by_name() -> None:
    """Before any call."""
    with pytest.raises(InvalidInput, match="api_token"):
        VENDOR.open(Account("crm", "http://127.0.0.1:9", {}), RecordingGate())


def test_words_are_emptied_and_other_texts_are_nulled() -> None:
    """BottleCRM keeps some texts without null; an empty text is none for us."""
    target = Target("contact", "contacts", "headwater_id")
    write = Write("e-1", "", {"source": None, "title": "", "email": None})
    body = wire.body_of(CONTACTS, target, write, {"headwater_id": "text"}, {})
    assert body == {"source": "", "title": None, "email": None, "custom_fields": {"headwater_id": "e-1"}}


def test_links_are_added_to_those_that_are_there() -> None:
    """BottleCRM takes the whole list: one that was left out would be gone."""
    from headwater.connectors.base import Reference  # noqa: PLC0415 - beside its only use

    target = Target("deal", "opportunities", "headwater_id")
    write = Write("d-1", "x", {}, (Reference("contacts", ("b", "c")),))
    body = wire.body_of(DEALS, target, write, {}, {"contacts": [{"id": "a"}, {"id": "b"}]})
    assert isinstance(body, dict)
    assert body["contacts"] == ["a", "b", "c"]


@pytest.mark.parametrize(("value", "expected"), [("12.50", 12.5), ("40.00", 40), (None, None), ("", None)])
def test_amounts_come_back_as_numbers(value: Any, expected: Any) -> None:
    """They are written as numbers and read as text."""
    assert wire.value_of(DEALS, {"amount": value}, "amount", {}) == expected


class Crm:
    """A list and a feed as BottleCRM would tell them."""

    def __init__(self, count: int) -> None:
        self.rows = [row(number) for number in range(count)]
        self.feed: list[dict[str, Any]] = [activity(number, "CREATE") for number in range(count)]

    def answer(self, request: Any) -> Any:
        """Return the body of an answer."""
        if request.path == "/api/activities/":
            newest = list(reversed(self.feed))
            return {"activities": newest[: int(request.query["limit"])]}
        if request.path == "/api/contacts/":
            offset, limit = int(request.query["offset"]), int(request.query["limit"])
            return {"results": list(reversed(self.rows))[offset : offset + limit]}
        crm_id = request.path.split("/")[3]
        found = [one for one in self.rows if one["id"] == crm_id]
        return {"contact_obj": found[0]} if found else None


def row(number: int, minute: int | None = None) -> dict[str, Any]:
    """Return contact *number*."""
    made = NOW - dt.timedelta(days=1) + dt.timedelta(seconds=number)
    changed = made if minute is None else NOW + dt.timedelta(minutes=minute)
    return {"id": f"c{number:04}", "email": f"{number}@example.org", "created_at": made.isoformat(),
            "updated_at": changed.isoformat()}  # fmt: skip


def activity(number: int, action: str, serial: int = 0) -> dict[str, Any]:
    """Return what the feed says of contact *number*."""
    when = NOW - dt.timedelta(days=1) + dt.timedelta(seconds=number, minutes=serial)
    return {"id": f"{action}-{number}-{serial}", "entity_id": f"c{number:04}", "action": action,
            "timestamp": when.isoformat()}  # fmt: skip


def round_of(
    crm: Crm, cursor: str, limit: int = 4, now: dt.datetime = NOW, calls_max: int = 200
) -> tuple[list[Page], str]:
    """Return the pages of one round, and the next round's cursor."""
    pages: list[Page] = []
    for _ in range(calls_max):
        body = crm.answer(polling.request_of(CONTACTS, cursor, limit))
        page = polling.page_of(CONTACTS, PEOPLE, {}, cursor, body, limit=limit, now=now)
        pages.append(page)
        cursor = page.next_cursor
        if not page.more:
            return pages, cursor
    raise AssertionError("the round does not end")


def ids(pages: Sequence[Page]) -> set[str]:
    """Return whom pages told."""
    return {seen.crm_id for page in pages for seen in page.records}


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9, 60])
def test_the_first_round_tells_everybody(count: int) -> None:
    """Whatever the pages' edges."""
    pages, _cursor = round_of(Crm(count), "")
    assert ids(pages) == {f"c{number:04}" for number in range(count)}


@pytest.mark.parametrize("deleted", [1, 2, 5, 11])
def test_deletions_while_sweeping_hide_nobody(deleted: int) -> None:
    """Those behind move up by as many places: the sweep goes back until its pages join."""
    crm, cursor, told = Crm(40), "", set[str]()
    for call in range(400):
        body = crm.answer(polling.request_of(CONTACTS, cursor, 6))
        page = polling.page_of(CONTACTS, PEOPLE, {}, cursor, body, limit=6, now=NOW)
        told |= ids([page])
        cursor = page.next_cursor
        if call == 4:
            del crm.rows[-deleted:]  # the newest, which stand before where the sweep is
        if not page.more:
            break
    assert {one["id"] for one in crm.rows} <= told


def test_a_change_is_fetched_and_a_deletion_told_once() -> None:
    """By the feed: one call for it, one for each changed record, none when nothing is new."""
    crm = Crm(3)
    _pages, cursor = round_of(crm, "")
    crm.rows[1] = row(1, minute=3)
    crm.feed += [
        activity(1, "UPDATE", 1),
        activity(2, "UPDATE", 2),
        activity(2, "DELETE", 3),
        activity(0, "VIEW", 4),
    ]
    crm.rows.pop()
    pages, cursor = round_of(crm, cursor)
    assert (ids(pages), {seen.crm_id for page in pages for seen in page.deleted}) == ({"c0001"}, {"c0002"})
    assert len(pages) == 2
    again, _cursor = round_of(crm, cursor)
    assert (ids(again), len(again)) == (set(), 1)


def test_a_feed_that_has_moved_on_is_followed_by_a_sweep() -> None:
    """More changes than it shows: those that the feed no longer names are found by their time."""
    crm = Crm(120)
    _pages, cursor = round_of(crm, "", limit=50)
    crm.rows[:70] = [row(number, minute=1) for number in range(70)]
    crm.feed += [activity(number, "UPDATE", 1) for number in range(70)]
    pages, _cursor = round_of(crm, cursor, limit=50, now=NOW + dt.timedelta(minutes=5))
    assert ids(pages) >= {f"c{number:04}" for number in range(70)}
    assert len(ids(pages)) < 120


def test_what_tells_no_time_is_told_with_that_of_the_newest_activity() -> None:
    """Accounts have no time of change; a later event of theirs must not have the key of an older one."""
    made = {"id": "a1", "name": "Acme", "created_at": "2026-04-01T00:00:00Z"}
    cursor, now = "", NOW
    seen = []
    for stamp in ("2026-04-02T00:00:00Z", "2026-04-03T00:00:00Z"):
        feed = {"activities": [{"id": stamp, "entity_id": "a1", "action": "UPDATE", "timestamp": stamp}]}
        bodies = [feed, {"active_accounts": {"open_accounts": [made]}}, {"account_obj": made}]
        more = True
        while more:
            request = polling.request_of(ACCOUNTS, cursor, 10)
            body = bodies[0 if "activities" in request.path else 1 if request.query else 2]
            page = polling.page_of(ACCOUNTS, COMPANIES, {}, cursor, body, limit=10, now=now)
            seen += [one.modify_time.day for one in page.records]
            cursor, more = page.next_cursor, page.more
    assert seen == [2, 3]


def test_a_cursor_of_another_is_refused() -> None:
    """To begin anew silently would hide the fault."""
    with pytest.raises(CallFailed, match="CURSOR_UNREADABLE"):
        polling.request_of(CONTACTS, "nonsense", 10)


@pytest.mark.anyio
async def test_the_first_failure_of_questions_side_by_side_is_the_one_told() -> None:
    """And no further question is asked then."""
    asked: list[int] = []

    async def ask(number: int) -> int:
        asked.append(number)
        if number == 2:
            raise CallFailed(error_of(answer(429, {}), writes=False))
        return number

    with pytest.raises(CallFailed, match="429"):
        await parallel.side_by_side(range(100), ask)
    assert len(asked) < 10
