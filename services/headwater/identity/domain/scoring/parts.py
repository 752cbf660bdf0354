"""What a pair is compared on: a record's normalised values, taken apart once, read many times. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec


class Mailbox(msgspec.Struct, frozen=True, array_like=True, gc=False):
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


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a record says, and all that is kept of its parts; what is unknown is empty.

    Args:
        given: folded given names, `family` folded family names, `generation` as `jr`.
        organisation: key of the organisation's name, without legal forms.
        domains: registrable domains of the organisation.
        texts: folded values of all other fields, by field name; `codes` those made of digits, dates, ids.
        strong: kind and value of each identifier that belongs to one thing only.
        numbers: by who gave them, where each thing has one: an authority, or `source:` and a system.
        account: whether it is an organisation rather than a person.
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
    texts: Mapping[str, str] = {}
    codes: Mapping[str, str] = {}
    strong: tuple[tuple[str, str], ...] = ()
    numbers: Mapping[str, str] = {}
    account: bool = False


class Parts(Told, frozen=True, array_like=True, gc=False):
    """A record as the comparisons see it: what it says, and what every comparison of it reads, worked out once.

    Args:
        words: of both names, sorted; `joined` the names without spaces; `plain` where each is one word.
        told_given: the first word of the given names when a mailbox may spell it, else empty; so `told_family`.
        spelt: what the mailboxes spell, with spaces between them.
    """

    words: tuple[str, ...] = ()
    plain: bool = True
    joined: str = ""
    told_given: str = ""
    told_family: str = ""
    spelt: str = ""

    def __post_init__(self) -> None:
        """Work out the rest, whatever was given for it."""
        given, family, boxes = self.given, self.family, self.mailboxes
        if " " in given or " " in family:
            words = given.split() + family.split()
            _fill(self, "plain", len(words) == bool(given) + bool(family))
            _fill(self, "joined", "".join(words))
            words.sort()
            _fill(self, "words", tuple(words))
        else:
            _fill(self, "plain", True)
            _fill(self, "joined", given + family)
            if given and family:
                _fill(self, "words", (given, family) if given < family else (family, given))
            else:
                _fill(self, "words", (given or family,) if given or family else ())
        _fill(self, "told_given", _told(given))
        _fill(self, "told_family", _told(family))
        _fill(self, "spelt", " ".join([box.local for box in boxes if not box.shared]) if boxes else "")


def _told(name: str) -> str:
    first = name.partition(" ")[0]
    return first if len(first) >= _TOLD_CHARS_MIN else ""


_fill: Final = msgspec.structs.force_setattr
_TOLD_CHARS_MIN: Final = 3
"""Shorter names are in many a mailbox by chance."""
