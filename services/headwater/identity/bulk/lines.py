"""One line a record for the database: its keys, and what the bound looks at. Owns the lines; reads no raw value."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from headwater.identity.domain.clustering.sharing import watched
from headwater.identity.domain.normalising.nicknaming import canonical_names
from headwater.identity.domain.scoring.parts import Mailbox, Parts

_NAMES_KEPT: Final = 16_384
"""First names whose full names are remembered."""
OWN_COLUMNS: Final = frozenset({"job_title", "postcode", "birth_date"})
"""Texts and codes that the bound reads by themselves."""


class Line(msgspec.Struct, omit_defaults=True, gc=False):
    """One record as the database reads it: its keys, and what the bound looks at.

    Args:
        n: its number.
        keys: `kind|value` of all keys; watched: those that can turn generic, by the names that use them.
        full_names: what the first given name may be short for.
        spelt: what the mailboxes spell.
        boxes: mailboxes of the person itself; local, digits, domain, free: of the first of them.
        others: names of further texts and codes.
    """

    n: int
    keys: list[str] = []
    watched: list[str] = []
    given: str = ""
    family: str = ""
    full_names: tuple[str, ...] = ()
    spelt: str = ""
    boxes: list[str] = []
    local: str = ""
    digits: str = ""
    domain: str = ""
    free: bool = False
    phones: tuple[str, ...] = ()
    linkedin: str = ""
    organisation: str = ""
    domains: tuple[str, ...] = ()
    house: str = ""
    street: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    title: str = ""
    postcode: str = ""
    birth: str = ""
    others: list[str] = []


def line_of(number: int, parts: Parts, keys: list[str]) -> Line:
    """Return the line of a record."""
    boxes = [box for box in parts.mailboxes if not box.shared]
    box = boxes[0] if boxes else _NO_BOX
    return Line(
        number,
        keys,
        [f"{kind}|{value}" for kind, value in watched(parts)],
        parts.given,
        parts.family,
        full_names(parts.given.partition(" ")[0]),
        parts.spelt,
        [one.address for one in boxes],
        box.local,
        box.digits,
        box.domain,
        box.free,
        parts.phones,
        parts.linkedin,
        parts.organisation,
        parts.domains,
        parts.house,
        parts.street,
        parts.city,
        parts.state,
        parts.country,
        parts.texts.get("job_title", ""),
        parts.codes.get("postcode", ""),
        parts.codes.get("birth_date", ""),
        [field for field in (*parts.texts, *parts.codes) if field not in OWN_COLUMNS],
    )


@lru_cache(_NAMES_KEPT)
def full_names(first: str) -> tuple[str, ...]:
    """Return the names that a folded first name may be short for, itself among them; nothing for an initial."""
    return tuple(sorted(canonical_names(first))) if len(first) > 1 else ()


_NO_BOX: Final = Mailbox("", "", "", "")
