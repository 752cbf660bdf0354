"""The form in which a record's parts are kept: compact, exact, read many times. Pure.

What a record's parts work out for themselves is not kept. Must not change once records are stored:
a new field goes to the end, with a default.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from headwater.identity.domain.scoring.parts import Parts, Told

DECODED_MAX: Final = 16_384
"""Records whose parts a process keeps decoded: about 40 MB."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Parts).decode


def dump(parts: Parts) -> bytes:
    """Return the stored form; equal parts give equal bytes, whatever order their fields were told in."""
    told = {name: getattr(parts, name) for name in Told.__struct_fields__}
    for name in ("texts", "codes", "numbers"):
        told[name] = dict(sorted(told[name].items()))
    return _encode(Told(**told))


@lru_cache(DECODED_MAX)
def load(stored: bytes) -> Parts:
    """Return the parts of a stored form; shared by all who ask, so never changed.

    Raises:
        msgspec.ValidationError: it is no such form.
    """
    return _decode(stored)
