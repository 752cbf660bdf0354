"""The short way of a person's record says what the long one says, or nothing."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.load.identity.sets import er_directory

from headwater.identity.bulk.lines import Line
from headwater.identity.bulk.people import People
from headwater.identity.bulk.preparing import read_record
from headwater.identity.domain.scoring.parts import Told

FIELDS = (
    *("first_name", "last_name", "email", "phone", "linkedin_url", "title", "company", "website"),
    *("city", "state", "country", "created_at", "note"),
)
SETS = ("crm_synth_dev", "febrl1", "febrl2", "febrl3", "fake_1000", "rldata500")

NAME = st.sampled_from(
    [
        *(
            "Kaya",
            "kaya lin",
            "Dr. Mirela",
            "Bob",
            "K",
            "K.",
            "Jörg",
            "Müller",
            "O'Neil",
            "van der Berg",
            "Orbeli Jr",
        ),
        *("n/a", "", " ", "王", "Kaya Orbeli", "Lee", "Aue", "MBA", "Smith, PhD", "Al", "x" * 300, "Mr"),
    ]
)
EMAIL = st.sampled_from(
    [
        *(
            "kaya.orbeli@acorn.test",
            "Kaya@Acorn.COM",
            "k.a.y.a+crm@gmail.com",
            "info@acorn.com",
            "a@b.com;c@d.org",
        ),
        *(
            "none",
            "",
            "test@test.com",
            "kaya@gmial.com",
            "kaya_orbeli@proton.me",
            "k@mailinator.com",
            "  x@y.de ",
        ),
        *(
            "<kaya@acorn.com>",
            "kaya@acorn.com.",
            "ka@münchen.de",
            "kaya@me.com",
            "...@gmail.com",
            "sales.eu@acorn.io",
        ),
    ]
)
PHONE = st.sampled_from(
    [
        *(
            "+14155934621",
            "+1 415-593-4621",
            "(415) 593-4621",
            "415.593.4621",
            "1-415-593-4621",
            "020 7946 0018",
        ),
        *(
            "+44 (0)20 7946 0018",
            "0044 20 7946 0018",
            "+442079460018",
            "555-1234",
            "0000000000",
            "1234567890",
            "",
        ),
        *(
            "+14155934621 ext 5",
            "+14155934621; +442079460018",
            "0171 2345678",
            "+49 171 2345678",
            "x",
            "+390612345678",
        ),
    ]
)
PAGE = st.sampled_from(
    ["", "https://www.linkedin.com/in/Kaya-Orbeli/", "linkedin.com/company/acorn", "in/kaya", "nothing"]
)
COMPANY = st.sampled_from(
    [
        "",
        "Acorn Inc.",
        "The Canyon Bio",
        "Dept. X, University of Y, Paris, France",
        "n/a",
        "A B C Ltd",
        "王府",
    ]
)
WEB = st.sampled_from(
    ["", "http://acorn.com", "www.acorn.co.uk/x", "acorn.github.io", "gmail.com", "nowhere"]
)
CITY = st.sampled_from(["", "München", "munich", "San Francisco", "Paris", "TX", "x" * 2000])
COUNTRY = st.sampled_from(["", "US", "Germany", "gb", "Nowhere"])
ROW = st.tuples(
    *(NAME, NAME, EMAIL, PHONE, PAGE, st.sampled_from(["", "VP Sales", "ceo"]), COMPANY, WEB),
    *(CITY, st.sampled_from(["", "California", "TX", "Bayern"]), COUNTRY),
    *(st.sampled_from(["", "2023-01-01"]), st.sampled_from(["", "", "", "knows us"])),
)


def both(
    fields: Sequence[str], row: Sequence[str | None], region: str | None, object_name: str = "contact"
) -> tuple[tuple[Told, Line] | None, tuple[Told, Line]]:
    """Return what the short way and the long way say."""
    record, line = read_record(object_name, fields, row, region)
    told = Told(*(getattr(record, name) for name in Told.__struct_fields__))
    return People.of(fields, region).read(row), (told, line)


@pytest.mark.parametrize("name", SETS)
def test_the_short_way_says_what_the_long_one_says_of_every_labelled_record(name: str) -> None:
    """Record for record: parts, keys in their order, and what the bound reads."""
    with (er_directory() / name / "records.csv").open(encoding="utf-8", newline="") as file:
        rows = [{key: value for key, value in row.items() if key != "rec_id"} for row in csv.DictReader(file)]
    for row in rows:
        short, long = both(tuple(row), tuple(row.values()), None)
        assert short is None or short == long


def test_most_records_of_a_crm_go_the_short_way() -> None:
    """A short way that declines would be right and useless."""
    with (er_directory() / "crm_synth_dev" / "records.csv").open(encoding="utf-8", newline="") as file:
        rows = [list(row.items())[3:] for row in csv.DictReader(file)]
    people = People.of([name for name, _ in rows[0]], None)
    taken = sum(people.read([value for _, value in row]) is not None for row in rows)
    assert taken > 0.9 * len(rows)


@given(ROW, st.sampled_from([None, "US", "GB", "DE"]), st.sampled_from(["contact", "lead"]))
@settings(max_examples=400, deadline=None)
@example(("Ae", "E", *("",) * 11), None, "contact")
def test_the_short_way_says_what_the_long_one_says_of_any_record(
    row: tuple[str, ...], region: str | None, object_name: str
) -> None:
    """Odd values too: titles, several mailboxes in one field, placeholders, other letters."""
    short, long = both(FIELDS, row, region, object_name)
    assert short is None or short == long


def test_a_record_that_says_more_goes_the_long_way() -> None:
    """What the short way does not read must not be lost."""
    row = ["Kaya", "Orbeli", *("",) * 10, "knows us"]
    assert People.of(FIELDS, None).read(row) is None
