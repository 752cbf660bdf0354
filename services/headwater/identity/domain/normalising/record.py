"""From a raw record to its normal form, by object; and why it came out so. Pure.

Fields are read by canonical name or a usual other name of it; what is not listed here is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from headwater.identity.domain.normalising import company, dates, jobs, places
from headwater.identity.domain.normalising.email import read_emails
from headwater.identity.domain.normalising.person import read_person
from headwater.identity.domain.normalising.phone import REGION_DEFAULT, read_phones
from headwater.identity.domain.normalising.rules import Change, Note, unheard
from headwater.identity.domain.normalising.text import clean, fold
from headwater.identity.domain.normalising.values import (
    Address,
    BirthDate,
    Company,
    Email,
    LinkedIn,
    Normal,
    Phone,
    Website,
)
from headwater.identity.domain.normalising.web import organisation_domain, read_linkedin, read_website

EMAILS_MAX: Final = 4
"""Mailboxes of a record."""
PHONES_MAX: Final = 4
"""Numbers of a record."""
RAW_CHARS_MAX: Final = 1024
"""Longest raw value that is looked at: what is longer is no name and no address."""

FIRST_NAME: Final = ("first_name", "given_name", "firstname")
LAST_NAME: Final = ("last_name", "family_name", "surname", "lastname")
FULL_NAME: Final = ("name", "full_name")
EMAIL: Final = ("email", "work_email", "secondary_email", "personal_email", "other_email")
PHONE: Final = ("phone", "mobile_phone", "mobile", "phone_number", "work_phone", "home_phone", "other_phone")
LINKEDIN: Final = ("linkedin_url", "linkedin", "company_linkedin_url")
COMPANY: Final = ("company", "company_name", "organization", "organisation", "account_name", "employer", "affiliation")
WEB: Final = ("domain", "website", "url")
STREET: Final = ("street", "address", "street_address", "address_1", "addr")
UNIT: Final = ("unit", "address_2")
CITY: Final = ("city", "suburb", "town")
STATE: Final = ("state", "region", "province")
POSTCODE: Final = ("postcode", "postal_code", "zip", "zip_code")
COUNTRY: Final = ("country", "country_code")
JOB_TITLE: Final = ("title", "job_title", "position")
BIRTH_DATE: Final = ("birth_date", "date_of_birth", "dob", "birthday")
OFFICIAL_ID: Final[Mapping[str, str]] = {
    "national_id": "national",
    "ssn": "national",
    "soc_sec_id": "national",
    "tax_id": "tax",
    "vat_id": "vat",
    "vat_number": "vat",
    "registration_number": "register",
    "company_number": "register",
    "duns": "duns",
    "lei": "lei",
}
_ID_CHARS_MIN: Final = 5
_ID_DISTINCT_MIN: Final = 3

Hear = Callable[[str], Note]
"""Gives the listener for one field."""


def normalise(object_name: str, fields: Mapping[str, str], *, region: str | None = None) -> Normal:
    """Return the normal form of a record; for objects without rules only its name and fields.

    Never raises, whatever the text; the result is bounded whatever the record's size.

    Args:
        region: two letters; where numbers and dates are read when the record does not tell.
    """
    return _normal(object_name, fields, region or "", _deaf)


def changes_of(normal: Normal) -> tuple[Change, ...]:
    """Return what each rule changed in the record, in the order of reading."""
    changes: list[Change] = []

    def hear(field: str) -> Note:
        def note(rule: str, before: str, after: str) -> None:
            changes.append(Change(field, rule, before, after))

        return note

    _normal(normal.object, normal.fields, normal.region, hear)
    return tuple(dict.fromkeys(changes))


def _deaf(_field: str) -> Note:
    return unheard


def _normal(object_name: str, fields: Mapping[str, str], region: str, hear: Hear) -> Normal:
    reader = _READERS.get(object_name)
    if reader is None or not fields:
        return Normal(object_name, region=region, fields=fields)
    return reader(object_name, fields, region, hear)


def _first(fields: Mapping[str, str], names: Iterable[str]) -> tuple[str, str]:
    """Return name and value of the first of the fields that has one."""
    for name in names:
        value = fields.get(name)
        if value and len(value) <= RAW_CHARS_MAX:
            return name, value
    return "", ""


def _value(fields: Mapping[str, str], names: Iterable[str]) -> str:
    return _first(fields, names)[1]


def _all(fields: Mapping[str, str], names: Iterable[str]) -> list[tuple[str, str]]:
    return [
        (name, value) for name in names if (value := fields.get(name)) and len(value) <= RAW_CHARS_MAX
    ]


def _person(object_name: str, fields: Mapping[str, str], region: str, hear: Hear) -> Normal:
    person = read_person(
        " ".join(_all_values(fields, FIRST_NAME, "middle_name")),
        " ".join(_all_values(fields, LAST_NAME, "suffix")),
        _value(fields, FULL_NAME),
        hear("name"),
    )
    emails = _emails(fields, hear)
    website = _website(fields, hear)
    address = _address(fields, hear)
    domain = _organisation_of(emails, hear) or (website.domain if website else "")
    here = places.region_of(address, domain, region) or REGION_DEFAULT
    pages = _pages(fields, hear)
    return Normal(
        object_name,
        person.name,
        person.titles,
        emails,
        _phones(fields, here, hear),
        pages.get("in"),
        pages.get("company"),
        website,
        domain,
        _company(fields, COMPANY, hear),
        address,
        _job_title(fields, hear),
        _birth_date(fields, here, hear),
        _official_ids(fields, hear),
        here,
        fields,
    )


def _account(object_name: str, fields: Mapping[str, str], region: str, hear: Hear) -> Normal:
    emails = _emails(fields, hear)
    website = _website(fields, hear)
    address = _address(fields, hear)
    domain = (website.domain if website else "") or _organisation_of(emails, hear)
    here = places.region_of(address, domain, region) or REGION_DEFAULT
    return Normal(
        object_name,
        emails=emails,
        phones=_phones(fields, here, hear),
        linkedin=_pages(fields, hear).get("company"),
        website=website,
        domain=domain,
        company=_company(fields, ("name", *COMPANY), hear),
        address=address,
        official_ids=_official_ids(fields, hear),
        region=here,
        fields=fields,
    )


def _all_values(fields: Mapping[str, str], names: Iterable[str], more: str) -> list[str]:
    """Return the value of the first of *names* that has one, and that of *more* behind it."""
    value, behind = _value(fields, names), fields.get(more, "")
    return [value, behind] if value and 0 < len(behind) <= RAW_CHARS_MAX else [value]


def _emails(fields: Mapping[str, str], hear: Hear) -> tuple[Email, ...]:
    found: dict[str, Email] = {}
    for name, value in _all(fields, EMAIL):
        for email in read_emails(value, hear(name)):
            found.setdefault(email.address, email)
    return tuple(found.values())[:EMAILS_MAX]


def _phones(fields: Mapping[str, str], region: str, hear: Hear) -> tuple[Phone, ...]:
    found: dict[str, Phone] = {}
    for name, value in _all(fields, PHONE):
        for phone in read_phones(value, region, hear(name)):
            found.setdefault(phone.e164, phone)
    return tuple(found.values())[:PHONES_MAX]


def _pages(fields: Mapping[str, str], hear: Hear) -> dict[str, LinkedIn]:
    """Return the first page of each kind."""
    found: dict[str, LinkedIn] = {}
    for name, value in _all(fields, LINKEDIN):
        page = read_linkedin(value, hear(name))
        if page is not None:
            found.setdefault(page.kind, page)
    return found


def _website(fields: Mapping[str, str], hear: Hear) -> Website | None:
    """Return the first address that names an organisation, else the first of all."""
    found = [page for name, value in _all(fields, WEB) if (page := read_website(value, hear(name)))]
    return next((page for page in found if page.domain), found[0] if found else None)


def _organisation_of(emails: Iterable[Email], hear: Hear) -> str:
    for email in emails:
        if not email.free and (domain := organisation_domain(email.domain, hear("email"))):
            return domain
    return ""


def _address(fields: Mapping[str, str], hear: Hear) -> Address:
    number = fields.get("street_number", "")
    street = _value(fields, STREET)
    parts = (
        f"{number} {street}" if number and len(number) <= RAW_CHARS_MAX else street,
        _value(fields, UNIT),
        _value(fields, CITY),
        _value(fields, STATE),
        _value(fields, POSTCODE),
        _value(fields, COUNTRY),
    )
    note = hear("address")
    return places.read_address(*parts) if note is unheard else places.address_of(*parts, note)


def _company(fields: Mapping[str, str], names: Iterable[str], hear: Hear) -> Company:
    name, value = _first(fields, names)
    note = hear(name)
    return company.read_company(value) if note is unheard else company.company_of(value, note)


def _job_title(fields: Mapping[str, str], hear: Hear) -> str:
    name, value = _first(fields, JOB_TITLE)
    note = hear(name)
    return jobs.read_job_title(value) if note is unheard else jobs.job_title_of(value, note)


def _birth_date(fields: Mapping[str, str], region: str, hear: Hear) -> BirthDate | None:
    name, value = _first(fields, BIRTH_DATE)
    if not value:
        return None
    note = hear(name)
    return dates.read_birth_date(value, region) if note is unheard else dates.birth_date_of(value, region, note)


def _official_ids(fields: Mapping[str, str], hear: Hear) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name, kind in OFFICIAL_ID.items():
        raw = fields.get(name)
        value = fold(clean(raw)).replace(" ", "") if raw else ""
        if raw and len(value) >= _ID_CHARS_MIN and len(set(value)) >= _ID_DISTINCT_MIN:
            if value != raw:
                hear(name)("official_id.form", raw, value)
            found[f"{kind}:{value}"] = None
    return tuple(found)


_READERS: Final[Mapping[str, Callable[[str, Mapping[str, str], str, Hear], Normal]]] = {
    "contact": _person,
    "lead": _person,
    "account": _account,
}
