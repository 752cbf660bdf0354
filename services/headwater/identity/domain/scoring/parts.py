"""What a pair is compared on: a record's normalised values, taken apart once, read many times. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


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
        organisation: key of the organisation's name, without legal forms.
        domains: registrable domains of the organisation.
        texts: folded values of all other fields, by field name; `codes` those made of digits, dates, ids.
        strong: kind and value of each identifier that belongs to one thing only.
        numbers: by who gave them, where each thing has one: an authority, or `source:` and a system.
        account: whether it is an organisation rather than a person.
        words: of both names, sorted; `joined` the names without spaces; `plain` where each is one word.
        told_given: the first word of the given names when a mailbox may spell it, else empty; so `told_family`.
        spelt: what the mailboxes spell, with spaces between them.
    """

    given: str = ""
    family: str = ""
    generation: str = ""
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
    numbers: Mapping[str, str] = field(default_factory=dict)
    account: bool = False
    words: tuple[str, ...] = field(init=False, repr=False, compare=False, default=())
    plain: bool = field(init=False, repr=False, compare=False, default=True)
    joined: str = field(init=False, repr=False, compare=False, default="")
    told_given: str = field(init=False, repr=False, compare=False, default="")
    told_family: str = field(init=False, repr=False, compare=False, default="")
    spelt: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        """Work out once what every comparison of the record reads."""
        words = (*self.given.split(), *self.family.split())
        fill = object.__setattr__
        fill(self, "words", tuple(sorted(words)))
        fill(self, "plain", len(words) == bool(self.given) + bool(self.family))
        fill(self, "joined", "".join(words))
        fill(self, "told_given", _told(self.given))
        fill(self, "told_family", _told(self.family))
        fill(self, "spelt", " ".join([box.local for box in self.mailboxes if not box.shared]))


def _told(name: str) -> str:
    first = name.partition(" ")[0]
    return first if len(first) >= _TOLD_CHARS_MIN else ""


_TOLD_CHARS_MIN: Final = 3
"""Shorter names are in many a mailbox by chance."""
