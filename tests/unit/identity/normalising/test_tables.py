"""Tables of facts: nothing in one contradicts another, or a value would change when read again."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from headwater.identity.domain.normalising import company_tables, mail_tables, name_tables, place_tables
from headwater.identity.domain.normalising.text import fold
from headwater.identity.domain.normalising.web import registrable_domain

FORMS = {
    form
    for row in company_tables.LEGAL_FORMS
    for form in (row.partition(": ")[0], *row.partition(": ")[2].split(", "))
}


@pytest.mark.parametrize(
    "table",
    [
        company_tables.ABBREVIATIONS,
        place_tables.CITY_NAMES,
        place_tables.STREET_WORDS,
        mail_tables.DOMAIN_TYPOS,
        mail_tables.TLD_TYPOS,
    ],
)
def test_no_short_spelling_is_itself_cut_short(table: Mapping[str, str]) -> None:
    """One look-up comes to the end."""
    assert not set(table) & set(table.values())


def test_no_short_spelling_is_part_of_a_legal_form() -> None:
    """Else a name in its one form would lose a word when read again."""
    words = {word for form in FORMS for word in form.split()}
    assert not words & set(company_tables.ABBREVIATIONS.values()) - {"intl"}


def test_legal_forms_are_written_as_names_are_read() -> None:
    """Folded, and known once each: a spelling that stands in two rows would be two forms."""
    spellings = [one for row in company_tables.LEGAL_FORMS for one in row.partition(": ")[2].split(", ")]
    assert [one for one in spellings if fold(one) != one] == []
    assert sorted(one for one in set(spellings) if spellings.count(one) > 1) == []
    assert set(spellings) >= company_tables.LEADING_WORDS


def test_endings_that_are_corrected_do_not_exist() -> None:
    """A domain that somebody may own is never rewritten."""
    assert [ending for ending in mail_tables.TLD_TYPOS if registrable_domain(f"acme.{ending}")] == []


def test_every_alias_of_a_provider_is_free_mail() -> None:
    """A provider's mailbox is no evidence of an organisation under any of its domains."""
    aliases = {*mail_tables.PROVIDERS, *(one for one, _ in mail_tables.PROVIDERS.values())}
    assert aliases <= mail_tables.FREE_MAIL_DOMAINS


def test_no_word_is_a_title_and_a_generation() -> None:
    """Else the order of two rules would decide what a word is."""
    assert not name_tables.TITLES & set(name_tables.GENERATIONS)
    assert name_tables.LONE_TITLES <= name_tables.TITLES
    assert name_tables.SHORT_DEGREES <= name_tables.DEGREES
