"""What a pair is compared on: a record's normalised values, taken apart once, read many times. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox of a record.

    Args:
        address: its one form.
        local: of the address, letters and digits only.
        digits: of the local part.
        domain: of the address.
        free: anyone may have a mailbox at the domain.
        shared: a role or placeholder mailbox: says where someone works, not who it is.
    """

    address: str
    local: str
    digits: str
    domain: str
    free: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """A record as the comparisons see it; what is unknown is empty.

    Args:
        given: folded given names, `family` folded family names, `generation` as `jr`.
        nicknames: groups of given names that are used for each other.
        organisation: key of the organisation's name, without legal forms.
        domains: registrable domains of the organisation.
        texts: folded values of all other fields, by field name; `codes` those made of digits, dates, ids.
        strong: kind and value of each identifier that belongs to one thing only.
    """

    given: str = ""
    family: str = ""
    generation: str = ""
    nicknames: frozenset[str] = frozenset()
    mailboxes: tuple[Mailbox, ...] = ()
    phones: tuple[str, ...] = ()
    linkedin: str = ""
    organisation: str = ""
    domains: tuple[str, ...] = ()
    house: str = ""
    street: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)
    strong: tuple[tuple[str, str], ...] = ()
