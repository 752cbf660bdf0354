"""Keys of a record: 64-bit hashes by which others like it are found. Pure; must not say what they join.

Strong keys name one person or organisation by themselves; weak ones only bring candidates together.
A kind means the same thing for contacts and leads, so a lead finds its contact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple

import jellyfish

from headwater.identity.domain.normalising.company_tables import COMMON_COMPANY_WORDS
from headwater.identity.domain.normalising.nicknaming import canonical_names
from headwater.identity.domain.normalising.rules import NORMALISATION_VERSION
from headwater.identity.domain.normalising.text import CACHED_MAX
from headwater.identity.domain.normalising.values import NO_ADDRESS, Normal

STRONG_MAX: Final = 10
"""Strong keys of a record: four mailboxes, four numbers, a page, an id."""
FULL_NAMES_MAX: Final = 3
"""Full names that one nickname stands for, as far as keys go."""
WEAK_MAX: Final = 16
"""Weak keys of a record."""

EXCLUSIVE: Final = frozenset({"external", "linkedin", "official_id"})
"""Kinds of which no two entities may hold one value.

A mailbox or a number is not among them: couples share both, and what more surnames than usual share
turns generic.
"""


Pair = tuple[str, str]
"""Kind and value of a key."""
Maker = Callable[[Normal], list[Pair]]

_read_int: Final = Struct(">q").unpack


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
    return _read_int(blake2b(f"{kind}|{value}".encode(), digest_size=8).digest())[0]  # type: ignore[no-any-return]


def external_key(source: str, external_id: str) -> HashedKey:
    """Return the key of a record's own id in one source: strong and exclusive."""
    value = f"{source}|{external_id}"
    return HashedKey("external", hash_of("external", value), value)


def keys_of(normal: Normal) -> Keys:
    """Return the keys of *normal*; none for objects that are only ever themselves."""
    makers = _MAKERS.get(normal.object)
    if makers is None:
        return Keys()
    strong, weak = makers
    return Keys(_hashed(strong(normal), STRONG_MAX), _hashed(weak(normal), WEAK_MAX))


def strong_of(normal: Normal) -> list[Pair]:
    """Return kind and value of the strong keys of *normal*: those of `keys_of`, not hashed."""
    makers = _MAKERS.get(normal.object)
    return [] if makers is None else _bounded(makers[0](normal), STRONG_MAX)


def weak_of(normal: Normal) -> list[Pair]:
    """Return kind and value of the weak keys of *normal*: those of `keys_of`, not hashed."""
    makers = _MAKERS.get(normal.object)
    return [] if makers is None else _bounded(makers[1](normal), WEAK_MAX)


def _hashed(pairs: list[Pair], keys_max: int) -> tuple[HashedKey, ...]:
    wanted = _bounded(pairs, keys_max)
    return tuple([HashedKey(kind, hash_of(kind, value), value) for kind, value in wanted])


def _bounded(pairs: list[Pair], keys_max: int) -> list[Pair]:
    return pairs[:keys_max] if len(set(pairs)) == len(pairs) else list(dict.fromkeys(pairs))[:keys_max]


def _strong(normal: Normal) -> list[Pair]:
    """Return what names one person: a post's mailbox and a mailbox to throw away do not."""
    found = _pages_and_ids(normal)
    found.extend([("email", email.address) for email in normal.emails if not email.blocked_by])
    found.extend([("phone", phone.e164) for phone in normal.phones])
    return found


def _strong_account(normal: Normal) -> list[Pair]:
    """Return what names one organisation; its mailboxes are people's, their domain counts already."""
    found = _pages_and_ids(normal)
    if normal.domain:
        found.append(("domain", normal.domain))
    found.extend([("phone", phone.e164) for phone in normal.phones])
    return found


def _pages_and_ids(normal: Normal) -> list[Pair]:
    found = [("linkedin", normal.linkedin.path)] if normal.linkedin is not None else []
    found.extend([("official_id", official_id) for official_id in normal.official_ids])
    return found


def _weak(normal: Normal) -> list[Pair]:
    given, family = skeleton(normal.name.given), skeleton(normal.name.family)
    found: list[Pair] = []
    if given and family and len(given) + len(family) >= NAMES_CHARS_MIN:
        _add_names(found, given, family, normal.name.given)
    sound = sound_of(family) if family else ""
    _add_organisation(found, given, family, sound, normal)
    mailboxes = [mailbox_key(email.local) for email in normal.emails if not email.blocked_by]
    found.extend([("mailbox", local) for local in mailboxes if local])
    if normal.phones and (given or family):
        letter = min(given[:1] or "~", family[:1] or "~")
        found.extend([("phone_tail", f"{phone.e164[-TAIL_DIGITS:]}|{letter}") for phone in normal.phones])
    if normal.birth_date is not None:
        _add_birth(found, given, sound, normal)
    if normal.address is not NO_ADDRESS:
        _add_place(found, given, sound, normal)
        _add_street(found, normal)
    return found


def mailbox_key(local: str) -> str:
    """Return what stands before the at sign, as far as it counts; nothing where it is short."""
    bare = local.translate(_WRITTEN_EITHER_WAY)
    return bare if len(bare) >= _MAILBOX_CHARS_MIN else ""


def _add_names(found: list[Pair], given: str, family: str, written: str) -> None:
    """Add both names in either order: as they are, with the full forms of a nickname, and as they sound."""
    found.append(("names", _either_way(given, family)))
    found.extend([("names", _either_way(full, family)) for full in full_names(written)])
    if len(given) >= _NAME_START and len(family) >= _NAME_START:
        found.append(("names_start", _either_way(given[:_NAME_START], family[:_NAME_START])))
    if len(given) > 1 and (sounds := sound_of(given)):
        found.append(("names_sound", _either_way(sounds, sound_of(family))))


def _either_way(one: str, other: str) -> str:
    return f"{one}|{other}" if one < other else f"{other}|{one}"


@lru_cache(CACHED_MAX)
def full_names(written: str) -> tuple[str, ...]:
    """Return the full names that the first given name may be short for, the longest first."""
    first = written.partition(" ")[0]
    others = canonical_names(first) - {written}
    return tuple(map(skeleton, sorted(others, key=lambda name: (-len(name), name))[:FULL_NAMES_MAX]))


def _add_organisation(found: list[Pair], given: str, family: str, sound: str, normal: Normal) -> None:
    """Add a part of the name with a part of the organisation, so that a typo in either leaves one."""
    company, domain = normal.company.key.replace(" ", ""), normal.domain
    if company:
        if family:
            found.append(("family_company", f"{family[:4]}|{company[:6]}"))
        if given:
            found.append(("given_company", f"{given[:3]}|{company[:8]}"))
    if family and domain:
        found.append(("family_domain", f"{family[:4]}|{domain}"))
    organisation = company or domain
    if given and family and organisation:
        found.append(("given_family_company", f"{given[:3]}|{family}|{organisation[:3]}"))
        if domain:
            found.append(("sound_domain", f"{given[0]}|{sound}|{domain}"))


def _add_birth(found: list[Pair], given: str, sound: str, normal: Normal) -> None:
    born = normal.birth_date
    if born is None:
        return
    day = min(born.iso, born.other or born.iso)
    found.append(("birth", day))
    if given:
        found.append(("birth_given", f"{day}|{given[:3]}"))
    if sound:
        found.append(("birth_sound", f"{day}|{sound}"))
    if normal.address.postcode:
        found.append(("birth_postcode", f"{day}|{normal.address.postcode}"))


def _add_place(found: list[Pair], given: str, sound: str, normal: Normal) -> None:
    place = normal.address
    if place.postcode and sound:
        found.append(("sound_postcode", f"{sound}|{place.postcode}"))
    if place.postcode and given:
        found.append(("given_postcode", f"{given[:3]}|{place.postcode}"))
    if place.city and given and sound:
        found.append(("sound_city", f"{given[0]}|{sound}|{place.city}"))


def _add_street(found: list[Pair], normal: Normal) -> None:
    place = normal.address
    area = place.postcode or place.city
    if place.street and area:
        found.append(("street", f"{place.number}|{place.street[:4]}|{area}"))


def _weak_account(normal: Normal) -> list[Pair]:
    found: list[Pair] = []
    if normal.company.key:
        _add_company(found, normal)
    found.extend([("phone_tail", phone.e164[-TAIL_DIGITS:]) for phone in normal.phones])
    place = normal.address
    if place.number and place.postcode:
        found.append(("number_postcode", f"{place.number}|{place.postcode}"))
    _add_street(found, normal)
    return found


def _add_company(found: list[Pair], normal: Normal) -> None:
    key, place = normal.company.key, normal.address
    joined, rare = key.replace(" ", ""), rarest(key)
    found.append(("company", joined))
    if len(rare) > 1:
        found.append(("company_words", " ".join(sorted(rare))))
    if area := place.city or place.postcode:
        found.append(("company_city", f"{rare[0][:5]}|{area}"))
    if len(joined) >= _START_CHARS:
        found.append(("company_start", joined[:_START_CHARS]))
    if sound := sound_of(" ".join(sorted(rare))):
        found.append(("company_sound", sound))


@lru_cache(CACHED_MAX)
def sound_of(name: str) -> str:
    """Return how a name sounds in English, coarsely."""
    return str(jellyfish.metaphone(name))


def rarest(company_key: str) -> list[str]:
    """Return the two words of a company's key that say most: uncommon ones first, then long ones."""
    words = dict.fromkeys(company_key.split())
    return sorted(words, key=lambda word: (word in COMMON_COMPANY_WORDS, -len(word), word))[:2]


@lru_cache(CACHED_MAX)
def skeleton(folded: str) -> str:
    """Return a folded name with what people spell either way made one: `mueller` and `muller`; no spaces."""
    if "e" not in folded:
        return folded.replace(" ", "")
    for written, one in _EITHER_WAY:
        folded = folded.replace(written, one)
    return folded.replace(" ", "")


_EITHER_WAY: Final = (("ae", "a"), ("oe", "o"), ("ue", "u"))
_WRITTEN_EITHER_WAY: Final = str.maketrans("", "", "._-")
"""Some providers ignore them."""
NAMES_CHARS_MIN: Final = 5
"""Two initials are everybody's."""
_MAILBOX_CHARS_MIN: Final = 7
"""Shorter local parts recur at every provider."""
TAIL_DIGITS: Final = 7
"""What is left of a number when country and area are written otherwise."""
_NAME_START: Final = 3
"""Letters of a name before the usual place of a typo; in a large tenant the key crowds and costs nothing."""
_START_CHARS: Final = 10
"""Letters of a company's key that a typo or a longer name behind them leaves alone."""

_MAKERS: Final[Mapping[str, tuple[Maker, Maker]]] = {
    "contact": (_strong, _weak),
    "lead": (_strong, _weak),
    "account": (_strong_account, _weak_account),
}
