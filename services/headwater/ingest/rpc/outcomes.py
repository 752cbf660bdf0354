"""Outcomes as the wire's bytes, written by hand where all are plain: six times cheaper than by messages. Pure.

A plain outcome (accepted or duplicate, nothing to explain) always has the same 40 bytes but for its disposition
and key, so a batch is one template repeated, into which the digits of all keys are laid by strides. What is not
plain goes through the generated messages; a property test holds both to the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from headwater.ingest.domain.event import Outcome
from headwater.ingest.domain.keys import key_text
from headwater.ingest.rpc.translate import write_outcome
from headwater.ingest.v1 import ingest_pb2

STRIDES_FROM: Final = 8
"""Outcomes from which strides are cheaper than one by one."""

_HEAD: Final = b"\x28\x08\x01\x12\x24"
"""40 bytes of EventOutcome follow: field 1, disposition; field 2, a text of 36."""
_KEY: Final = b"00000000-0000-0000-0000-000000000000"
_KEY_AT: Final = 1 + len(_HEAD)
_DISPOSITION_AT: Final = 3
_PLAIN_BYTES: Final = _KEY_AT + len(_KEY)
_DIGITS: Final = tuple(
    (_KEY_AT + place, number)
    for number, place in enumerate(place for place, byte in enumerate(_KEY) if byte != ord("-"))
)
"""Where each of the 32 digits goes."""
_BATCH: Final = b"\x0a"
_STREAM: Final = b"\x12"
_BATCH_TEMPLATE: Final = _BATCH + _HEAD + _KEY
_STREAM_TEMPLATE: Final = _STREAM + _HEAD + _KEY


def write_batch_answer(outcomes: Sequence[Outcome]) -> bytes:
    """Return the bytes of a `BatchRecordEventsResponse`."""
    plain = _write_plain(outcomes, _BATCH_TEMPLATE)
    if plain is not None:
        return plain
    written = [write_outcome(outcome) for outcome in outcomes]
    return ingest_pb2.BatchRecordEventsResponse(outcomes=written).SerializeToString()


def write_stream_answer(batch_number: int, outcomes: Sequence[Outcome]) -> bytes:
    """Return the bytes of a `StreamEventsResponse`."""
    plain = _write_plain(outcomes, _STREAM_TEMPLATE)
    if plain is not None:
        return _batch_number(batch_number) + plain
    written = [write_outcome(outcome) for outcome in outcomes]
    return ingest_pb2.StreamEventsResponse(batch_number=batch_number, outcomes=written).SerializeToString()


def _write_plain(outcomes: Sequence[Outcome], template: bytes) -> bytes | None:
    """Return the outcomes' bytes, None when one of them is not plain."""
    keys = [item.event_key for item in outcomes if item.event_key and not (item.reason or item.violations)]
    if len(keys) != len(outcomes):
        return None
    dispositions = bytes([item.disposition for item in outcomes])
    if len(keys) < STRIDES_FROM:
        tag = template[:_DISPOSITION_AT]
        return b"".join(
            b"%b%c\x12\x24%b" % (tag, disposition, key_text(key).encode())
            for key, disposition in zip(keys, dispositions, strict=True)
        )
    written = bytearray(template * len(keys))
    written[_DISPOSITION_AT::_PLAIN_BYTES] = dispositions
    digits = b"".join(keys).hex().encode()
    for place, number in _DIGITS:
        written[place::_PLAIN_BYTES] = digits[number::32]
    return bytes(written)


def _batch_number(number: int) -> bytes:
    """Return field 1, an int64; zero is not written."""
    if not number:
        return b""
    rest = number & 0xFFFF_FFFF_FFFF_FFFF
    written = bytearray(b"\x08")
    while rest > 0x7F:  # noqa: PLR2004 - seven bits a byte
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)
