"""Records: any text is read, what comes out is bounded, and reading it again changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headwater.identity.domain.normalising import (
    RULES,
    Normal,
    changes_of,
    company_tables,
    keys_of,
    mail_tables,
    name_tables,
    normalise,
    place_tables,
)
from headwater.identity.domain.normalising.keys import STRONG_MAX, WEAK_MAX
from headwater.identity.domain.normalising.record import EMAILS_MAX, FIELDS, OFFICIAL_ID, PHONES_MAX
from headwater.identity.domain.normalising.text import VALUE_CHARS_MAX
from headwater.identity.domain.normalising.values import NO_NAME

OBJECTS = ("contact", "lead", "account")
NAMES = [*(name for names in FIELDS.values() for name in names), *OFFICIAL_ID]
WORDS = sorted(
    {
        *name_tables.TITLES,
        *name_tables.GENERATIONS,
        *name_tables.DEGREES,
        *name_tables.PARTICLES,
        *name_tables.PLACEHOLDER_NAMES,
        *company_tables.LEADING_WORDS,
        *company_tables.LEGAL_LINKS,
        *company_tables.ABBREVIATIONS,
        *company_tables.HAN_FORMS,
        *company_tables.CYRILLIC_FORMS,
        *(form for row in company_tables.LEGAL_FORMS for form in row.split(": ")[1].split(", ")),
        *place_tables.STREET_WORDS,
        *place_tables.UNIT_WORDS,
        *place_tables.CITY_NAMES,
        *place_tables.STATES,
        *mail_tables.PROVIDERS,
        "the", "a", "b", "Acme", "LEE", "Ann", "王伟", "Müller", "12", "4b", ",", "&", "@", ".", "+1",
    }
)  # fmt: skip
PHRASES = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
RECORDS = st.dictionaries(st.sampled_from(NAMES), PHRASES | st.text(max_size=300), max_size=12)


def one_form(normal: Normal) -> tuple[object, ...]:
    """Return what keys and scores are made of."""
    return (
        normal.name,
        tuple((email.address, email.blocked_by, email.free) for email in normal.emails),
        tuple(phone.e164 for phone in normal.phones),
        normal.linkedin,
        normal.domain,
        normal.company.key,
        normal.address,
        normal.job_title,
        normal.birth_date.iso if normal.birth_date else "",
        normal.official_ids,
    )


def as_fields(normal: Normal) -> dict[str, str]:
    """Write the one form as a record."""
    place = normal.address
    kinds = {
        kind: [name for name, one in OFFICIAL_ID.items() if one == kind] for kind in OFFICIAL_ID.values()
    }
    fields = {
        "linkedin_url": normal.linkedin.path if normal.linkedin else "",
        "domain": normal.domain,
        "name" if normal.object == "account" else "company": normal.company.key,
        "street": f"{place.number} {place.street}".strip(),
        "unit": place.unit,
        "city": place.city,
        "state": place.state,
        "postcode": place.postcode,
        "country": place.country,
        "title": normal.job_title,
        "birth_date": normal.birth_date.iso if normal.birth_date else "",
    }
    fields |= dict(zip(FIELDS["email"], (email.address for email in normal.emails), strict=False))
    fields |= dict(zip(FIELDS["phone"], (phone.e164 for phone in normal.phones), strict=False))
    fields |= {kinds[kind].pop(0): value for kind, value in (one.split(":") for one in normal.official_ids)}
    if normal.name != NO_NAME:
        generation = f" {normal.name.generation}".rstrip()
        fields |= {"first_name": normal.name.given, "last_name": normal.name.family + generation}
    return {name: value for name, value in fields.items() if value}


@given(st.sampled_from(OBJECTS), RECORDS)
@example("contact", {"first_name": "Ann Jr", "last_name": "Mag"})
@example("contact", {"last_name": "Dr Ma"})
@example("contact", {"first_name": "& & & mr", "last_name": "& & & mr"})
@example("contact", {"first_name": "van Y van Y", "last_name": "van Y van Y"})
@example("account", {"name": "The the GmbH & and Co"})
@example("account", {"name": "Society Science Coop"})
def test_reading_the_one_form_again_changes_nothing(object_name: str, fields: dict[str, str]) -> None:
    """Values, and with them keys, are a fixed point."""
    once = normalise(object_name, fields)
    again = normalise(object_name, as_fields(once), region=once.region)
    assert one_form(again) == one_form(once)
    assert keys_of(again) == keys_of(once)


@given(st.sampled_from([*OBJECTS, "deal"]), RECORDS, st.sampled_from([None, "US", "DE", "nonsense"]))
def test_any_text_is_read_and_what_comes_out_is_bounded(
    object_name: str, fields: dict[str, str], region: str | None
) -> None:
    """Nothing raises; parts, keys and explanations stay within their bounds, without a NUL in any."""
    normal = normalise(object_name, fields, region=region)
    assert len(normal.emails) <= EMAILS_MAX
    assert len(normal.phones) <= PHONES_MAX
    texts = [*normal.name, *normal.company, *normal.address, normal.domain, normal.job_title]
    assert all(len(text) <= VALUE_CHARS_MAX and "\x00" not in text for text in texts)
    keys = keys_of(normal)
    assert len(keys.strong) <= STRONG_MAX
    assert len(keys.weak) <= WEAK_MAX
    assert all(-(2**63) <= key.hash < 2**63 for key in keys.strong + keys.weak)
    assert {change.rule for change in changes_of(normal)} <= set(RULES)


def test_values_longer_than_a_value_may_be_are_no_value() -> None:
    """A megabyte in a field costs nothing and means nothing."""
    normal = normalise("contact", dict.fromkeys(NAMES, "a" * 1000000))
    assert one_form(normal) == one_form(normalise("contact", {"first_name": ""}))


def test_other_objects_pass_through() -> None:
    """A deal keeps its fields and has no keys."""
    fields = {"name": "Big deal", "email": "ann@firm.io"}
    normal = normalise("deal", fields)
    assert normal.fields == fields
    assert normal.emails == ()
    assert keys_of(normal) == keys_of(normalise("activity", {}))


@pytest.mark.parametrize(
    ("fields", "region"),
    [
        ({"country": "Germany", "city": "Paris"}, "DE"),
        ({"city": "Bengaluru"}, "IN"),
        ({"email": "ann@firm.co.uk"}, "GB"),
        ({"website": "firm.fr"}, "FR"),
        ({"website": "firm.io"}, "CH"),
        ({}, "CH"),
    ],
)
def test_the_region_comes_from_country_then_city_then_domain(fields: dict[str, str], region: str) -> None:
    """Endings that are sold to the world tell nothing, so the tenant's own region stands."""
    assert normalise("contact", {"first_name": "Ann", **fields}, region="CH").region == region


def test_a_number_is_read_where_the_record_speaks_from() -> None:
    """A trunk prefix means what it means in that country."""
    assert normalise("contact", {"phone": "030 39345145", "city": "Berlin"}).phones[0].e164 == "+493039345145"


def test_an_organisation_is_known_by_a_mailbox_before_its_website() -> None:
    """Free mail says nothing; an account's own website comes first."""
    fields = {"email": "ann@firm.io", "website": "www.other.com"}
    assert normalise("contact", fields).domain == "firm.io"
    assert normalise("account", fields).domain == "other.com"
    assert normalise("contact", {**fields, "email": "ann@gmail.com"}).domain == "other.com"


def test_a_persons_and_a_companys_page_are_told_apart() -> None:
    """A company's page in a contact is the company's, in an account its own."""
    url = {"linkedin_url": "linkedin.com/company/acme/"}
    contact, account = normalise("contact", url), normalise("account", url)
    assert contact.linkedin is None
    assert contact.company_page == account.linkedin
    assert keys_of(contact).strong == ()
    assert [key.value for key in keys_of(account).strong] == ["company/acme"]
