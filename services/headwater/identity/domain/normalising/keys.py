"""Keys of a record: 64-bit hashes by which others like it are found. Pure; must not say what they join.

Strong keys name one person or organisation by themselves; weak ones only bring candidates together.
A kind means the same thing for contacts and leads, so a lead finds its contact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Final, NamedTuple

import jellyfish

from headwater.identity.domain.normalising.company_tables import COMMON_COMPANY_WORDS
from headwater.identity.domain.normalising.rules import NORMALISATION_VERSION
from headwater.identity.domain.normalising.values import Normal

STRONG_MAX: Final = 10
"""Strong keys of a record: four mailboxes, four numbers, a page, an id."""
WEAK_MAX: Final = 16
"""Weak keys of a record."""

EXCLUSIVE: Final = frozenset({"external", "linkedin", "official_id"})
"""Kinds of which no two entities may hold one value.

A mailbox or a number is not among them: couples share both, and what more surnames than usual share
turns generic.
"""


class HashedKey(NamedTuple):
    """A key.

    Args:
        kind: as `email`, `name_company`.
        hash: of `kind|value`, signed, so that it fits a Postgres bigint.
        value: what was hashed, for explanations.
    """

    kind: str
    hash: int
    value: str


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of a record, strongest first; each once."""

    strong: tuple[HashedKey, ...] = ()
    weak: tuple[HashedKey, ...] = ()
    version: int = NORMALISATION_VERSION


def hash_of(kind: str, value: str) -> int:
    """Return the key's hash: the first eight bytes of BLAKE2b of `kind|value`, signed."""
    return int.from_bytes(blake2b(f"{kind}|{value}".encode(), digest_size=8).digest(), "big", signed=True)


def external_key(source: str, external_id: str) -> HashedKey:
    """Return the key of a record's own id in one source: strong and exclusive."""
    value = f"{source}|{external_id}"
    return HashedKey("external", hash_of("external", value), value)


def keys_of(normal: Normal) -> Keys:
    """Return the keys of *normal*; none for objects that are only ever themselves."""
    strong, weak = _MAKERS.get(normal.object, (_none, _none))
    return Keys(_hashed(strong(normal), STRONG_MAX), _hashed(weak(normal), WEAK_MAX))


def _hashed(pairs: Iterator[tuple[str, str]], keys_max: int) -> tuple[HashedKey, ...]:
    wanted = islice(dict.fromkeys(pairs), keys_max)
    return tuple([HashedKey(kind, hash_of(kind, value), value) for kind, value in wanted])


def _none(_: Normal) -> Iterator[tuple[str, str]]:
    return iter(())


def _strong(normal: Normal) -> Iterator[tuple[str, str]]:
    """Yield what names one person: a post's mailbox and a mailbox to throw away do not."""
    if normal.linkedin is not None:
        yield "linkedin", normal.linkedin.path
    for official_id in normal.official_ids:
        yield "official_id", official_id
    for email in normal.emails:
        if not email.blocked_by:
            yield "email", email.address
    for phone in normal.phones:
        yield "phone", phone.e164


def _strong_account(normal: Normal) -> Iterator[tuple[str, str]]:
    """Yield what names one organisation; its mailboxes are people's, their domain counts already."""
    if normal.linkedin is not None:
        yield "linkedin", normal.linkedin.path
    for official_id in normal.official_ids:
        yield "official_id", official_id
    if normal.domain:
        yield "domain", normal.domain
    for phone in normal.phones:
        yield "phone", phone.e164


def _weak(normal: Normal) -> Iterator[tuple[str, str]]:
    given, family = skeleton(normal.name.given), skeleton(normal.name.family)
    if given and family and len(given) + len(family) >= _NAMES_CHARS_MIN:
        yield "names", f"{min(given, family)}|{max(given, family)}"
    yield from _by_organisation(given, family, normal.company.key.replace(" ", ""), normal.domain)
    for email in normal.emails:
        if not email.blocked_by and len(email.local) >= _MAILBOX_CHARS_MIN:
            yield "mailbox", email.local
    if given or family:
        letters = min(given[:1] or "~", family[:1] or "~")
        for phone in normal.phones:
            yield "phone_tail", f"{phone.e164[-_TAIL_DIGITS:]}|{letters}"
    yield from _by_birth(given, family, normal)
    yield from _by_place(given, family, normal)


def _by_organisation(given: str, family: str, company: str, domain: str) -> Iterator[tuple[str, str]]:
    """Yield a part of the name with a part of the organisation, so that a typo in either leaves one."""
    if family and company:
        yield "family_company", f"{family[:4]}|{company[:6]}"
    if given and company:
        yield "given_company", f"{given[:3]}|{company[:8]}"
    if family and domain:
        yield "family_domain", f"{family[:4]}|{domain}"
    if given and family and (organisation := company or domain):
        yield "given_family_company", f"{given[:3]}|{family}|{organisation[:3]}"
    if given and family and domain:
        yield "sound_domain", f"{given[0]}|{jellyfish.metaphone(family)}|{domain}"


def _by_birth(given: str, family: str, normal: Normal) -> Iterator[tuple[str, str]]:
    if normal.birth_date is None:
        return
    day = min(normal.birth_date.iso, normal.birth_date.other or normal.birth_date.iso)
    yield "birth", day
    if given:
        yield "birth_given", f"{day}|{given[:3]}"
    if family:
        yield "birth_sound", f"{day}|{jellyfish.metaphone(family)}"
    if normal.address.postcode:
        yield "birth_postcode", f"{day}|{normal.address.postcode}"


def _by_place(given: str, family: str, normal: Normal) -> Iterator[tuple[str, str]]:
    place = normal.address
    if place.postcode and family:
        yield "sound_postcode", f"{jellyfish.metaphone(family)}|{place.postcode}"
    if place.postcode and given:
        yield "given_postcode", f"{given[:3]}|{place.postcode}"
    if place.city and given and family:
        yield "sound_city", f"{given[0]}|{jellyfish.metaphone(family)}|{place.city}"
    if place.city and given and family:
        yield "given_city", f"{given[:4]}|{place.city}"
    yield from _by_street(normal)


def _by_street(normal: Normal) -> Iterator[tuple[str, str]]:
    place = normal.address
    area = place.postcode or place.city
    if place.street and area:
        yield "street", f"{place.number}|{place.street[:4]}|{area}"


def _weak_account(normal: Normal) -> Iterator[tuple[str, str]]:
    key, place = normal.company.key, normal.address
    if key:
        yield "company", key.replace(" ", "")
        rare = rarest(key)
        if len(rare) > 1:
            yield "company_words", " ".join(sorted(rare))
        area = place.city or place.postcode
        if area:
            yield "company_city", f"{rare[0][:5]}|{area}"
        if len(key) >= _COMPANY_CHARS_MIN:
            yield "company_start", key.replace(" ", "")[:_COMPANY_CHARS_MIN]
        yield "company_sound", jellyfish.metaphone(key)[:_COMPANY_CHARS_MIN]
    for phone in normal.phones:
        yield "phone_tail", phone.e164[-_TAIL_DIGITS:]
    if place.number and place.postcode:
        yield "number_postcode", f"{place.number}|{place.postcode}"
    yield from _by_street(normal)


def rarest(company_key: str) -> list[str]:
    """Return the two words of a company's key that say most: uncommon ones first, then long ones."""
    words = dict.fromkeys(company_key.split())
    return sorted(words, key=lambda word: (word in COMMON_COMPANY_WORDS, -len(word), word))[:2]


def skeleton(folded: str) -> str:
    """Return a folded name with what people spell either way made one: `mueller` and `muller`; no spaces."""
    for written, one in _EITHER_WAY:
        folded = folded.replace(written, one)
    return folded.replace(" ", "")


_EITHER_WAY: Final = (("ae", "a"), ("oe", "o"), ("ue", "u"))
_NAMES_CHARS_MIN: Final = 5
"""Two initials are everybody's."""
_MAILBOX_CHARS_MIN: Final = 7
"""Shorter local parts recur at every provider."""
_TAIL_DIGITS: Final = 7
"""What is left of a number when country and area are written otherwise."""
_COMPANY_CHARS_MIN: Final = 10

Maker = Callable[[Normal], Iterator[tuple[str, str]]]

_MAKERS: Final[dict[str, tuple[Maker, Maker]]] = {
    "contact": (_strong, _weak),
    "lead": (_strong, _weak),
    "account": (_strong_account, _weak_account),
}
