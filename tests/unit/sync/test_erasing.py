"""People who are erased: how one is named, by what one is known again, what is left of a reading."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Any

import pytest

from headwater.kernel.errors import InvalidInput
from headwater.sync.domain.erasing import (
    HeldRecord,
    Sign,
    Subject,
    digest_of,
    is_suppressed,
    number_of,
    number_pattern,
    numbers_of_person,
    read_subject,
    signs_beside,
    signs_of_person,
    signs_of_reading,
    without_suppressed,
)
from headwater.sync.domain.log import LogEvent, Position, RecordKey
from headwater.sync.domain.reading import (
    ERASED,
    ERASED_PAYLOAD,
    Echo,
    IdentityReading,
    RecordReading,
    read_event,
)
from headwater.sync.domain.reading import Subject as Placed

NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
ENTITY = uuid.UUID(int=7)
KEY = bytes(range(32))
ADA: Sign = ("email", ("ada@one.example",))
BEN: Sign = ("record", ("contact", "erp", "c2"))


def event(object_name: str = "contact", external_id: str = "c1", payload: bytes = b"{}") -> LogEvent:
    """Return an event of a record."""
    return LogEvent(
        "acme", uuid.UUID(int=1), "erp", object_name, external_id, NOON, NOON, 1, "", payload, None, 0, Position(1, 1)
    )  # fmt: skip


def reading(object_name: str = "contact", external_id: str = "c1", **fields: Any) -> RecordReading:
    """Return a change of a record."""
    key = RecordKey("acme", object_name, "erp", external_id)
    return RecordReading(event(object_name, external_id), fields, Placed(key, {}))


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        (f" {ENTITY} ", Subject("entity", (str(ENTITY),))),
        ("Ada@One.Example ", Subject("email", ("ada@one.example",))),
        ("+46 (8) 123-456", Subject("phone", ("468123456",))),
        ("erp/contact/a/b", Subject("record", ("contact", "erp", "a/b"))),
        ("mail/contact/ada@one.example", Subject("record", ("contact", "mail", "ada@one.example"))),
    ],
)
def test_a_person_is_named_in_four_ways(text: str, subject: Subject) -> None:
    """Addresses and numbers in the form in which they are compared."""
    assert read_subject(text) == subject


@pytest.mark.parametrize(
    "text", ["", "ada", "@one", "ada@", "a b@one", "+12", "08 123 456", "erp/thing/1", "erp/contact/"]
)
def test_what_names_nobody_is_refused(text: str) -> None:
    """A number needs its country: else it is somebody else's elsewhere."""
    with pytest.raises(InvalidInput, match="subject"):
        read_subject(text)


def test_a_number_suppresses_only_where_it_named_the_person() -> None:
    """A switchboard's is many people's; records and addresses are one's own."""
    record = HeldRecord("contact", "erp", "c1", None, {"email": "ADA@one.example", "phone": "+46 8 123 456"})
    known = {("record", ("contact", "erp", "c1")), ADA}
    assert signs_of_person(None, [record], None) == known
    named = signs_of_person(None, [record], Subject("phone", ("468123456",)))
    assert named == known | {("phone", ("468123456",))}
    company = HeldRecord("account", "erp", "a1", None, {"email": "info@one.example"})
    assert signs_of_person(None, [company], None) == {("record", ("account", "erp", "a1"))}


def test_a_hash_says_nothing_without_its_key_and_differs_by_kind() -> None:
    """16 bytes; parts cannot run into each other."""
    assert len(digest_of(KEY, ADA)) == 16
    signs: list[Sign] = [
        ADA,
        ("phone", ("ada@one.example",)),
        ("record", ("a", "b", "c")),
        ("record", ("a", "bc", "")),
    ]
    assert len({digest_of(KEY, sign) for sign in signs} | {digest_of(bytes(32), ADA)}) == 5


def test_a_reading_is_about_its_record_its_address_and_who_took_part() -> None:
    """An account's address is no person's; who is merely referred to stands beside."""
    assert ADA in signs_of_reading(None, reading(email="Ada@one.example"))
    assert ADA not in signs_of_reading(None, reading("account", "a1", email="ada@one.example"))
    taking_part = RecordReading(
        event("activity", "m1"), {}, Placed(RecordKey("acme", "activity", "erp", "m1"), {}),
        participants={"ada@one.example": (Placed(RecordKey("acme", "contact", "erp", "ada@one.example"), {}), {})},
    )  # fmt: skip
    assert ADA in signs_of_reading(None, taking_part)
    assert signs_beside(deal()) == {BEN}


def deal() -> RecordReading:
    """Return a deal that refers to a contact and an account."""
    return RecordReading(
        event("deal", "d1"),
        {"contact": "c2", "account": "a1", "name": "Big"},
        Placed(RecordKey("acme", "deal", "erp", "d1"), {}),
        references={"contact": Placed(RecordKey("acme", "contact", "erp", "c2"), {})},
    )


def test_what_speaks_of_an_erased_person_ends_as_suppressed() -> None:
    """And nothing else does; a deal goes on without the reference."""
    told = reading(email="ada@one.example")
    assert is_suppressed(without_suppressed(None, told, {ADA}))
    assert without_suppressed(None, told, {BEN}) is told
    assert without_suppressed(None, told, set()) is told
    left = without_suppressed(None, deal(), {BEN})
    assert isinstance(left, RecordReading)
    assert (dict(left.fields), dict(left.references)) == ({"account": "a1", "name": "Big"}, {})


def test_a_merge_moves_only_the_records_that_are_left() -> None:
    """One that moves nobody else ends with them."""
    ada, ben = (RecordKey("acme", "contact", "erp", name) for name in ("c1", "c2"))
    merge = IdentityReading(
        event("identity", "x"), "merged", ENTITY, uuid.UUID(int=8), "contact", (ada, ben), ENTITY, 1
    )
    left = without_suppressed(None, merge, {BEN})
    assert isinstance(left, IdentityReading)
    assert left.moved == (ada,)
    assert is_suppressed(without_suppressed(None, merge, {BEN, ("record", ("contact", "erp", "c1"))}))


def test_an_erased_event_says_nothing_and_is_no_fault() -> None:
    """Projected again, whatever the policy."""
    gone = event(payload=ERASED_PAYLOAD)
    assert read_event(None, gone) == Echo(gone, ERASED)


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("call +46 8 123 456 after nine", True),
        ("+46 (0)8-123 456", True),
        ("0046/8/123456", True),
        ("468123456", True),
        ("(08) 123 456", True),
        ("08-12 34 56.", True),
        ("order 908123456", False),
        ("08-123 4567", False),
        ("8 apples, 123 pears, 456 plums", False),
    ],
)
def test_a_number_is_found_however_it_is_written(text: str, is_found: bool) -> None:  # noqa: FBT001
    """With its country or without; not within a longer one."""
    for said in ("+46 8 123 456", "+46(8)123456"):
        assert bool(re.search(number_pattern(number_of(said)), text)) is is_found


def test_numbers_that_are_looked_for_are_those_of_the_person_s_records_and_of_who_asked() -> None:
    """Of people alone; too short ones stand everywhere; one without its country is looked for with any."""
    records = [
        HeldRecord("contact", "erp", "c1", None, {"phone": "+46 8 123 456", "title": "+46 8 999 999"}),
        HeldRecord("contact", "erp", "c2", None, {"phone": "08-555 666"}),
        HeldRecord("contact", "erp", "c3", None, {"phone": "112"}),
        HeldRecord("account", "erp", "a1", None, {"phone": "+46 8 777 777"}),
    ]
    found = numbers_of_person(None, records, Subject("phone", ("4687000000",)))
    assert found == {"tel:46:8123456", "tel::8555666", "tel:46:87000000"}
    assert re.search(number_pattern("tel::8555666"), "+46 8 555 666")
    assert not re.search(number_pattern("tel::8555666"), "128555666")
