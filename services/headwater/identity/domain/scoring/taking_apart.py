"""From a normalised record to the parts that pairs are compared on. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headwater.identity.domain.normalising import Normal, keys_of
from headwater.identity.domain.normalising.values import Email
from headwater.identity.domain.scoring.parts import Mailbox, Parts

_STRONG_KINDS: Final = frozenset({"email", "phone", "linkedin", "domain"})


def parts_of(normal: Normal) -> Parts:
    """Return the parts of *normal*."""
    address = normal.address
    domain = normal.domain
    return Parts(
        given=normal.name.given,
        family=normal.name.family,
        generation=normal.name.generation,
        nicknames=frozenset(),
        mailboxes=tuple(_mailbox(email) for email in normal.emails),
        phones=tuple(phone.e164 for phone in normal.phones),
        linkedin=normal.linkedin.path if normal.linkedin is not None else "",
        organisation=normal.company.key,
        domains=(domain,) if domain else (),
        city=address.city,
        state=address.state,
        country=address.country,
        texts=dict(_texts(normal)),
        codes=dict(_codes(normal)),
        strong=tuple((key.kind, key.value) for key in keys_of(normal).strong),
    )


def _mailbox(email: Email) -> Mailbox:
    letters = "".join(c for c in email.local if c.isalnum())
    digits = "".join(c for c in email.local if c.isdigit())
    return Mailbox(email.address, letters, digits, email.domain, email.free, bool(email.blocked_by))


def _texts(normal: Normal) -> Iterator[tuple[str, str]]:
    if normal.address.street:
        yield "street", normal.address.street
    if normal.job_title:
        yield "job_title", normal.job_title


def _codes(normal: Normal) -> Iterator[tuple[str, str]]:
    if normal.address.number:
        yield "house_number", normal.address.number
    if normal.address.postcode:
        yield "postcode", normal.address.postcode
    if normal.birth_date is not None:
        yield "birth_date", normal.birth_date.iso.replace("-", "")
    for official_id in normal.official_ids:
        kind, _, value = official_id.partition(":")
        yield kind, value
