"""From raw attributes to keys and evidence: what identifies a record. Pure.

Attributes read, by canonical field name: email, phone (or mobile_phone), linkedin_url, first_name,
last_name, name (or full_name), company, website, domain, country. Others are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headwater.identity.domain import names, web
from headwater.identity.domain.email import Email, normalise_email
from headwater.identity.domain.names import PersonName
from headwater.identity.domain.phone import normalise_phone, region_of
from headwater.identity.domain.records import NO_EVIDENCE, Evidence, Key, Kind
from headwater.identity.domain.text import VALUE_CHARS_MAX

STRENGTH: Final[Mapping[str, tuple[Kind, ...]]] = {
    "contact": ("linkedin", "email", "phone_surname", "name_domain"),
    "lead": ("linkedin", "email", "phone_surname", "name_domain"),
    "account": ("domain", "name"),
    "deal": (),
    "activity": (),
}
"""Kinds of key of an object, strongest first. The record itself is stronger than any of them."""

_PART_CHARS_MIN: Final = 2
"""An initial identifies nobody."""


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What a record's attributes say: keys, strongest first, and evidence."""

    keys: tuple[Key, ...] = ()
    evidence: Evidence = NO_EVIDENCE


_NOTHING: Final = Identifiers()


def derive(object_name: str, attributes: Mapping[str, str]) -> Identifiers:
    """Return what *attributes* identify; nothing for objects that are only ever themselves."""
    if not attributes or not STRENGTH[object_name]:
        return _NOTHING
    return (_account if object_name == "account" else _person)(object_name, attributes)


def _person(object_name: str, attributes: Mapping[str, str]) -> Identifiers:
    read = attributes.get
    name = names.normalise_person(
        read("first_name", ""), read("last_name", ""), read("name", "") or read("full_name", "")
    )
    email = normalise_email(read("email", ""))
    linkedin = web.normalise_linkedin(read("linkedin_url", "")) or ""
    domain = _person_domain(email, attributes)
    keys: list[Key] = []
    if linkedin:
        keys.append(Key(object_name, "linkedin", linkedin))
    if email:
        keys.append(Key(object_name, "email", email.address, email.blocked_by))
    keys.extend(_phone_keys(object_name, name, attributes))
    if domain and min(len(name.given), len(name.family)) >= _PART_CHARS_MIN:
        keys.append(Key(object_name, "name_domain", f"{name.given} {name.family}|{domain}"))
    mailbox = email.address if email and not email.free and not email.blocked_by else ""
    return Identifiers(_bounded(keys), Evidence(name, linkedin, domain, mailbox))


def _phone_keys(object_name: str, name: PersonName, attributes: Mapping[str, str]) -> list[Key]:
    if len(name.family) < _PART_CHARS_MIN:
        return []
    region = region_of(attributes.get("country", ""))
    raws = (attributes.get("phone", ""), attributes.get("mobile_phone", ""))
    numbers = dict.fromkeys(normalise_phone(raw, region) for raw in raws if raw)
    return [Key(object_name, "phone_surname", f"{number}|{name.family}") for number in numbers if number]


def _person_domain(email: Email | None, attributes: Mapping[str, str]) -> str:
    """Return the organisation's domain: from the mailbox, else from the website or domain given."""
    if email is not None and not email.free:
        found = web.organisation_domain(email.domain)
        if found:
            return found
    return _given_domain(attributes)


def _given_domain(attributes: Mapping[str, str]) -> str:
    raws = (attributes.get("domain", ""), attributes.get("website", ""))
    return next((found for raw in raws if raw and (found := web.organisation_domain(raw))), "")


def _account(object_name: str, attributes: Mapping[str, str]) -> Identifiers:
    domain = _given_domain(attributes)
    name = names.normalise_company(attributes.get("name", "") or attributes.get("company", ""))
    keys: list[Key] = []
    if domain:
        keys.append(Key(object_name, "domain", domain))
    if len(name) >= _PART_CHARS_MIN:
        keys.append(Key(object_name, "name", name))
    return Identifiers(_bounded(keys), Evidence(domain=domain))


def _bounded(keys: list[Key]) -> tuple[Key, ...]:
    return tuple(key for key in keys if len(key.value) <= VALUE_CHARS_MAX)
