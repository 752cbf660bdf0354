"""A fast road gives what the rules give, or declines: over odd texts, and over every value of the labelled sets."""

from __future__ import annotations

import csv
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.load.identity.sets import er_directory

from headwater.identity.domain.normalising import email, phone
from headwater.identity.domain.normalising.rules import unheard

LOCALS = st.text(st.sampled_from("abkz.-_+09AK@ \t\u00a0\u212a\u0130"), max_size=9) | st.sampled_from(
    [
        "info",
        "sales-eu",
        "test",
        "te.st",
        "test+crm",
        "+crm",
        "noreply",
        "kaya.orbeli",
        "k.a.y.a",
        "...",
        "a" * 240,
    ]
)
DOMAINS = st.sampled_from(
    [
        *(
            "gmail.com",
            "GoogleMail.com",
            "gmial.com",
            "gmail.con",
            "proton.me",
            "me.com",
            "yahoo.co",
            "acorn.io",
        ),
        *(
            "mailinator.com",
            "example.com",
            "acorn.co.uk",
            "acorn",
            "acorn..io",
            "-acorn.io",
            "acorn.1",
            "acorn.io.",
        ),
        *("ya.ru", "sub.acorn.io", "a_b.io", "m\u00fcnchen.de", "tempmail.com", "outlook.co", "hotnail.com"),
    ]
)
NUMBERS = st.text(st.sampled_from("0123456789"), min_size=4, max_size=14)
SHAPES = st.sampled_from(
    [
        *(
            "{}",
            "+{}",
            "00{}",
            "+1{}",
            "+44 (0){}",
            "({}) 555 0147",
            "0{}",
            "1-{}",
            "+49-{}",
            "{} ext. 12",
            "{}x7",
        ),
        *(
            " {}",
            "+39 0{}",
            "{} x 1234567",
            "(00{}",
            "000{}",
            "+{}  ext 5",
            "tel {}",
            "+7 8{}",
            "(+1) {}",
            "{}EXT9",
        ),
    ]
)
REGIONS = st.sampled_from(["US", "GB", "DE", "FR", "IT", "RU", "AU", "JP", "XX", ""])


@cache
def values_of(field: str) -> frozenset[str]:
    """Return every value of a field in the labelled sets."""
    found: set[str] = set()
    for path in sorted(er_directory().glob("*/records.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found.update(row.get(field) or "" for row in csv.DictReader(file))
    return frozenset(found - {""})


@given(st.builds(lambda local, domain: f"{local}@{domain}", LOCALS, DOMAINS) | st.text(max_size=20))
@settings(max_examples=500, deadline=None)
@example("\x1fkaya@acorn.io\n")
@example("mailto:kaya@acorn.io")
@example("te.st@gmail.com")
@example("test+crm@acorn.io")
def test_a_plain_mailbox_reads_as_the_rules_read_it(raw: str) -> None:
    """Case, outer space, aliases of providers, misspelt ones, posts, mailboxes to throw away."""
    fast = email._plain(raw)  # noqa: SLF001 - the road under test
    assert fast is None or fast == email._read(raw, unheard)  # noqa: SLF001


@given(st.builds(lambda shape, number: shape.format(number), SHAPES, NUMBERS), REGIONS)
@settings(max_examples=800, deadline=None)
@example("+14155934621", "US")
@example("0044 20 7946 0018", "DE")
def test_a_usual_number_reads_as_the_rules_read_it(raw: str, region: str) -> None:
    """With country code or without, with trunk prefix or extension, where a library would have to be asked or not."""
    fast = phone._usual(raw, region)  # noqa: SLF001 - the road under test
    assert fast is None or fast == phone._read(raw, region, unheard)  # noqa: SLF001


def test_every_labelled_mailbox_reads_as_the_rules_read_it() -> None:
    """And most of them go the fast road."""
    mailboxes = values_of("email")
    taken = 0
    for raw in mailboxes:
        fast = email._plain(raw)  # noqa: SLF001
        taken += fast is not None
        assert fast is None or fast == email._read(raw, unheard)  # noqa: SLF001
    assert taken > 0.9 * len(mailboxes)


@pytest.mark.parametrize("region", ["US", "GB", "DE", "AU"])
def test_every_labelled_number_reads_as_the_rules_read_it(region: str) -> None:
    """Wherever it is read."""
    numbers = values_of("phone") | values_of("phone_number")
    taken = 0
    for raw in numbers:
        fast = phone._usual(raw, region)  # noqa: SLF001
        taken += fast is not None
        assert fast is None or fast == phone._read(raw, region, unheard)  # noqa: SLF001
    assert taken > 0.5 * len(numbers)
