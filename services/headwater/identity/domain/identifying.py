"""From a record's raw attributes to what resolving reads: parts to compare, hashes of keys to meet by. Pure.

A record says things piece by piece: what it says later is put on top of what it said before, and keys
are only ever added, so that what was known by an old mailbox is still found by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from hashlib import blake2b
from typing import Any, Final

import msgspec

from headwater.identity.domain.normalising import (
    EXCLUSIVE,
    NORMALISATION_VERSION,
    HashedKey,
    Normal,
    hash_of,
    keys_of,
    normalise,
)
from headwater.identity.domain.normalising.keys import STRONG_MAX, WEAK_MAX
from headwater.identity.domain.normalising.record import EMAILS_MAX, PHONES_MAX
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.taking_apart import parts_of

COMPARED: Final = frozenset({"contact", "lead", "account"})
"""Objects whose records are compared; those of the others are only ever themselves."""
KEYS_MAX: Final = 2 * (STRONG_MAX + WEAK_MAX)
"""Keys that a record may gather in its life."""


@dataclass(frozen=True, slots=True)
class Identified:
    """What a record says of who it is.

    Args:
        keys: hashes; the first `strong` of them are of strong keys, the first `exclusive` of exclusive ones.
    """

    parts: Parts
    keys: tuple[int, ...] = ()
    strong: int = 0
    exclusive: int = 0

    @property
    def strong_keys(self) -> tuple[int, ...]:
        """Hashes of the keys that name one thing."""
        return self.keys[: self.strong]

    @property
    def exclusive_keys(self) -> tuple[int, ...]:
        """Hashes of the keys that one entity alone may hold."""
        return self.keys[: self.exclusive]


NormalForm = Callable[[str, Mapping[str, str]], Normal]
"""Returns the normal form of an object's attributes."""
_encode: Final = msgspec.msgpack.Encoder().encode
_encode_text: Final = msgspec.json.Encoder(order="sorted").encode
_decode_text: Final = msgspec.json.Decoder(dict[str, str]).decode
NOTHING: Final = Identified(Parts())


def identify(
    object_name: str, attributes: Mapping[str, str], normal_form: NormalForm = normalise
) -> Identified:
    """Return what *attributes* say; nothing for objects that are only ever themselves."""
    if not attributes or object_name not in COMPARED:
        return NOTHING
    normal = normal_form(object_name, attributes)
    keys = keys_of(normal)
    first = [key for key in keys.strong if key.kind in EXCLUSIVE]
    rest = [key for key in keys.strong if key.kind not in EXCLUSIVE]
    hashes = _hashes(object_name, (*first, *rest, *keys.weak))
    return Identified(parts_of(normal), hashes, len(keys.strong), len(first))


def digest_of(object_name: str, attributes: Mapping[str, str], version: int = NORMALISATION_VERSION) -> int:
    """Return a hash of what a record comes with, whatever the order: equal attributes say equal things."""
    text = _encode((object_name, sorted(attributes.items()), version))
    return int.from_bytes(blake2b(text, digest_size=8).digest(), signed=True)


def said_of(object_name: str, attributes: Mapping[str, str]) -> str:
    """Return *attributes* as they are kept, to be normalised by later rules; nothing where none will ever be.

    A NUL is left out: no rule reads it, and the database cannot keep it.
    """
    if object_name not in COMPARED or not attributes:
        return ""
    if any("\0" in value for value in attributes.values()):
        attributes = {name: value.replace("\0", "") for name, value in attributes.items()}
    return _encode_text(attributes).decode()


def attributes_of(said: Sequence[str]) -> list[dict[str, str]]:
    """Return what a record said, as it was kept, as attributes."""
    return [_decode_text(one) for one in said]


@dataclass(frozen=True, slots=True)
class Normaliser:
    """The rules by which records are identified.

    Args:
        version: goes up when a rule changes what any value becomes.
    """

    version: int = NORMALISATION_VERSION
    normal_form: NormalForm = normalise

    def identify(self, object_name: str, attributes: Mapping[str, str]) -> Identified:
        """Return what *attributes* say by these rules."""
        return identify(object_name, attributes, self.normal_form)

    def digest_of(self, object_name: str, attributes: Mapping[str, str]) -> int:
        """Return a hash of what a record comes with, under these rules."""
        return digest_of(object_name, attributes, self.version)

    def read(self, object_name: str, said: Sequence[str]) -> tuple[Identified, int]:
        """Return what a record said in all, oldest first, by these rules, and the digest of what it said last."""
        told = attributes_of(said)
        found = reduce(combine, (self.identify(object_name, one) for one in told), NOTHING)
        return found, self.digest_of(object_name, told[-1]) if told else 0


SHIPPED: Final = Normaliser()
"""The rules of this code."""


def _hashes(object_name: str, keys: Sequence[HashedKey]) -> tuple[int, ...]:
    salt = salt_of(object_name)
    return tuple([key.hash ^ salt for key in keys])


@lru_cache
def salt_of(object_name: str) -> int:
    """Return what keeps the keys of two objects apart: an account's number never meets a person's."""
    return hash_of("object", object_name)


def watched_hash(object_name: str, kind: str, value: str) -> int:
    """Return the hash of a strong key by which an object's records are looked up."""
    return hash_of(kind, value) ^ salt_of(object_name)


def combine(before: Identified, after: Identified) -> Identified:
    """Return what a record says in all, *after* on top of *before*; the very same where nothing is new."""
    parts = _combine_parts(before.parts, after.parts)
    keys, strong, exclusive = _combine_keys(before, after)
    if parts == before.parts and keys == before.keys:
        return before
    return Identified(parts, keys, strong, exclusive)


def _combine_keys(before: Identified, after: Identified) -> tuple[tuple[int, ...], int, int]:
    if set(after.keys) <= set(before.keys):
        return before.keys, before.strong, before.exclusive
    first = dict.fromkeys((*before.exclusive_keys, *after.exclusive_keys))
    strong = dict.fromkeys((*first, *before.strong_keys, *after.strong_keys))
    every = tuple(dict.fromkeys((*strong, *before.keys, *after.keys)))[:KEYS_MAX]
    return every, min(len(strong), KEYS_MAX), min(len(first), KEYS_MAX)


def _combine_parts(before: Parts, after: Parts) -> Parts:
    """Put each thing that *after* knows over what was known; mailboxes and numbers are gathered."""
    if after in (NOTHING.parts, before):
        return before
    news: dict[str, Any] = {name: told for name in _SINGLE if (told := getattr(after, name))}
    mailboxes = (*(one for one in after.mailboxes if one not in before.mailboxes), *before.mailboxes)
    phones = (*(one for one in after.phones if one not in before.phones), *before.phones)
    strong = tuple(dict.fromkeys((*before.strong, *after.strong)))
    if after.linkedin:  # a person has one page: a new address of it takes the old one's place
        strong = tuple(key for key in strong if key[0] != "linkedin" or key[1] == after.linkedin)
    return msgspec.structs.replace(
        before,
        **news,
        mailboxes=mailboxes[:EMAILS_MAX],
        phones=phones[:PHONES_MAX],
        texts={**before.texts, **after.texts},
        codes={**before.codes, **after.codes},
        numbers={**before.numbers, **after.numbers},
        strong=strong[:STRONG_MAX],
        account=before.account or after.account,
    )


_SINGLE: Final = (
    "given",
    "family",
    "generation",
    "linkedin",
    "organisation",
    "domains",
    "house",
    "street",
    "city",
    "state",
    "country",
)
"""Parts of which a record has one: the newest counts."""
