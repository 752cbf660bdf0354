"""The form in which a record's parts are kept: compact, exact, read many times. Pure.

What a record's parts work out for themselves is not kept. Must not change once records are stored:
a new field goes to the end, with a default.
"""

from __future__ import annotations

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


_FIELDS: Final = tuple(name for name in _Parts.__struct_fields__ if name != "mailboxes")
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Parts).decode


def dump(parts: Parts) -> bytes:
    """Return the stored form; equal parts give equal bytes, whatever order their fields were told in."""
    mailboxes = tuple(
        _Mailbox(one.address, one.local, one.digits, one.domain, one.free, one.shared)
        for one in parts.mailboxes
    )
    told = {name: getattr(parts, name) for name in _FIELDS}
    for name in ("texts", "codes", "numbers"):
        told[name] = dict(sorted(told[name].items()))
    return _encode(_Parts(mailboxes=mailboxes, **told))


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
