"""From a raw record to its normal form, by object; and why it came out so. Pure.

Fields are read by canonical name or a usual other name of it; what is not listed here is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from headwater.identity.domain.normalising import company, dates, jobs, places
from headwater.identity.domain.normalising.affiliations import read_affiliation
from headwater.identity.domain.normalising.email import read_emails
from headwater.identity.domain.normalising.person import Person, read_person
from headwater.identity.domain.normalising.phone import REGION_DEFAULT, read_phones
from headwater.identity.domain.normalising.rules import Change, Note, unheard
from headwater.identity.domain.normalising.text import clean, fold
from headwater.identity.domain.normalising.values import (
    NO_ADDRESS,
    NO_COMPANY,
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

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "first": ("first_name", "given_name", "firstname"),
    "middle": ("middle_name",),
    "last": ("last_name", "family_name", "surname", "lastname"),
    "suffix": ("suffix",),
    "name": ("name", "full_name"),
    "email": ("email", "work_email", "secondary_email", "personal_email", "other_email"),
    "phone": ("phone", "mobile_phone", "mobile", "phone_number", "work_phone", "home_phone", "other_phone"),
    "linkedin": ("linkedin_url", "linkedin", "company_linkedin_url"),
    "company": (
        "company",
        "company_name",
        "organization",
        "organisation",
        "account_name",
        "employer",
        "affiliation",
    ),
    "web": ("domain", "website", "url"),
    "number": ("street_number",),
    "street": ("street", "address", "street_address", "address_1", "addr"),
    "unit": ("unit", "address_2"),
    "city": ("city", "suburb", "town"),
    "state": ("state", "region", "province"),
    "postcode": ("postcode", "postal_code", "zip", "zip_code"),
    "country": ("country", "country_code"),
    "job": ("title", "job_title", "position"),
    "birth": ("birth_date", "date_of_birth", "dob", "birthday"),
}
"""Parts of a record to the names of their fields, the one to prefer first."""
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
Raw = Mapping[str, list[tuple[int, str, str]]]
"""Parts of a record to their values: rank of the field, its name, the value."""

_PARTS: Final = {name: (part, rank) for part, names in FIELDS.items() for rank, name in enumerate(names)} | {
    name: ("official", rank) for rank, name in enumerate(OFFICIAL_ID)
}


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


def _raw(fields: Mapping[str, str]) -> Raw:
    """Sort the record's values by part, those of the field to prefer first."""
    raw: dict[str, list[tuple[int, str, str]]] = {}
    for name, value in fields.items():
        place = _PARTS.get(name)
        if place is None or not value or len(value) > RAW_CHARS_MAX:
            continue
        part = place[0]
        if part in raw:
            raw[part].append((place[1], name, value))
            raw[part].sort()
        else:
            raw[part] = [(place[1], name, value)]
    return raw


def _value(raw: Raw, part: str) -> str:
    return raw[part][0][2] if part in raw else ""


def _person(object_name: str, fields: Mapping[str, str], region: str, hear: Hear) -> Normal:
    raw = _raw(fields)
    person = _name(raw, hear("name"))
    emails = _emails(raw, hear)
    website = _website(raw, hear)
    address = _address(raw, hear)
    domain = _organisation_of(emails, hear) or (website.domain if website else "")
    here = places.region_of(address, domain, region) or REGION_DEFAULT
    pages = _pages(raw, hear)
    return Normal(
        object_name,
        person.name,
        person.titles,
        emails,
        _phones(raw, here, hear),
        pages.get("in"),
        pages.get("company"),
        website,
        domain,
        _company(raw, "company", hear),
        address,
        _job_title(raw, hear),
        _birth_date(raw, here, hear),
        _official_ids(raw, hear),
        here,
        fields,
    )


def _account(object_name: str, fields: Mapping[str, str], region: str, hear: Hear) -> Normal:
    raw = _raw(fields)
    emails = _emails(raw, hear)
    website = _website(raw, hear)
    address = _address(raw, hear)
    domain = (website.domain if website else "") or _organisation_of(emails, hear)
    here = places.region_of(address, domain, region) or REGION_DEFAULT
    part = "name" if "name" in raw else "company"
    return Normal(
        object_name,
        emails=emails,
        phones=_phones(raw, here, hear),
        linkedin=_pages(raw, hear).get("company"),
        website=website,
        domain=domain,
        company=_company(raw, part, hear),
        address=_with_place(address, raw, part),
        official_ids=_official_ids(raw, hear),
        region=here,
        fields=fields,
    )


def _name(raw: Raw, note: Note) -> Person:
    first, last = _value(raw, "first"), _value(raw, "last")
    if first and "middle" in raw:
        first = f"{first} {_value(raw, 'middle')}"
    if last and "suffix" in raw:
        last = f"{last} {_value(raw, 'suffix')}"
    return read_person(first, last, _value(raw, "name"), note)


def _emails(raw: Raw, hear: Hear) -> tuple[Email, ...]:
    if "email" not in raw:
        return ()
    found: dict[str, Email] = {}
    for _, name, value in raw["email"]:
        for email in read_emails(value, hear(name)):
            found.setdefault(email.address, email)
    return tuple(found.values())[:EMAILS_MAX]


def _phones(raw: Raw, region: str, hear: Hear) -> tuple[Phone, ...]:
    if "phone" not in raw:
        return ()
    found: dict[str, Phone] = {}
    for _, name, value in raw["phone"]:
        for phone in read_phones(value, region, hear(name)):
            found.setdefault(phone.e164, phone)
    return tuple(found.values())[:PHONES_MAX]


def _pages(raw: Raw, hear: Hear) -> Mapping[str, LinkedIn]:
    """Return the first page of each kind."""
    if "linkedin" not in raw:
        return _NO_PAGES
    found: dict[str, LinkedIn] = {}
    for _, name, value in raw["linkedin"]:
        page = read_linkedin(value, hear(name))
        if page is not None:
            found.setdefault(page.kind, page)
    return found


def _website(raw: Raw, hear: Hear) -> Website | None:
    """Return the first address that names an organisation, else the first of all."""
    if "web" not in raw:
        return None
    found = [page for _, name, value in raw["web"] if (page := read_website(value, hear(name)))]
    return next((page for page in found if page.domain), found[0] if found else None)


def _organisation_of(emails: Iterable[Email], hear: Hear) -> str:
    for email in emails:
        if not email.free and (domain := organisation_domain(email.domain, hear("email"))):
            return domain
    return ""


def _address(raw: Raw, hear: Hear) -> Address:
    if raw.keys().isdisjoint(_ADDRESS_PARTS):
        return NO_ADDRESS
    street = _value(raw, "street")
    if "number" in raw:
        street = f"{_value(raw, 'number')} {street}"
    parts = places.RawAddress(street, *[_value(raw, part) for part in _ADDRESS_PARTS[1:]])
    note = hear("address")
    return places.read_address(parts) if note is unheard else places.address_of(parts, note)


def _company(raw: Raw, part: str, hear: Hear) -> Company:
    if part not in raw:
        return NO_COMPANY
    _, name, value = raw[part][0]
    note = hear(name)
    institution = read_affiliation(value).institution
    if institution:
        note("company.affiliation", value, institution)
        value = institution
    return company.read_company(value) if note is unheard else company.company_of(value, note)


def _with_place(address: Address, raw: Raw, part: str) -> Address:
    """Return the address with the city that stands behind the institution, where no field tells one."""
    if address.city or part not in raw:
        return address
    place = read_affiliation(raw[part][0][2]).place
    return places.read_address(places.RawAddress("", "", place, "", "", "")) if place else address


def _job_title(raw: Raw, hear: Hear) -> str:
    if "job" not in raw:
        return ""
    _, name, value = raw["job"][0]
    note = hear(name)
    return jobs.read_job_title(value) if note is unheard else jobs.job_title_of(value, note)


def _birth_date(raw: Raw, region: str, hear: Hear) -> BirthDate | None:
    if "birth" not in raw:
        return None
    _, name, value = raw["birth"][0]
    note = hear(name)
    return (
        dates.read_birth_date(value, region) if note is unheard else dates.birth_date_of(value, region, note)
    )


def _official_ids(raw: Raw, hear: Hear) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for _, name, value in raw.get("official", ()):
        one = fold(clean(value)).replace(" ", "")
        if len(one) < _ID_CHARS_MIN or len(set(one)) < _ID_DISTINCT_MIN:
            continue
        if one != value:
            hear(name)("official_id.form", value, one)
        found[f"{OFFICIAL_ID[name]}:{one}"] = None
    return tuple(found)


_NO_PAGES: Final[Mapping[str, LinkedIn]] = {}
_ADDRESS_PARTS: Final = ("street", "unit", "city", "state", "postcode", "country")

_READERS: Final[Mapping[str, Callable[[str, Mapping[str, str], str, Hear], Normal]]] = {
    "contact": _person,
    "lead": _person,
    "account": _account,
}
