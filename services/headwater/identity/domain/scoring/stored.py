"""The form in which a record's parts are kept: compact, exact, read many times. Pure.

What a record's parts work out for themselves is not kept. Must not change once records are stored:
a new field goes to the end, with a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from headwater.identity.domain.scoring.parts import Mailbox, Parts

DECODED_MAX: Final = 16_384
"""Records whose parts a process keeps decoded: about 40 MB."""


class _Mailbox(msgspec.Struct, array_like=True, frozen=True):
    address: str
    local: str
    digits: str
    domain: str
    free: bool
    shared: bool


class _Parts(msgspec.Struct, array_like=True, frozen=True):
    given: str
    family: str
    generation: str
    mailboxes: tuple[_Mailbox, ...]
    phones: tuple[str, ...]
    linkedin: str
    organisation: str
    domains: tuple[str, ...]
    house: str
    street: str
    city: str
    state: str
    country: str
    texts: dict[str, str]
    codes: dict[str, str]
    strong: tuple[tuple[str, str], ...]
    numbers: dict[str, str]
    account: bool


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Parts).decode


def dump(parts: Parts) -> bytes:
    """Return the stored form; equal parts give equal bytes, whatever order their fields were told in."""
    return _encode(
        (
            parts.given,
            parts.family,
            parts.generation,
            [(o.address, o.local, o.digits, o.domain, o.free, o.shared) for o in parts.mailboxes],
            parts.phones,
            parts.linkedin,
            parts.organisation,
            parts.domains,
            parts.house,
            parts.street,
            parts.city,
            parts.state,
            parts.country,
            _sorted(parts.texts),
            _sorted(parts.codes),
            parts.strong,
            _sorted(parts.numbers),
            parts.account,
        )
    )


def _sorted(told: Mapping[str, str]) -> Mapping[str, str]:
    return dict(sorted(told.items())) if len(told) > 1 else told


@lru_cache(DECODED_MAX)
def load(stored: bytes) -> Parts:
    """Return the parts of a stored form; shared by all who ask, so never changed.

    Raises:
        msgspec.ValidationError: it is no such form.
    """
    read = _decode(stored)
    return Parts(
        read.given,
        read.family,
        read.generation,
        tuple([Mailbox(o.address, o.local, o.digits, o.domain, o.free, o.shared) for o in read.mailboxes]),
        read.phones,
        read.linkedin,
        read.organisation,
        read.domains,
        read.house,
        read.street,
        read.city,
        read.state,
        read.country,
        read.texts,
        read.codes,
        read.strong,
        read.numbers,
        read.account,
    )
