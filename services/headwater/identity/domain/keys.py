"""From a normalised record to the exact keys that resolving joins by, and the evidence against. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headwater.identity.domain.normalising import Normal, normalise
from headwater.identity.domain.normalising.text import VALUE_CHARS_MAX
from headwater.identity.domain.records import NO_EVIDENCE, Evidence, Key, Kind

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
    normal = normalise(object_name, attributes)
    return _account(normal) if object_name == "account" else _person(normal)


def _person(normal: Normal) -> Identifiers:
    name, domain = normal.name, normal.domain
    linkedin = normal.linkedin.path if normal.linkedin else ""
    keys: list[Key] = []
    if linkedin:
        keys.append(Key(normal.object, "linkedin", linkedin))
    keys.extend(Key(normal.object, "email", one.address, one.blocked_by) for one in normal.emails)
    if len(name.family) >= _PART_CHARS_MIN:
        keys.extend(
            Key(normal.object, "phone_surname", f"{one.e164}|{name.family}") for one in normal.phones
        )
    if domain and min(len(name.given), len(name.family)) >= _PART_CHARS_MIN:
        keys.append(Key(normal.object, "name_domain", f"{name.given} {name.family}|{domain}"))
    mailbox = next((one.address for one in normal.emails if not one.free and not one.blocked_by), "")
    return Identifiers(_bounded(keys), Evidence(name, linkedin, domain, mailbox))


def _account(normal: Normal) -> Identifiers:
    keys: list[Key] = []
    if normal.domain:
        keys.append(Key(normal.object, "domain", normal.domain))
    if len(normal.company.key) >= _PART_CHARS_MIN:
        keys.append(Key(normal.object, "name", normal.company.key))
    return Identifiers(_bounded(keys), Evidence(domain=normal.domain))


def _bounded(keys: list[Key]) -> tuple[Key, ...]:
    return tuple(key for key in keys if len(key.value) <= VALUE_CHARS_MAX)
